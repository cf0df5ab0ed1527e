//! The driver `gelf`: a JSON document a line, over UDP (compressed, in chunks) or TCP.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::Driver;
use super::link::Link;
use crate::entry::Entry;
use crate::net::{Target, Url, host_port};
use crate::options::{Options, integer, text, unsigned};
use crate::write::push_escaped;
use crate::{Error, LogConfig, Stream};

/// Its own options.
pub(crate) const OPTIONS: &[&str] = &[
    "gelf-address",
    "gelf-compression-type",
    "gelf-compression-level",
    "gelf-tcp-max-reconnect",
    "gelf-tcp-reconnect-delay",
];

/// The most bytes a datagram has.
const CHUNK: usize = 1420;
/// What each chunk begins with: two magic bytes, the message's id, the chunk's number, and how many there are.
const HEADER: usize = 12;
/// The most chunks a message has.
const CHUNKS: usize = 128;

/// The address, which must be there.
pub(crate) fn validate_address(options: &Options) -> Result<(), Error> {
    address(options).map(drop).map_err(Error::BadValue)
}

/// Checks what Docker checks when a container is created.
pub(crate) fn validate(options: &Options) -> Result<(), Error> {
    let check = || {
        let (tcp, ..) = address(options)?;
        for name in ["gelf-compression-type", "gelf-compression-level"] {
            if tcp && options.contains_key(name) {
                return Err("compression is only supported on UDP".into());
            }
        }
        compression(options)?;
        for name in ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"] {
            if !tcp && options.contains_key(name) {
                return Err(format!("\"{name}\" is only valid for TCP"));
            }
            count(options, name, 0)?;
        }
        Ok(())
    };
    check().map_err(Error::BadValue)
}

/// Whether it is TCP, the host, and the port.
fn address(options: &Options) -> Result<(bool, String, u16), String> {
    let address = text(options, "gelf-address");
    if address.is_empty() {
        return Err("gelf-address is a required parameter".into());
    }
    let url = Url::parse(address)?;
    let tcp = match url.scheme {
        "tcp" => true,
        "udp" => false,
        _ => return Err("gelf: endpoint needs to be TCP or UDP".into()),
    };
    match host_port(url.authority) {
        Ok((host, Some(port))) => {
            let port = u16::try_from(unsigned(port, 16)?).unwrap_or(0);
            Ok((tcp, host.to_owned(), port))
        }
        _ => Err("gelf: please provide gelf-address as proto://host:port".into()),
    }
}

/// How messages are made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Squeeze {
    Gzip(Compression),
    Zlib(Compression),
    No,
}

fn compression(options: &Options) -> Result<Squeeze, String> {
    let unknown = |name: &str, value: &str| {
        format!("unknown value \"{value}\" for log opt \"{name}\" for gelf log driver")
    };
    let name = "gelf-compression-level";
    let level = match options.get(name) {
        None => Compression::fast(),
        Some(value) => match value.parse::<i8>() {
            Ok(-1) => Compression::default(),
            Ok(level @ 0..=9) => Compression::new(level.unsigned_abs().into()),
            _ => return Err(unknown(name, value)),
        },
    };
    let name = "gelf-compression-type";
    match options.get(name).map(String::as_str) {
        None | Some("gzip") => Ok(Squeeze::Gzip(level)),
        Some("zlib") => Ok(Squeeze::Zlib(level)),
        Some("none") => Ok(Squeeze::No),
        Some(value) => Err(unknown(name, value)),
    }
}

fn count(options: &Options, name: &str, default: u64) -> Result<u64, String> {
    match options.get(name) {
        None => Ok(default),
        Some(value) => integer(value)
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(|| format!("\"{name}\" must be a positive integer")),
    }
}

/// How messages travel.
enum Transport {
    Udp { squeeze: Squeeze, ids: u64 },
    Tcp { attempts: u64, delay: Duration },
}

/// The driver.
pub(super) struct Gelf {
    link: Link,
    transport: Transport,
    head: Vec<u8>,
    /// The fields that are the same for every line.
    tail: Vec<u8>,
    message: Vec<u8>,
}

