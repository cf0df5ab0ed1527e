//! Which driver, where, and with which options.

use std::collections::BTreeMap;
use std::path::PathBuf;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The drivers there are.
pub const DRIVERS: &[&str] = &["json-file", "none"];

/// Which of a container's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, and all output of a container with a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name in a log file: `stdout` or `stderr`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// The first byte of a frame's header: 1 or 2.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

/// A container's log: its driver and where that keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// `json-file` or `none`; empty means `json-file`.
    pub driver: String,
    /// The log file (`<data-root>/containers/<id>/<id>-json.log`); unused by `none`.
    pub path: PathBuf,
    /// The options, as in Docker: `max-size`, `max-file`, ...
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Extra attributes of every entry (`attrs` in the file), made by [`attributes`].
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// The options any driver takes.
const COMMON_OPTIONS: &[&str] = &[
    "mode",
    "max-buffer-size",
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
];
/// The options of `json-file`.
const JSON_FILE_OPTIONS: &[&str] = &[
    "max-file",
    "max-size",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
];

/// Checks a driver's name and options, with Docker's texts.
///
/// # Errors
/// [`Error::UnknownDriver`], [`Error::UnknownOption`], [`Error::BadValue`], or [`Error::Unsupported`] for what Docker
/// has and Dhow has not yet.
pub fn validate(driver: &str, options: &BTreeMap<String, String>) -> Result<(), Error> {
    match driver {
        "none" => return Ok(()),
        "" | "json-file" => {}
        other => return Err(Error::UnknownDriver(other.to_string())),
    }
    validate_mode(options)?;
    for option in options.keys().map(String::as_str) {
        if !JSON_FILE_OPTIONS.contains(&option) && !COMMON_OPTIONS.contains(&option) {
            return Err(Error::UnknownOption {
                driver: "json-file".into(),
                option: option.into(),
            });
        }
    }
    for option in ["labels-regex", "env-regex"] {
        if let Some(pattern) = options.get(option) {
            Regex::new(pattern)
                .map_err(|error| Error::BadValue(format!("error parsing {option}: {error}")))?;
        }
    }
    if options.get("tag").is_some_and(|tag| tag.contains("{{")) {
        return Err(Error::Unsupported("tag".into()));
    }
    JsonFileOptions::parse(options).map(drop)
}

fn validate_mode(options: &BTreeMap<String, String>) -> Result<(), Error> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(Error::BadValue(format!(
            "logger: logging mode not supported: {mode}"
        )));
    }
    let Some(size) = options.get("max-buffer-size") else {
        return Ok(());
    };
    if mode != "non-blocking" {
        let text = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
        return Err(Error::BadValue(text.into()));
    }
    human_size(size, 1024.0)
        .map(drop)
        .map_err(|text| Error::BadValue(format!("error parsing option max-buffer-size: {text}")))
}

/// The extra attributes which the options `labels`, `labels-regex`, `env`, `env-regex` and `tag` select.
///
/// `env` is the container's environment as `KEY=value`.
#[must_use]
pub fn attributes(
    options: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    env: &[String],
) -> BTreeMap<String, String> {
    let env: BTreeMap<String, String> = env
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let mut selected = BTreeMap::new();
    select(
        &mut selected,
        labels,
        options.get("labels"),
        options.get("labels-regex"),
    );
    select(
        &mut selected,
        &env,
        options.get("env"),
        options.get("env-regex"),
    );
    if let Some(tag) = options.get("tag").filter(|tag| !tag.is_empty()) {
        selected.insert("tag".into(), tag.clone());
    }
    selected
}

fn select(
    selected: &mut BTreeMap<String, String>,
    from: &BTreeMap<String, String>,
    names: Option<&String>,
    pattern: Option<&String>,
) {
    let names: Vec<&str> = names
        .map(|names| names.split(',').collect())
        .unwrap_or_default();
    let pattern = pattern
        .filter(|pattern| !pattern.is_empty())
        .and_then(|pattern| Regex::new(pattern).ok());
    for (key, value) in from {
        if names.contains(&key.as_str())
            || pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(key))
        {
            selected.insert(key.clone(), value.clone());
        }
    }
}

/// The options of `json-file` that concern its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JsonFileOptions {
    /// Rotate before a line when the file has at least so many bytes; `None`: never.
    pub(crate) max_size: Option<u64>,
    /// How many files there are at most.
    pub(crate) max_file: u32,
}

impl JsonFileOptions {
    pub(crate) fn parse(options: &BTreeMap<String, String>) -> Result<Self, Error> {
        let max_size = match options.get("max-size") {
            Some(text) => Some(parse_max_size(text)?),
            None => None,
        };
        let max_file = match options.get("max-file") {
            Some(text) => parse_max_file(text)?,
            None => 1,
        };
        match options
            .get("compress")
            .map_or(Ok(false), |text| parse_bool(text))?
        {
            true if max_file < 2 || max_size.is_none() => Err(Error::BadValue(
                "compress cannot be true when max-file is less than 2 or max-size is not set"
                    .into(),
            )),
            true => Err(Error::Unsupported("compress".into())),
            false => Ok(Self { max_size, max_file }),
        }
    }
}

