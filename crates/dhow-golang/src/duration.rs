//! Lengths of time, as Go's `time.ParseDuration` reads them: `1h15m30.5s`, `300ms`.

/// A text that is no length of time; the texts are Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is none at all, or too long a time.
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number has no unit.
    #[error("time: missing unit in duration {}", quote(.0))]
    NoUnit(String),
    /// There is no such unit.
    #[error("time: unknown unit {} in duration {}", quote(.unit), quote(.text))]
    UnknownUnit {
        /// What stands after the number.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// The longest time, in nanoseconds, but for the sign.
const MOST: u64 = 1 << 63;

/// Reads a length of time into nanoseconds: signed decimal numbers, each with one of the units `ns`, `us` (or `µs`),
/// `ms`, `s`, `m` and `h`; a bare `0` needs none.
///
/// # Errors
/// It is none, or has more nanoseconds than a signed number of 64 bits holds.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = split(rest, |c| c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split(after, |c| c.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let whole = match whole {
            "" => 0,
            digits => digits
                .parse::<u64>()
                .ok()
                .filter(|n| *n <= MOST)
                .ok_or_else(invalid)?,
        };
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        if unit.is_empty() {
            return Err(DurationError::NoUnit(text.to_owned()));
        }
        let scale = nanoseconds(unit).ok_or_else(|| DurationError::UnknownUnit {
            unit: unit.to_owned(),
            text: text.to_owned(),
        })?;
        total = whole
            .checked_mul(scale)
            .and_then(|value| value.checked_add(part(fraction, scale)))
            .and_then(|value| value.checked_add(total))
            .filter(|total| *total <= MOST)
            .ok_or_else(invalid)?;
        rest = after;
    }
    let total = i128::from(total);
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// The characters from the start that `belongs` takes, and what follows them.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // Both of the letters that look like this.
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The digits after the point in units of `scale`, rounded as Go's floating-point numbers round them; digits for which
/// 64 bits have no room don't count.
fn part(digits: &str, scale: u64) -> u64 {
    let (mut value, mut whole) = (0_u64, 1.0_f64);
    for digit in digits.bytes() {
        if value > (MOST - 1) / 10 {
            break;
        }
        let next = value * 10 + u64::from(digit - b'0');
        if next > MOST {
            break;
        }
        (value, whole) = (next, whole * 10.0);
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither negative nor more than one unit"
    )]
    let part = (value as f64 * (scale as f64 / whole)) as u64;
    part
}

/// In double quotes; unlike `strconv`, the `time` package shows bytes that are not ASCII by their numbers.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=0x7f => quoted.push(char::from(byte)),
            byte => quoted += &format!("\\x{byte:02x}"),
        }
    }
    quoted.push('"');
    quoted
}

/// Writes nanoseconds as Go's `Duration.String` does: `1h0m30s`, `1.5ms`, `0s`.
#[must_use]
pub fn format_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let (unit, name) = match total {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{sign}{total}ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, rest) = (total / unit, total % unit);
    let digits = format!("{:0width$}", rest, width = unit.ilog10() as usize);
    let fraction = match digits.trim_end_matches('0') {
        "" => String::new(),
        digits => format!(".{digits}"),
    };
    if name != "s" || whole < 60 {
        return format!("{sign}{whole}{fraction}{name}");
    }
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{sign}{minutes}m{seconds}{fraction}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0", 0),
            ("5s", 5_000_000_000),
            ("300ms", 300_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("1h15m30s", 4_530_000_000_000),
            ("2us", 2_000),
            ("12µs", 12_000),
            ("12μs3ns", 12_003),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+5ms", 5_000_000),
            ("9007199254740993ns", 9_007_199_254_740_993),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.830103483285477580700h", 2_988_372_539_827),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse_duration(text), Ok(nanoseconds), "{text}");
        }
    }

    #[test]
    fn errors_are_gos() {
        for (text, error) in [
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            ("x", r#"time: invalid duration "x""#),
            (".s", r#"time: invalid duration ".s""#),
            ("3..s", r#"time: missing unit in duration "3..s""#),
            ("1.2.3s", r#"time: missing unit in duration "1.2.3s""#),
            (
                "99999999999999999999",
                r#"time: invalid duration "99999999999999999999""#,
            ),
            ("5", r#"time: missing unit in duration "5""#),
            ("5x", r#"time: unknown unit "x" in duration "5x""#),
            ("1m5", r#"time: missing unit in duration "1m5""#),
            (
                "9223372036854775808ns",
                r#"time: invalid duration "9223372036854775808ns""#,
            ),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            (
                "1µ",
                r#"time: unknown unit "\xc2\xb5" in duration "1\xc2\xb5""#,
            ),
        ] {
            let found = parse_duration(text).map_err(|error| error.to_string());
            assert_eq!(found, Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn lengths_are_written_as_go_writes_them() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-2_000_000, "-2ms"),
            (86_399_999_999_999, "23h59m59.999999999s"),
        ] {
            assert_eq!(format_duration(nanoseconds), text);
        }
    }
}
