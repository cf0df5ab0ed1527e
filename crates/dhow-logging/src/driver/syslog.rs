//! The driver `syslog`: one message a line, over datagrams, streams or TLS.

mod format;

use std::path::{Path, PathBuf};

use self::format::{Format, Formatter};
use super::Driver;
use super::link::Link;
use crate::entry::Entry;
use crate::net::{Target, Tls, TlsFiles, Url, host_port};
use crate::options::{Options, text, unsigned};
use crate::{Error, LogConfig, Stream};
use dhow_golang::io_text;

/// Its own options.
pub(crate) const OPTIONS: &[&str] = &[
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];

/// The facilities by their number.
const FACILITIES: [&str; 20] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
/// Between `ftp` (11) and `local0` (16) are numbers without a name.
const FIRST_LOCAL: usize = 12;
/// Where the machine's own receiver may listen.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];
const PORT: u16 = 514;

/// Checks what Docker checks when a container is created.
pub(crate) fn validate(options: &Options) -> Result<(), Error> {
    let check = || {
        target(text(options, "syslog-address"))?;
        facility(text(options, "syslog-facility"))?;
        Format::named(text(options, "syslog-format")).map(drop)
    };
    check().map_err(Error::BadValue)
}

/// Where to send; `None` is the machine's own receiver.
fn target(address: &str) -> Result<Option<Target>, String> {
    if address.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(address)?;
    let path = || {
        let path = PathBuf::from(url.path);
        match std::fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(format!("stat {}: {}", path.display(), io_text(&error))),
        }
    };
    let host = || {
        let (host, port) = host_port(url.authority)?;
        let port = match port {
            None => PORT,
            Some(port) => u16::try_from(unsigned(port, 16)?).unwrap_or(PORT),
        };
        Ok::<_, String>((host.to_owned(), port))
    };
    Ok(Some(match url.scheme {
        "unix" => Target::Unix(path()?),
        "unixgram" => Target::Unixgram(path()?),
        "udp" => host().map(|(host, port)| Target::Udp(host, port))?,
        "tcp" => host().map(|(host, port)| Target::Tcp(host, port))?,
        "tcp+tls" => host().map(|(host, port)| Target::Tls(host, port))?,
        scheme => return Err(format!("unsupported scheme: '{scheme}'")),
    }))
}

/// A facility's number, by name or number; `daemon` when none is given.
fn facility(text: &str) -> Result<u8, String> {
    if text.is_empty() {
        return Ok(3);
    }
    if let Some(place) = FACILITIES.iter().position(|name| *name == text) {
        let number = if place < FIRST_LOCAL {
            place
        } else {
            place + 4
        };
        return Ok(u8::try_from(number).unwrap_or(3));
    }
    match text.parse() {
        Ok(number @ 0..=23) => Ok(number),
        _ => Err("invalid syslog facility".into()),
    }
}

/// The driver.
pub(super) struct Syslog {
    link: Link,
    formatter: Formatter,
    facility: u8,
    message: Vec<u8>,
}

impl Syslog {
    pub(super) fn open(config: &LogConfig) -> Result<Self, String> {
        let options = &config.options;
        let address = text(options, "syslog-address");
        let target = target(address)?;
        let format = Format::named(text(options, "syslog-format"))?;
        let facility = facility(text(options, "syslog-facility"))?;
        let secure = matches!(target, Some(Target::Tls(..)));
        let link = match target {
            None => local()?,
            Some(target) => {
                let tls = secure.then(|| Tls::new(&files(options))).transpose()?;
                let mut link = Link::new(target, tls);
                link.connect()?;
                link
            }
        };
        Ok(Self {
            link,
            formatter: Formatter::new(format, config.origin.tag(), secure),
            facility,
            message: Vec::new(),
        })
    }
}

fn files(options: &Options) -> TlsFiles {
    let path = |name: &str| match text(options, name) {
        "" => None,
        path => Some(Path::new(path).to_path_buf()),
    };
    TlsFiles {
        ca: path("syslog-tls-ca-cert"),
        cert: path("syslog-tls-cert"),
        key: path("syslog-tls-key"),
        // Docker looks only whether it is there.
        skip_verify: options.contains_key("syslog-tls-skip-verify"),
    }
}

/// The machine's own receiver, over datagrams or a stream.
fn local() -> Result<Link, String> {
    for path in LOCAL.map(PathBuf::from) {
        for target in [Target::Unixgram(path.clone()), Target::Unix(path)] {
            let mut link = Link::new(target, None);
            if link.connect().is_ok() {
                return Ok(link);
            }
        }
    }
    Err("Unix syslog delivery error".into())
}

impl Driver for Syslog {
    fn deliver(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        if entry.line.is_empty() {
            return Ok(());
        }
        // 3: an error; 6: informational.
        let severity = match entry.stream {
            Stream::Stdout => 6,
            Stream::Stderr => 3,
        };
        self.message.clear();
        let priority = self.facility * 8 + severity;
        self.formatter
            .push(&mut self.message, priority, entry.time, entry.line);
        self.link.send(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_have_their_numbers() {
        for (text, number) in [
            ("", 3),
            ("kern", 0),
            ("ftp", 11),
            ("local0", 16),
            ("local7", 23),
            ("13", 13),
        ] {
            assert_eq!(facility(text), Ok(number), "{text}");
        }
    }
}
