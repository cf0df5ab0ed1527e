//! The values of options, read as Docker (in Go) reads them, with its texts.

use std::collections::BTreeMap;
use std::time::Duration;

/// The options of a log, by name.
pub(crate) type Options = BTreeMap<String, String>;

/// An option's value; the empty text when it is not there.
pub(crate) fn text<'a>(options: &'a Options, name: &str) -> &'a str {
    options.get(name).map_or("", String::as_str)
}

/// A truth value as Go's `strconv.ParseBool` reads it.
pub(crate) fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(syntax("ParseBool", text)),
    }
}

/// A whole number as Go's `strconv.Atoi` reads it.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| syntax("Atoi", text))
}

/// A number that is not negative, of at most `bits` bits, as Go's `strconv.ParseUint` reads it.
pub(crate) fn unsigned(text: &str, bits: u32) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if digits && (bits == 64 || number >> bits == 0) => Ok(number),
        _ if digits => Err(format!(
            "strconv.ParseUint: parsing \"{text}\": value out of range"
        )),
        _ => Err(syntax("ParseUint", text)),
    }
}

fn syntax(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing \"{text}\": invalid syntax")
}

/// The units of a duration, and their length in nanoseconds.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A length of time like `1.5s` or `1m30s`, as Go's `time.ParseDuration` reads it; negative ones come with `true`.
pub(crate) fn duration(text: &str) -> Result<(Duration, bool), String> {
    let invalid = || format!("time: invalid duration \"{text}\"");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok((Duration::ZERO, false));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = &rest[..letters];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration \"{text}\""));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!(
                "time: unknown unit \"{unit}\" in duration \"{text}\""
            ));
        };
        nanos += number * scale;
        rest = &rest[letters..];
    }
    Ok((Duration::from_nanos(truncate(nanos)), negative))
}

/// A size like `10m`, `1.5 kB` or `2GiB`, as Docker's `go-units` reads it, with units in powers of `base`.
pub(crate) fn size(text: &str, base: f64) -> Result<u64, String> {
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
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        for (text, expected) in [
            ("10", Ok(10)),
            ("10b", Ok(10)),
            ("10k", Ok(10_000)),
            ("10KB", Ok(10_000)),
            ("1.5 m", Ok(1_500_000)),
            ("2GiB", Ok(2_000_000_000)),
            ("", Err("invalid size: ''".to_string())),
            ("-1", Err("invalid size: '-1'".to_string())),
            ("x", Err("invalid size: 'x'".to_string())),
            ("1x", Err("invalid suffix: 'x'".to_string())),
            ("1kx", Err("invalid suffix: 'kx'".to_string())),
            ("1bb", Err("invalid suffix: 'bb'".to_string())),
        ] {
            assert_eq!(size(text, 1000.0), expected, "{text}");
        }
        assert_eq!(size("1k", 1024.0), Ok(1024));
    }

    #[test]
    fn durations_are_gos() {
        let ms = |milliseconds| Ok((Duration::from_millis(milliseconds), false));
        for (text, expected) in [
            ("1s", ms(1000)),
            ("1.5s", ms(1500)),
            ("1m30s", ms(90_000)),
            ("0", ms(0)),
            ("+5ms", ms(5)),
            ("-1s", Ok((Duration::from_secs(1), true))),
            ("", Err("time: invalid duration \"\"".to_string())),
            ("x", Err("time: invalid duration \"x\"".to_string())),
            ("1", Err("time: missing unit in duration \"1\"".to_string())),
            (
                "1y",
                Err("time: unknown unit \"y\" in duration \"1y\"".to_string()),
            ),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_have_gos_texts() {
        assert_eq!(unsigned("65535", 16), Ok(65_535));
        assert_eq!(
            unsigned("99999", 16),
            Err("strconv.ParseUint: parsing \"99999\": value out of range".into())
        );
        assert_eq!(
            unsigned("-1", 64),
            Err("strconv.ParseUint: parsing \"-1\": invalid syntax".into())
        );
        assert_eq!(
            integer(""),
            Err("strconv.Atoi: parsing \"\": invalid syntax".into())
        );
        assert_eq!(
            truth("x"),
            Err("strconv.ParseBool: parsing \"x\": invalid syntax".into())
        );
    }
}
