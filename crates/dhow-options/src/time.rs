//! `--since` and `--until`: a moment, Unix seconds or a duration before now, as the API takes them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use dhow_golang::parse_duration;

/// The moment in Unix seconds with nanoseconds, or the text itself where it is none.
pub fn timestamp(text: &str, now: Timestamp) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if let Ok(before) = parse_duration(text) {
        let moment = now - SignedDuration::from_nanos(before);
        return Ok(moment.as_second().to_string());
    }
    let shape = |c: char| c.is_ascii_digit();
    if text.split('.').count() <= 2
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.chars().all(shape))
    {
        return Ok(text.to_owned());
    }
    let zoned: Option<Timestamp> = text.parse().ok();
    let moment = zoned
        .or_else(|| local(text))
        .ok_or_else(|| format!("failed to parse value as time or duration: {text:?}"))?;
    Ok(format!(
        "{}.{:09}",
        moment.as_second(),
        moment.subsec_nanosecond()
    ))
}

/// A date with or without a time, in this machine's zone.
fn local(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok().or_else(|| {
        Some(
            text.parse::<jiff::civil::Date>()
                .ok()?
                .to_datetime(jiff::civil::Time::midnight()),
        )
    })?;
    civil
        .to_zoned(TimeZone::system())
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn moments_are_read() {
        let now: Timestamp = "2026-01-02T03:04:05.5Z".parse().unwrap();
        for (text, expected) in [
            ("", ""),
            ("1136073845.000000001", "1136073845.000000001"),
            ("42", "42"),
            ("10s", "1767323035"),
            ("2013-01-02T13:23:37Z", "1357133017.000000000"),
            ("2013-01-02T13:23:37.25+02:00", "1357125817.250000000"),
        ] {
            assert_eq!(timestamp(text, now).unwrap(), expected, "{text}");
        }
        assert!(timestamp("yesterday", now).is_err());
    }
}
