//! Filters of lists, events and prunes: values by key, any of a key's values being enough.

use std::collections::BTreeMap;

use dhow_golang::{parse_bool, parse_duration};
use jiff::Timestamp;
use regex::{Regex, RegexBuilder};

use dhow_container::spec::Invalid;

/// Filters as a request gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Filters of these values by key.
    #[must_use]
    pub fn new(values: BTreeMap<String, Vec<String>>) -> Self {
        Self(values)
    }

    /// Refuses keys that are not among `known`.
    ///
    /// # Errors
    /// Names the first unknown key, with Docker's text.
    pub fn check(&self, known: &[&str]) -> Result<(), Invalid> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Invalid::new(format!("invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// Whether nothing is filtered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of `key`; none when it is not filtered by.
    #[must_use]
    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether `key` is filtered by.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        !self.get(key).is_empty()
    }

    /// Whether `key` is not filtered by or one of its values is `value`.
    #[must_use]
    pub fn exact(&self, key: &str, value: &str) -> bool {
        let values = self.get(key);
        values.is_empty() || values.iter().any(|wanted| wanted == value)
    }

    /// Whether `key` is not filtered by or one of its values satisfies `test`.
    pub fn any(&self, key: &str, test: impl FnMut(&String) -> bool) -> bool {
        let values = self.get(key);
        values.is_empty() || values.iter().any(test)
    }

    /// Whether every `key` filter (`name` or `name=value`) fits the labels.
    #[must_use]
    pub fn labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.get(key).iter().all(|wanted| fits(wanted, labels))
    }

    /// Whether some `key` filter (`name` or `name=value`) fits the labels; false when there is none.
    #[must_use]
    pub fn any_label(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.get(key).iter().any(|wanted| fits(wanted, labels))
    }

    /// The flag `key`, `true`/`1` or `false`/`0`; `default` when it is not given.
    ///
    /// # Errors
    /// The value is something else, or given twice with different values.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, Invalid> {
        let mut flag = None;
        for value in self.get(key) {
            let parsed = parse_bool(value)
                .map_err(|_| Invalid::new(format!("invalid filter '{key}=[{value}]'")))?;
            if flag.is_some_and(|flag| flag != parsed) {
                let values = self.get(key).join(" ");
                return Err(Invalid::new(format!("invalid filter '{key}=[{values}]'")));
            }
            flag = Some(parsed);
        }
        Ok(flag.unwrap_or(default))
    }

    /// The time `key` names: seconds since 1970 with a fraction, RFC 3339, or a duration back from `now`.
    ///
    /// # Errors
    /// The value is none of these, or there is more than one.
    pub fn time(&self, key: &str, now: Timestamp) -> Result<Option<Timestamp>, Invalid> {
        match self.get(key) {
            [] => Ok(None),
            [text] => parse_time(text, now).map(Some).map_err(|_| {
                Invalid(format!(
                    "failed to parse value as time or duration: {text:?}"
                ))
            }),
            _ => Err(Invalid::new(format!(
                "more than one {key} filter specified"
            ))),
        }
    }
}

/// The values of a filter that chooses by name: each is a regular expression, found anywhere, or the whole name.
#[derive(Debug)]
pub(crate) struct Patterns(Vec<(String, Option<Regex>)>);

impl Patterns {
    /// The patterns of `key`. One that is no regular expression stands for itself only, as in Docker.
    pub(crate) fn new(filters: &Filters, key: &str) -> Self {
        /// Enough for any name; a pattern that needs more is somebody's mischief.
        const SIZE: usize = 1 << 20;
        let compile = |text: &String| {
            let regex = RegexBuilder::new(text).size_limit(SIZE).build().ok();
            (text.clone(), regex)
        };
        Self(filters.get(key).iter().map(compile).collect())
    }

    /// Whether there are none, or one of them fits.
    pub(crate) fn fit(&self, name: &str) -> bool {
        let fits = |(text, regex): &(String, Option<Regex>)| {
            text == name || regex.as_ref().is_some_and(|regex| regex.is_match(name))
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }
}

fn fits(wanted: &str, labels: &BTreeMap<String, String>) -> bool {
    match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}

/// Reads a time as Docker's API and command line write them.
///
/// # Errors
/// The text is neither seconds since 1970, nor RFC 3339 (parts may be missing), nor a Go duration back from `now`.
pub fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp, Invalid> {
    let fail = || Invalid::new(format!("invalid value for time: {text}"));
    if let Some(time) = seconds(text) {
        return Ok(time);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(local) = text.parse::<jiff::civil::DateTime>() {
        let zoned = local
            .to_zoned(jiff::tz::TimeZone::system())
            .map_err(|_| fail())?;
        return Ok(zoned.timestamp());
    }
    if let Ok(before) = parse_duration(text) {
        let before = jiff::SignedDuration::from_nanos(before);
        return now.checked_sub(before).map_err(|_| fail());
    }
    Err(fail())
}

/// Seconds since 1970, with up to nine digits after a point.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok()?;
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(whole, nanos).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn filters(pairs: &[(&str, &[&str])]) -> Filters {
        let own = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        Filters::new(
            pairs
                .iter()
                .map(|(key, values)| ((*key).to_owned(), own(values)))
                .collect(),
        )
    }

    #[test]
    fn unknown_keys_are_named() {
        let error = filters(&[("nosuch", &["x"])])
            .check(&["label"])
            .unwrap_err();
        assert_eq!(error.to_string(), "invalid filter 'nosuch'");
    }

    #[test]
    fn names_are_patterns() {
        for (pattern, name, fits) in [
            ("web", "my-web-1", true),
            ("^/web$", "/web", true),
            ("^web$", "web1", false),
            ("^w.b$", "web", true),
            ("a|b", "b", true),
            ("[", "[", true),
            ("[", "a", false),
        ] {
            let patterns = Patterns::new(&filters(&[("name", &[pattern])]), "name");
            assert_eq!(patterns.fit(name), fits, "{pattern} {name}");
        }
        assert!(Patterns::new(&Filters::default(), "name").fit("any"));
    }

    #[test]
    fn labels_must_all_fit() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert!(filters(&[("label", &["a"])]).labels("label", &labels));
        assert!(filters(&[("label", &["a=1"])]).labels("label", &labels));
        assert!(!filters(&[("label", &["a=2"])]).labels("label", &labels));
        assert!(!filters(&[("label", &["a", "b"])]).labels("label", &labels));
    }

    #[test]
    fn times_come_in_many_forms() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let cases = [
            ("1700000000", 1_700_000_000_000_000_000),
            ("1700000000.25", 1_700_000_000_250_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
            ("10m", 1_699_999_400_000_000_000),
            ("1h30m", 1_699_994_600_000_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(
                parse_time(text, now).unwrap().as_nanosecond(),
                nanos,
                "{text}"
            );
        }
        assert!(parse_time("soon", now).is_err());
    }
}
