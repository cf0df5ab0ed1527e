//! Times as Go prints them.

use dhow_api::ZERO_TIME;
use jiff::Timestamp;

/// RFC 3339 with as many digits as needed (Go's `RFC3339Nano`).
pub(crate) fn rfc3339(time: Timestamp) -> String {
    time.to_string()
}

/// RFC 3339; the zero time when there is none.
pub(crate) fn or_zero(time: Option<Timestamp>) -> String {
    time.map_or_else(|| ZERO_TIME.to_owned(), rfc3339)
}

/// RFC 3339 without fractions.
pub(crate) fn seconds_only(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// Seconds since 1970, rounded down.
pub(crate) fn unix(time: Timestamp) -> i64 {
    time.as_second()
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nano(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn times_read_as_gos() {
        let time: Timestamp = "2026-11-21T01:52:07.16962140Z".parse().unwrap();
        assert_eq!(rfc3339(time), "2026-11-21T01:52:07.1696214Z");
        assert_eq!(seconds_only(time), "2026-11-21T01:52:07Z");
        assert_eq!(unix(time), 1_795_225_927);
        assert_eq!(unix_nano(time), 1_795_225_927_169_621_400);
        assert_eq!(or_zero(None), "0001-01-01T00:00:00Z");
        let whole: Timestamp = "2026-11-21T01:52:12Z".parse().unwrap();
        assert_eq!(rfc3339(whole), "2026-11-21T01:52:12Z");
    }
}
