//! The driver `fluentd`: Fluentd's forward protocol, one message a line.

mod msgpack;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::msgpack::Packer;
use super::Driver;
use super::link::Link;
use crate::entry::Entry;
use crate::net::{Target, Tls, TlsFiles, Url, host_port};
use crate::options::{Options, duration, size, text, truth, unsigned};
use crate::{Error, LogConfig};

/// Its own options.
pub(crate) const OPTIONS: &[&str] = &[
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
    "fluentd-max-retries",
    "fluentd-request-ack",
    "fluentd-retry-wait",
    "fluentd-sub-second-precision",
    "fluentd-write-timeout",
];

const HOST: &str = "127.0.0.1";
const PORT: u16 = 24224;
/// How many bytes wait for a receiver when `fluentd-async` is on and no limit is given.
const BUFFER: u64 = 1024 * 1024;
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long an acknowledgement is waited for.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// Checks what Docker checks when a container is created.
pub(crate) fn validate(options: &Options) -> Result<(), Error> {
    Settings::read(options).map(drop).map_err(Error::BadValue)
}

/// How many bytes wait at most rather than make the container wait: only with `fluentd-async`.
pub(crate) fn queue(options: &Options) -> Option<usize> {
    let settings = Settings::read(options).ok()?;
    settings
        .asynchronous
        .then(|| usize::try_from(settings.buffer).unwrap_or(usize::MAX))
}

/// The options, understood.
#[derive(Debug)]
struct Settings {
    target: Target,
    asynchronous: bool,
    buffer: u64,
    reconnect_after: Option<Duration>,
    retries: u64,
    wait: Duration,
    acknowledged: bool,
    sub_second: bool,
    write_timeout: Option<Duration>,
}

impl Settings {
    fn read(options: &Options) -> Result<Self, String> {
        let flag = |name| match text(options, name) {
            "" => Ok(false),
            value => truth(value),
        };
        let buffer = match text(options, "fluentd-buffer-limit") {
            "" => BUFFER,
            limit => size(limit, 1024.0)?,
        };
        Ok(Self {
            target: target(text(options, "fluentd-address"))?,
            asynchronous: flag("fluentd-async")?,
            buffer: if buffer == 0 { BUFFER } else { buffer },
            reconnect_after: reconnect_interval(options)?,
            retries: match text(options, "fluentd-max-retries") {
                "" => u64::from(u32::MAX >> 1),
                retries => unsigned(retries, 32)?,
            },
            wait: match text(options, "fluentd-retry-wait") {
                "" => Duration::from_secs(1),
                wait => match duration(wait)? {
                    (_, true) => Duration::ZERO,
                    (wait, false) => wait,
                },
            },
            acknowledged: flag("fluentd-request-ack")?,
            sub_second: flag("fluentd-sub-second-precision")?,
            write_timeout: write_timeout(options)?,
        })
    }
}

fn reconnect_interval(options: &Options) -> Result<Option<Duration>, String> {
    let name = "fluentd-async-reconnect-interval";
    let value = text(options, name);
    if value.is_empty() {
        return Ok(None);
    }
    let (interval, negative) =
        duration(value).map_err(|error| format!("invalid value for {name}: {error}"))?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(10);
    if negative || !interval.is_zero() && !allowed.contains(&interval) {
        return Err(format!(
            "invalid value for {name}: value (\"{value}\") must be between 100ms and 10s"
        ));
    }
    Ok(Some(interval).filter(|interval| !interval.is_zero()))
}

fn write_timeout(options: &Options) -> Result<Option<Duration>, String> {
    let name = "fluentd-write-timeout";
    let value = text(options, name);
    if value.is_empty() {
        return Ok(None);
    }
    match duration(value) {
        Err(error) => Err(format!(
            "invalid value for {name}: value must be a duration: {error}"
        )),
        Ok((_, true)) => Err(format!(
            "invalid value for {name}: value must be a duration that is non-negative"
        )),
        Ok((timeout, false)) => Ok(Some(timeout).filter(|timeout| !timeout.is_zero())),
    }
}

fn target(address: &str) -> Result<Target, String> {
    if address.is_empty() {
        return Ok(Target::Tcp(HOST.into(), PORT));
    }
    let failed = |text: String| format!("invalid fluentd-address ({address}): {text}");
    let with_scheme = if address.contains("://") {
        address.to_owned()
    } else {
        format!("tcp://{address}")
    };
    let url = Url::parse(&with_scheme).map_err(failed)?;
    match url.scheme {
        "unix" if url.path.trim_matches('/').is_empty() => Err(failed("path is empty".into())),
        "unix" => Ok(Target::Unix(PathBuf::from(url.path))),
        "tcp" | "tls" if !url.path.is_empty() => {
            Err(failed("should not contain a path element".into()))
        }
        "tcp" | "tls" => {
            let (host, port) = host_port(url.authority).map_err(failed)?;
            let host = if host.is_empty() { HOST } else { host }.to_owned();
            let port = match port {
                None | Some("") => PORT,
                Some(port) => unsigned(port, 16)
                    .map(|port| u16::try_from(port).unwrap_or(PORT))
                    .map_err(|error| failed(format!("invalid port: {error}")))?,
            };
            Ok(match url.scheme {
                "tls" => Target::Tls(host, port),
                _ => Target::Tcp(host, port),
            })
        }
        scheme => Err(failed(format!("unsupported scheme: '{scheme}'"))),
    }
}

