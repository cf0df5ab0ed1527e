//! The table of figures, printed line by line as they come.

/// A table with a column for each engine, the first being the one the others are compared with.
pub(crate) struct Table {
    names: Vec<String>,
}

impl Table {
    pub(crate) fn new(names: Vec<String>) -> Self {
        print!("{:<58}", "what");
        for (index, name) in names.iter().enumerate() {
            print!("{name:>14}");
            if index > 0 {
                print!("{:>9}", "ratio");
            }
        }
        println!();
        Self { names }
    }

    pub(crate) fn add(&mut self, name: &str, unit: &str, values: Vec<Result<f64, String>>) {
        print!("{:<58}", format!("{name} [{unit}]"));
        let own = values
            .first()
            .and_then(|value| value.as_ref().ok())
            .copied();
        let mut failures = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            match value {
                Ok(value) if index > 0 => print!("{value:>14.2}{}", ratio(own, value, unit)),
                Ok(value) => print!("{value:>14.2}"),
                Err(message) => {
                    print!("{:>14}", "failed");
                    failures.push(format!("    {}: {message}", self.names[index]));
                }
            }
        }
        println!();
        for failure in failures {
            println!("{failure}");
        }
    }

    /// A line with what is the least that `measured` could be, and how many times that each took.
    pub(crate) fn add_floor(&mut self, name: &str, floor: f64, measured: &[Result<f64, String>]) {
        print!("{:<58}", format!("{name} [{floor:.0} ms], times"));
        for (index, value) in measured.iter().enumerate() {
            let times = value.as_ref().map_or(f64::NAN, |value| value / floor);
            print!("{times:>14.2}{}", if index > 0 { "         " } else { "" });
        }
        println!();
    }

    pub(crate) fn add_own(&mut self, name: &str, unit: &str, value: f64) {
        println!("{:<58}{value:>14.2}", format!("{name} [{unit}]"));
    }
}

/// How many times better than the other engine ours is: for rates more is better, for all else less.
fn ratio(own: Option<f64>, theirs: f64, unit: &str) -> String {
    let Some(own) = own else {
        return format!("{:>9}", "-");
    };
    let times = if unit.ends_with("/s") || unit == "times" {
        own / theirs
    } else {
        theirs / own
    };
    format!("{:>9}", format!("{times:.1}x"))
}

/// The middle of `values`.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_says_how_many_times_better_ours_is() {
        assert_eq!(ratio(Some(10.0), 200.0, "ms").trim(), "20.0x");
        assert_eq!(ratio(Some(400.0), 20.0, "MB/s").trim(), "20.0x");
        assert_eq!(ratio(None, 20.0, "ms").trim(), "-");
    }

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }
}
