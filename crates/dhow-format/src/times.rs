//! Moments as Docker shows them.

use std::time::Duration;

use dhow_terminal::units::human_duration;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `3 minutes ago`.
pub fn ago(moment: Timestamp) -> String {
    let elapsed = Timestamp::now().duration_since(moment);
    let elapsed = Duration::try_from(elapsed).unwrap_or_default();
    format!("{} ago", human_duration(elapsed))
}

/// Go's `Time.String` in this machine's zone: `2026-01-02 03:04:05.5 +0000 UTC`.
pub fn go(moment: Timestamp) -> String {
    moment
        .to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S%.f %z %Z")
        .to_string()
}

/// RFC 3339 with nine digits, in this machine's zone.
pub fn fixed(seconds: i64, nanoseconds: i32) -> String {
    let moment = Timestamp::new(seconds, nanoseconds).unwrap_or_default();
    let zoned = moment.to_zoned(TimeZone::system());
    let text = zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f").to_string();
    let zone = zoned.strftime("%:z").to_string();
    if zone == "+00:00" {
        text + "Z"
    } else {
        text + &zone
    }
}

/// A moment in Unix seconds.
pub fn unix(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or_default()
}