fn parse_max_size(text: &str) -> Result<u64, Error> {
    match human_size(text, 1000.0) {
        Ok(0) => Err(Error::BadValue("max-size must be a positive number".into())),
        Ok(size) => Ok(size),
        Err(text) => Err(Error::BadValue(text)),
    }
}

fn parse_max_file(text: &str) -> Result<u32, Error> {
    let number: i64 = text.parse().map_err(|_| {
        Error::BadValue(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))
    })?;
    match u32::try_from(number) {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err(Error::BadValue("max-file cannot be less than 1".into())),
    }
}

/// A truth value as Go's `strconv.ParseBool` reads it.
fn parse_bool(text: &str) -> Result<bool, Error> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::BadValue(format!(
            "strconv.ParseBool: parsing \"{text}\": invalid syntax"
        ))),
    }
}

/// A size like `10m`, `1.5 kB` or `2GiB`, as Docker's `go-units` reads it, with units in powers of `base`.
fn human_size(text: &str, base: f64) -> Result<u64, String> {
    let last = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
        .ok_or_else(|| format!("invalid size: '{text}'"))?;
    let (number, suffix) = (
        text[..=last].trim_end_matches(' '),
        text[last + 1..].to_ascii_lowercase(),
    );
    let number: f64 = number
        .parse()
        .map_err(|_| format!("strconv.ParseFloat: parsing \"{number}\": invalid syntax"))?;
    if number < 0.0 || !number.is_finite() {
        return Err(format!("invalid size: '{text}'"));
    }
    let (unit, rest) = match suffix.split_at_checked(1) {
        None => (0, ""),
        Some(("b", "")) => (0, ""),
        Some((letter, rest)) => match "kmgtp".find(letter) {
            Some(place) => (place + 1, rest),
            None => return Err(format!("invalid suffix: '{suffix}'")),
        },
    };
    if !matches!(rest, "" | "b" | "ib") {
        return Err(format!("invalid suffix: '{suffix}'"));
    }
    let scale = (0..unit).fold(1.0, |scale, _| scale * base);
    Ok(truncate(number * scale))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked finite and not negative; saturates"
)]
const fn truncate(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_string(), (*value).to_string()))
            .collect()
    }

    #[test]
    fn sizes_are_dockers() {
        for (text, expected) in [
            ("10", Ok(10)),
            ("10b", Ok(10)),
            ("10k", Ok(10_000)),
            ("10KB", Ok(10_000)),
            ("1.5 m", Ok(1_500_000)),
            ("2GiB", Ok(2_000_000_000)),
            ("-1", Err("invalid size: '-1'".to_string())),
            ("x", Err("invalid size: 'x'".to_string())),
            ("1x", Err("invalid suffix: 'x'".to_string())),
            ("1kx", Err("invalid suffix: 'kx'".to_string())),
            ("1bb", Err("invalid suffix: 'bb'".to_string())),
        ] {
            assert_eq!(human_size(text, 1000.0), expected, "{text}");
        }
        assert_eq!(human_size("1k", 1024.0), Ok(1024));
    }

    #[test]
    fn wrong_options_have_dockers_texts() {
        for (driver, options, text) in [
            (
                "splunk",
                vec![],
                "logger: no log driver named 'splunk' is registered",
            ),
            (
                "json-file",
                vec![("max-sise", "1")],
                "unknown log opt 'max-sise' for json-file log driver",
            ),
            (
                "json-file",
                vec![("max-size", "0")],
                "max-size must be a positive number",
            ),
            (
                "json-file",
                vec![("max-file", "0")],
                "max-file cannot be less than 1",
            ),
            (
                "json-file",
                vec![("mode", "x")],
                "logger: logging mode not supported: x",
            ),
            (
                "",
                vec![("compress", "true")],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
        ] {
            assert_eq!(
                validate(driver, &map(&options)).unwrap_err().to_string(),
                text
            );
        }
        validate("none", &map(&[("whatever", "1")])).unwrap();
        validate(
            "json-file",
            &map(&[
                ("max-size", "10m"),
                ("max-file", "3"),
                ("mode", "non-blocking"),
            ]),
        )
        .unwrap();
    }

    #[test]
    fn attributes_are_selected_by_name_and_pattern() {
        let options = map(&[("labels", "a,b"), ("env-regex", "^X_"), ("tag", "t")]);
        let labels = map(&[("a", "1"), ("c", "3")]);
        let env = ["X_Y=z=1".to_string(), "PATH=/bin".to_string()];
        assert_eq!(
            attributes(&options, &labels, &env),
            map(&[("a", "1"), ("X_Y", "z=1"), ("tag", "t")])
        );
    }
}