impl Gelf {
    pub(super) fn open(config: &LogConfig) -> Result<Self, String> {
        let options = &config.options;
        let (tcp, host, port) = address(options)?;
        let (target, transport) = if tcp {
            let delay = count(options, "gelf-tcp-reconnect-delay", 1)?;
            let transport = Transport::Tcp {
                attempts: count(options, "gelf-tcp-max-reconnect", 3)?,
                delay: Duration::from_secs(delay),
            };
            (Target::Tcp(host.clone(), port), transport)
        } else {
            let transport = Transport::Udp {
                squeeze: compression(options)?,
                ids: seed(),
            };
            (Target::Udp(host.clone(), port), transport)
        };
        let mut link = Link::new(target, None);
        link.connect().map_err(|text| {
            format!("gelf: cannot connect to GELF endpoint: {host}:{port} {text}")
        })?;
        let mut head = b"{\"version\":\"1.1\",\"host\":\"".to_vec();
        push_escaped(&mut head, super::host_name().as_bytes());
        head.extend_from_slice(b"\",\"short_message\":\"");
        Ok(Self {
            link,
            transport,
            head,
            tail: tail(config),
            message: Vec::new(),
        })
    }

    /// Sends what stands in `message`.
    fn send(&mut self) -> Result<(), Error> {
        match &mut self.transport {
            Transport::Tcp { attempts, delay } => {
                self.message.push(0);
                let mut sent = self.link.send(&self.message);
                let mut left = *attempts;
                while sent.is_err() && left > 0 {
                    std::thread::sleep(*delay);
                    left -= 1;
                    sent = self.link.send(&self.message);
                }
                sent
            }
            Transport::Udp { squeeze, ids } => {
                let packed = squeeze
                    .pack(&self.message)
                    .map_err(|source| self.link.failure(source))?;
                *ids = ids.wrapping_add(1);
                send_chunks(&mut self.link, &packed, *ids)
            }
        }
    }
}

impl Squeeze {
    fn pack(self, message: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::No => Ok(message.to_vec()),
            Self::Gzip(level) => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(message)?;
                encoder.finish()
            }
            Self::Zlib(level) => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(message)?;
                encoder.finish()
            }
        }
    }
}

fn send_chunks(link: &mut Link, message: &[u8], id: u64) -> Result<(), Error> {
    if message.len() <= CHUNK {
        return link.send(message);
    }
    let count = message.len().div_ceil(CHUNK - HEADER);
    let Some(total) = u8::try_from(count).ok().filter(|_| count <= CHUNKS) else {
        let text = format!("msg too large, would need {count} chunks");
        return Err(link.failure(io::Error::other(text)));
    };
    let mut datagram = Vec::with_capacity(CHUNK);
    for (number, chunk) in (0..total).zip(message.chunks(CHUNK - HEADER)) {
        datagram.clear();
        datagram.extend_from_slice(&[0x1e, 0x0f]);
        datagram.extend_from_slice(&id.to_be_bytes());
        datagram.extend_from_slice(&[number, total]);
        datagram.extend_from_slice(chunk);
        link.send(&datagram)?;
    }
    Ok(())
}

/// A number to begin with that other containers' messages do not have.
fn seed() -> u64 {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            since.as_secs() << 30 | u64::from(since.subsec_nanos())
        });
    nanos.rotate_left(20) ^ u64::from(std::process::id())
}

fn tail(config: &LogConfig) -> Vec<u8> {
    let origin = &config.origin;
    let mut fields: Vec<(String, &str)> = vec![
        ("_command".into(), &origin.command),
        ("_container_id".into(), &origin.container_id),
        ("_container_name".into(), &origin.container_name),
        ("_created".into(), &origin.created),
        ("_image_id".into(), &origin.image_id),
        ("_image_name".into(), &origin.image_name),
        ("_tag".into(), origin.tag()),
    ];
    for (key, value) in &config.attributes {
        let own = key.starts_with('_');
        let key = if own { key.clone() } else { format!("_{key}") };
        fields.retain(|(known, _)| *known != key);
        fields.push((key, value));
    }
    fields.sort();
    let mut tail = Vec::new();
    for (key, value) in fields {
        tail.extend_from_slice(b",\"");
        push_escaped(&mut tail, key.as_bytes());
        tail.extend_from_slice(b"\":\"");
        push_escaped(&mut tail, value.as_bytes());
        tail.push(b'"');
    }
    tail.push(b'}');
    tail
}

impl Driver for Gelf {
    fn deliver(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        if entry.line.is_empty() {
            return Ok(());
        }
        let since = entry.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        // 3: an error; 6: informational.
        let level = match entry.stream {
            Stream::Stdout => 6,
            Stream::Stderr => 3,
        };
        self.message.clear();
        self.message.extend_from_slice(&self.head);
        push_escaped(&mut self.message, entry.line);
        let (seconds, millis) = (since.as_secs(), since.subsec_millis());
        let middle = format!("\",\"timestamp\":{seconds}.{millis:03},\"level\":{level}");
        self.message.extend_from_slice(middle.as_bytes());
        self.message.extend_from_slice(&self.tail);
        self.send()
    }
}
