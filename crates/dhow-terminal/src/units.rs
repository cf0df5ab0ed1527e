//! Sizes and durations as people write and read them, with the roundings of Docker's `go-units`.

use std::time::Duration;

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// A size in powers of 1000 with four significant digits: `1.024kB`.
#[must_use]
pub fn human_size(bytes: f64) -> String {
    human_size_with(bytes, 4)
}

/// A size in powers of 1000 with `digits` significant digits: `1.02GB` with three.
#[must_use]
pub fn human_size_with(bytes: f64, digits: usize) -> String {
    scaled(bytes, 1000.0, digits, &DECIMAL)
}

/// A size in powers of 1024 with four significant digits: `1.5GiB`.
#[must_use]
pub fn bytes_size(bytes: f64) -> String {
    scaled(bytes, 1024.0, 4, &BINARY)
}

fn scaled(mut size: f64, base: f64, digits: usize, units: &[&str]) -> String {
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{}{}", general(size, digits), units[unit])
}

/// C's and Go's `%.{digits}g`: significant digits, no trailing zeros, an exponent where the number needs one.
#[must_use]
pub fn general(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    trim_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn trim_zeros(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

/// Reads a size in powers of 1024 (`512m`, `1.5GiB`, `100`).
///
/// # Errors
/// Docker's texts: `invalid size: 'x'`, `invalid suffix: 'x'`.
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let last = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
        .ok_or_else(invalid)?;
    let (number, suffix) = if text.as_bytes()[last] == b' ' {
        (&text[..last], &text[last + 1..])
    } else {
        text.split_at(last + 1)
    };
    let size: f64 = parse_float(number)?;
    if size < 0.0 {
        return Err(invalid());
    }
    let lower = suffix.to_lowercase();
    let bad = || format!("invalid suffix: '{lower}'");
    if suffix.len() > 3 {
        return Err(format!("invalid suffix: '{suffix}'"));
    }
    let power = match lower.as_bytes().first() {
        None => 0,
        Some(b'b') if lower.len() == 1 => 0,
        Some(b'k') => 1,
        Some(b'm') => 2,
        Some(b'g') => 3,
        Some(b't') => 4,
        Some(b'p') => 5,
        Some(_) => return Err(bad()),
    };
    if power > 0 && !matches!(&lower[1..], "" | "b" | "ib") {
        return Err(bad());
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "saturates, as sizes beyond 8 EiB may"
    )]
    Ok((size * 1024_f64.powi(power)) as i64)
}

fn parse_float(text: &str) -> Result<f64, String> {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    plain
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
}

/// A duration in one rough unit: `Less than a second`, `About a minute`, `3 days`.
#[must_use]
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sizes_round_as_go_units() {
        assert_eq!(human_size(0.0), "0B");
        assert_eq!(human_size(1024.0), "1.024kB");
        assert_eq!(human_size(1_000_000.0), "1MB");
        assert_eq!(human_size_with(1_984_400.0, 3), "1.98MB");
        assert_eq!(human_size_with(999_900_000.0, 3), "1e+03MB");
        assert_eq!(human_size_with(187_654_321.0, 3), "188MB");
        assert_eq!(bytes_size(25_276_514_304.0), "23.54GiB");
        assert_eq!(bytes_size(512.0 * 1024.0 * 1024.0), "512MiB");
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("100", 100),
            ("32b", 32),
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("2 GiB", 2 << 30),
            ("4kb", 4096),
            ("1K", 1024),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_bytes("x").unwrap_err(), "invalid size: 'x'");
        assert_eq!(parse_bytes("-5").unwrap_err(), "invalid size: '-5'");
        assert_eq!(parse_bytes("5zb").unwrap_err(), "invalid suffix: 'zb'");
        assert_eq!(parse_bytes("5mx").unwrap_err(), "invalid suffix: 'mx'");
        assert_eq!(parse_bytes("5kilo").unwrap_err(), "invalid suffix: 'kilo'");
        assert_eq!(
            parse_bytes("1..2").unwrap_err(),
            "strconv.ParseFloat: parsing \"1..2\": invalid syntax"
        );
    }

    #[test]
    fn durations_are_rough() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3600, "About an hour"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (15 * 86400, "2 weeks"),
            (61 * 86400, "2 months"),
            (800 * 86400, "2 years"),
        ] {
            assert_eq!(human_duration(Duration::from_secs(seconds)), text);
        }
    }
}