/// The driver.
pub(super) struct Fluentd {
    settings: Settings,
    link: Link,
    connected: Instant,
    tag: String,
    /// The fields that are the same for every line.
    fields: Vec<(String, String)>,
    chunks: u64,
    packer: Packer,
}

impl Fluentd {
    pub(super) fn open(config: &LogConfig) -> Result<Self, String> {
        let settings = Settings::read(&config.options)?;
        let tls = match settings.target {
            Target::Tls(..) => Some(Tls::new(&TlsFiles::default())?),
            _ => None,
        };
        let mut link = Link::new(settings.target.clone(), tls);
        if !settings.asynchronous {
            link.connect()?;
        }
        let origin = &config.origin;
        let mut fields = vec![
            ("container_id".to_owned(), origin.container_id.clone()),
            (
                "container_name".to_owned(),
                format!("/{}", origin.container_name),
            ),
        ];
        for (key, value) in &config.attributes {
            fields.push((key.clone(), value.clone()));
        }
        Ok(Self {
            settings,
            link,
            connected: Instant::now(),
            tag: origin.tag().to_owned(),
            fields,
            chunks: 0,
            packer: Packer::default(),
        })
    }

    /// `[tag, time, {fields}, {"chunk": id}]`; gives the chunk's id.
    fn compose(&mut self, entry: &Entry<'_>) -> Option<String> {
        let part = entry.part;
        let packer = &mut self.packer;
        packer.clear();
        packer.array(4);
        packer.text(self.tag.as_bytes());
        push_time(packer, entry.time, self.settings.sub_second);
        let count = self.fields.len() + 2 + if part.is_some() { 4 } else { 0 };
        packer.map(count);
        for (key, value) in &self.fields {
            packer.pair(key, value.as_bytes());
        }
        packer.pair("source", entry.stream.name().as_bytes());
        packer.pair("log", entry.line);
        if let Some(part) = part {
            packer.pair("partial_message", b"true");
            packer.pair("partial_id", super::part_id(part).as_bytes());
            packer.pair("partial_ordinal", part.ordinal.to_string().as_bytes());
            packer.pair("partial_last", part.last.to_string().as_bytes());
        }
        if !self.settings.acknowledged {
            packer.map(0);
            return None;
        }
        self.chunks += 1;
        let id = format!("{}-{}", super::run_id(), self.chunks);
        packer.map(1);
        packer.pair("chunk", id.as_bytes());
        Some(id)
    }

    fn attempt(&mut self, chunk: Option<&str>) -> io::Result<()> {
        let stale = self
            .settings
            .reconnect_after
            .is_some_and(|interval| self.connected.elapsed() >= interval);
        if self.settings.asynchronous && stale {
            self.link.close();
            self.connected = Instant::now();
        }
        let timeout = self.settings.write_timeout;
        let connection = self.link.connect().map_err(io::Error::other)?;
        if let Some(timeout) = timeout {
            connection.patience(timeout)?;
        }
        connection.send(self.packer.bytes())?;
        let Some(chunk) = chunk else { return Ok(()) };
        connection.patience(timeout.unwrap_or(ACK_WAIT))?;
        let mut buffer = [0; 256];
        let length = connection.receive(&mut buffer)?;
        // {"ack": id}: the id is ours alone, so that finding it is enough.
        let answer = &buffer[..length];
        match memchr::memmem::find(answer, chunk.as_bytes()) {
            Some(_) => Ok(()),
            None => Err(io::Error::other("the chunk was not acknowledged")),
        }
    }
}

fn push_time(packer: &mut Packer, time: SystemTime, sub_second: bool) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
    if sub_second {
        packer.event_time(seconds, since.subsec_nanos());
    } else {
        packer.seconds(seconds);
    }
}

impl Driver for Fluentd {
    /// As Docker's client does, tries again and again, with growing waits: a receiver that is away makes the
    /// container wait, unless `fluentd-async` is on.
    fn deliver(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let chunk = self.compose(entry);
        let mut wait = self.settings.wait;
        let mut attempts = 0;
        loop {
            let error = match self.attempt(chunk.as_deref()) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.link.close();
            if attempts >= self.settings.retries {
                return Err(self.link.failure(error));
            }
            // The first failure may only mean that the receiver was restarted since the last line.
            if attempts > 0 {
                std::thread::sleep(wait);
                wait = wait.mul_f64(1.5).min(LONGEST_WAIT);
            }
            attempts += 1;
        }
    }
}
