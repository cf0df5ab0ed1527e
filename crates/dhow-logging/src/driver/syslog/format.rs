//! How a message looks: RFC 3164, RFC 5424, and the short form a machine's own receiver takes.

use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Without a host's name; the default.
    Local,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424, with times in seconds.
    Rfc5424,
    /// RFC 5424, with times in microseconds.
    Rfc5424Micro,
}

impl Format {
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name {
            "" => Ok(Self::Local),
            "rfc3164" => Ok(Self::Rfc3164),
            "rfc5424" => Ok(Self::Rfc5424),
            "rfc5424micro" => Ok(Self::Rfc5424Micro),
            _ => Err("Invalid syslog format".into()),
        }
    }
}

/// Writes messages.
pub(super) struct Formatter {
    format: Format,
    tag: String,
    host: String,
    pid: u32,
    zone: TimeZone,
    /// Each message begins with its length, as RFC 5425 wants it.
    counted: bool,
    /// What the last message began with, its priority and its second.
    last: Option<(u8, i64, String)>,
}

impl Formatter {
    pub(super) fn new(format: Format, tag: &str, secure: bool) -> Self {
        Self {
            format,
            tag: tag.to_owned(),
            host: crate::driver::host_name(),
            pid: std::process::id(),
            zone: TimeZone::system(),
            counted: secure && matches!(format, Format::Rfc5424 | Format::Rfc5424Micro),
            last: None,
        }
    }

    /// Appends the message for a line.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, priority: u8, time: SystemTime, line: &[u8]) {
        let time = Timestamp::try_from(time).unwrap_or_default();
        let known = match self.last.take() {
            Some((of, second, head))
                if self.format != Format::Rfc5424Micro
                    && of == priority
                    && second == time.as_second() =>
            {
                Some(head)
            }
            _ => None,
        };
        let head = known.unwrap_or_else(|| self.head(priority, time));
        if self.counted {
            let length = head.len() + line.len() + 1;
            out.extend_from_slice(format!("{length} ").as_bytes());
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(line);
        out.push(b'\n');
        self.last = Some((priority, time.as_second(), head));
    }

    fn head(&self, priority: u8, time: Timestamp) -> String {
        let (tag, pid, host) = (&self.tag, self.pid, &self.host);
        let time = time.to_zoned(self.zone.clone());
        match self.format {
            Format::Local => format!("<{priority}>{} {tag}[{pid}]: ", stamp(&time)),
            Format::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: ", stamp(&time)),
            Format::Rfc5424 => format!(
                "<{priority}>1 {}{} {host} {tag} {pid} {tag} - ",
                time.strftime("%Y-%m-%dT%H:%M:%S"),
                offset(&time)
            ),
            Format::Rfc5424Micro => format!(
                "<{priority}>1 {}{} {host} {tag} {pid} {tag} - ",
                time.strftime("%Y-%m-%dT%H:%M:%S%.6f"),
                offset(&time)
            ),
        }
    }
}

fn stamp(time: &Zoned) -> impl std::fmt::Display {
    time.strftime("%b %e %H:%M:%S")
}

fn offset(time: &Zoned) -> String {
    if time.offset().is_zero() {
        return "Z".into();
    }
    time.strftime("%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn message(format: Format, secure: bool, zone: TimeZone) -> String {
        let mut formatter = Formatter {
            format,
            tag: "tag".into(),
            host: "vm".into(),
            pid: 7,
            zone,
            counted: Formatter::new(format, "", secure).counted,
            last: None,
        };
        let mut out = Vec::new();
        let time = UNIX_EPOCH + Duration::new(1_772_323_200, 515_464_000);
        formatter.push(&mut out, 30, time, b"hello");
        String::from_utf8_lossy(&out).into_owned()
    }

    /// As a real engine sent them.
    #[test]
    fn messages_are_dockers() {
        let utc = TimeZone::UTC;
        for (format, secure, expected) in [
            (Format::Local, false, "<30>Mar  1 00:00:00 tag[7]: hello\n"),
            (
                Format::Rfc3164,
                true,
                "<30>Mar  1 00:00:00 vm tag[7]: hello\n",
            ),
            (
                Format::Rfc5424,
                false,
                "<30>1 2026-03-01T00:00:00Z vm tag 7 tag - hello\n",
            ),
            (
                Format::Rfc5424Micro,
                false,
                "<30>1 2026-03-01T00:00:00.515464Z vm tag 7 tag - hello\n",
            ),
            (
                Format::Rfc5424,
                true,
                "48 <30>1 2026-03-01T00:00:00Z vm tag 7 tag - hello\n",
            ),
        ] {
            assert_eq!(message(format, secure, utc.clone()), expected);
        }
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(
            message(Format::Rfc5424, false, east),
            "<30>1 2026-03-01T02:00:00+02:00 vm tag 7 tag - hello\n"
        );
    }
}
