//! The values of options, read as Docker (in Go) reads them, with its texts.

use std::collections::BTreeMap;
use std::time::Duration;

use dhow_golang::{atoi, parse_bool, parse_duration, parse_uint};

/// The options of a log, by name.
pub(crate) type Options = BTreeMap<String, String>;

/// An option's value; the empty text when it is not there.
pub(crate) fn text<'a>(options: &'a Options, name: &str) -> &'a str {
    options.get(name).map_or("", String::as_str)
}

/// A truth value.
pub(crate) fn truth(text: &str) -> Result<bool, String> {
    parse_bool(text).map_err(|error| error.to_string())
}

/// A whole number.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    atoi(text).map_err(|error| error.to_string())
}

/// A number that is not negative, of at most `bits` bits.
pub(crate) fn unsigned(text: &str, bits: u32) -> Result<u64, String> {
    parse_uint(text, 10, bits).map_err(|error| error.to_string())
}

/// A length of time like `1.5s` or `1m30s`; negative ones come with `true`.
pub(crate) fn duration(text: &str) -> Result<(Duration, bool), String> {
    let nanoseconds = parse_duration(text).map_err(|error| error.to_string())?;
    let time = Duration::from_nanos(nanoseconds.unsigned_abs());
    Ok((time, nanoseconds < 0))
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
