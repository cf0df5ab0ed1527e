//! RFC 3339 times as Go writes and reads them, without allocation.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: u64 = 86_400;

/// A point in time: seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl From<jiff::Timestamp> for Instant {
    fn from(time: jiff::Timestamp) -> Self {
        let nanos = time.as_nanosecond();
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
        let nanos = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0);
        Self { seconds, nanos }
    }
}

/// The text of a time, in a fixed buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    bytes: [u8; 30],
    length: usize,
}

impl Text {
    /// `time` as Go's `RFC3339Nano` in UTC: no trailing zeros in the fraction, and none if it is zero.
    pub(crate) fn nano(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, mut nanos) = (since.as_secs(), since.subsec_nanos());
        let (year, month, day) = civil(seconds / SECONDS_A_DAY);
        let clock = seconds % SECONDS_A_DAY;
        let mut text = Self {
            bytes: [0; 30],
            length: 0,
        };
        text.number(year, 4);
        text.push(b'-');
        text.number(month, 2);
        text.push(b'-');
        text.number(day, 2);
        text.push(b'T');
        text.number(clock / 3600, 2);
        text.push(b':');
        text.number(clock / 60 % 60, 2);
        text.push(b':');
        text.number(clock % 60, 2);
        if nanos != 0 {
            let mut width = 9;
            while nanos.is_multiple_of(10) {
                nanos /= 10;
                width -= 1;
            }
            text.push(b'.');
            text.number(u64::from(nanos), width);
        }
        text.push(b'Z');
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn number(&mut self, mut value: u64, width: usize) {
        for place in (self.length..self.length + width).rev() {
            self.bytes[place] = digit(value % 10);
            value /= 10;
        }
        self.length += width;
    }
}

#[allow(clippy::cast_possible_truncation, reason = "below 10 by construction")]
const fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

/// The date of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`), at most the year 9999.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days.min(2_932_896) + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The day counted from 1970-01-01 of a date (`days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Reads an RFC 3339 time. The usual form (UTC, ends in `Z`) is fast; others go through `jiff`.
pub(crate) fn parse(text: &[u8]) -> Option<Instant> {
    parse_utc(text).or_else(|| {
        let time: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(time.into())
    })
}

fn parse_utc(text: &[u8]) -> Option<Instant> {
    let (text, z) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if z != b"Z" || text.len() < 19 || text[4] != b'-' || text[10] != b'T' || text[13] != b':' {
        return None;
    }
    let date = days(
        number(&text[..4])?,
        number(&text[5..7])?,
        number(&text[8..10])?,
    );
    let clock =
        number(&text[11..13])? * 3600 + number(&text[14..16])? * 60 + number(&text[17..19])?;
    let nanos = match &text[19..] {
        [] => 0,
        [b'.', digits @ ..] if !digits.is_empty() && digits.len() <= 9 => {
            let scale = 10_i64.pow(9 - u32::try_from(digits.len()).ok()?);
            number(digits)? * scale
        }
        _ => return None,
    };
    Some(Instant {
        seconds: date * 86_400 + clock,
        nanos: u32::try_from(nanos).ok()?,
    })
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

/// Appends `text` (a time as stored) with nine digits of fraction, as Docker prints times before lines.
pub(crate) fn push_fixed(out: &mut Vec<u8>, text: &[u8]) {
    let Some((b'Z', plain)) = text.split_last() else {
        return push_fixed_other(out, text);
    };
    let (whole, fraction) = plain.split_at(plain.len().min(19));
    let digits = fraction.strip_prefix(b".").unwrap_or(fraction);
    out.extend_from_slice(whole);
    out.push(b'.');
    let kept = &digits[..digits.len().min(9)];
    out.extend_from_slice(kept);
    out.extend_from_slice(&b"000000000"[kept.len()..]);
    out.push(b'Z');
}

fn push_fixed_other(out: &mut Vec<u8>, text: &[u8]) {
    let time: Option<jiff::Timestamp> = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    match time {
        Some(time) => out.extend_from_slice(format!("{time:.9}").as_bytes()),
        None => out.extend_from_slice(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::Duration;

    fn text(seconds: u64, nanos: u32) -> String {
        let text = Text::nano(UNIX_EPOCH + Duration::new(seconds, nanos));
        String::from_utf8(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn prints_as_go_does() {
        for (seconds, nanos, expected) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (0, 1, "1970-01-01T00:00:00.000000001Z"),
            (951_782_400, 120_000_000, "2000-02-29T00:00:00.12Z"),
            (1_735_689_599, 999_999_999, "2024-12-31T23:59:59.999999999Z"),
            (1_772_323_200, 500, "2026-03-01T00:00:00.0000005Z"),
        ] {
            assert_eq!(text(seconds, nanos), expected);
        }
    }

    #[test]
    fn agrees_with_jiff_on_many_days() {
        for day in (0..40_000_u64).step_by(13) {
            let (seconds, nanos) = (
                day * 86_400 + day % 86_400,
                u32::try_from(day).unwrap() * 1_000,
            );
            let ours = text(seconds, nanos);
            let time = jiff::Timestamp::new(
                i64::try_from(seconds).unwrap(),
                i32::try_from(nanos).unwrap(),
            )
            .unwrap();
            assert_eq!(ours.parse::<jiff::Timestamp>().unwrap(), time);
            assert_eq!(parse(ours.as_bytes()).unwrap(), Instant::from(time));
        }
    }

    #[test]
    fn reads_offsets_and_refuses_nonsense() {
        let utc = parse(b"2026-03-01T10:00:00.5Z").unwrap();
        assert_eq!(parse(b"2026-03-01T12:00:00.5+02:00").unwrap(), utc);
        for bad in [
            &b""[..],
            b"Z",
            b"2026",
            b"2026-03-01T10:00:0xZ",
            b"2026-03-01T10:00:00.Z",
        ] {
            assert_eq!(parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn fixed_has_nine_digits() {
        for (stored, fixed) in [
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000000000Z"),
            ("2026-03-01T10:00:00.5Z", "2026-03-01T10:00:00.500000000Z"),
            (
                "2026-03-01T12:00:00.123456789+02:00",
                "2026-03-01T10:00:00.123456789Z",
            ),
        ] {
            let mut out = Vec::new();
            push_fixed(&mut out, stored.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), fixed);
        }
    }
}
