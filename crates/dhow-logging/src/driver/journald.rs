//! The driver `journald`, in the journal's native protocol.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use super::Driver;
use crate::entry::Entry;
use crate::time::Text;
use crate::{Error, LogConfig, Stream};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The driver.
pub(super) struct Journald {
    path: PathBuf,
    socket: UnixDatagram,
    /// The fields that are the same for every line.
    fields: Vec<u8>,
    /// Tells this run's entries from those of others, and their number.
    epoch: String,
    ordinal: u64,
    message: Vec<u8>,
}

impl Journald {
    pub(super) fn open(config: &LogConfig) -> Result<Self, String> {
        Self::at(Path::new(SOCKET), config)
    }

    /// For a journal that listens elsewhere.
    pub(super) fn at(path: &Path, config: &LogConfig) -> Result<Self, String> {
        if !path.exists() {
            return Err("journald is not enabled on this host".into());
        }
        let socket = UnixDatagram::unbound().map_err(|error| dhow_golang::io_text(&error))?;
        Ok(Self {
            path: path.to_owned(),
            socket,
            fields: fields(config),
            epoch: super::run_id(),
            ordinal: 0,
            message: Vec::new(),
        })
    }

    fn compose(&mut self, entry: &Entry<'_>) {
        self.message.clear();
        self.message.extend_from_slice(&self.fields);
        // 3: an error; 6: informational.
        let priority: &[u8] = match entry.stream {
            Stream::Stdout => b"6",
            Stream::Stderr => b"3",
        };
        let out = &mut self.message;
        push_field(out, "PRIORITY", priority);
        push_field(out, "MESSAGE", entry.line);
        push_field(out, "SYSLOG_TIMESTAMP", Text::nano(entry.time).as_bytes());
        push_field(out, "CONTAINER_LOG_EPOCH", self.epoch.as_bytes());
        let ordinal = self.ordinal.to_string();
        push_field(out, "CONTAINER_LOG_ORDINAL", ordinal.as_bytes());
        if let Some(part) = entry.part {
            push_field(out, "CONTAINER_PARTIAL_ID", super::part_id(part).as_bytes());
            let ordinal = part.ordinal.to_string();
            push_field(out, "CONTAINER_PARTIAL_ORDINAL", ordinal.as_bytes());
            let last = part.last.to_string();
            push_field(out, "CONTAINER_PARTIAL_LAST", last.as_bytes());
            if !part.last {
                push_field(out, "CONTAINER_PARTIAL_MESSAGE", b"true");
            }
        }
    }

    fn send(&self) -> io::Result<()> {
        match self.socket.send_to(&self.message, &self.path) {
            Ok(_) => Ok(()),
            Err(error) if is_too_long(&error) => self.send_file(),
            Err(error) => Err(error),
        }
    }

    /// A message that is too long for a datagram goes as a sealed file.
    fn send_file(&self) -> io::Result<()> {
        let file =
            rustix::fs::memfd_create("journal", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = File::from(file);
        file.write_all(&self.message)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        dhow_sys::fds::send_with_fds(&socket, &[], &[OwnedFd::from(file).as_fd()]).map(drop)
    }
}

fn is_too_long(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::MSGSIZE.raw_os_error()) || code == Some(Errno::NOBUFS.raw_os_error())
}

/// Appends a field: on one line if it is text without newlines, else with its length.
fn push_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn fields(config: &LogConfig) -> Vec<u8> {
    let origin = &config.origin;
    let mut fields = Vec::new();
    let short = origin.container_id.get(..12).unwrap_or_default();
    for (name, value) in [
        ("CONTAINER_ID", short),
        ("CONTAINER_ID_FULL", &origin.container_id),
        ("CONTAINER_NAME", &origin.container_name),
        ("CONTAINER_TAG", origin.tag()),
        ("IMAGE_NAME", &origin.image_name),
        ("SYSLOG_IDENTIFIER", origin.tag()),
    ] {
        push_field(&mut fields, name, value.as_bytes());
    }
    for (key, value) in &config.attributes {
        let name = field_name(key);
        if !name.is_empty() {
            push_field(&mut fields, &name, value.as_bytes());
        }
    }
    fields
}

/// A label's key as the journal takes it: capitals, digits and underscores, no underscore before them.
fn field_name(key: &str) -> String {
    let letter = |letter: char| match letter.to_ascii_uppercase() {
        letter @ ('A'..='Z' | '0'..='9') => letter,
        _ => '_',
    };
    let name: String = key.chars().map(letter).collect();
    name.trim_start_matches('_').to_owned()
}

impl Driver for Journald {
    fn deliver(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        self.ordinal += 1;
        self.compose(entry);
        self.send().map_err(|source| Error::Deliver {
            to: "journald".into(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn keys_are_made_names() {
        assert_eq!(field_name("__com.example-x1"), "COM_EXAMPLE_X1");
    }

    #[test]
    fn a_message_too_long_for_a_datagram_goes_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut config = LogConfig::default();
        config
            .attributes
            .insert("big".into(), "x".repeat(4_000_000));
        let mut driver = Journald::at(&path, &config).unwrap();
        driver
            .deliver(&Entry {
                stream: Stream::Stderr,
                time: UNIX_EPOCH,
                line: b"line",
                part: None,
            })
            .unwrap();
        let mut buffer = [0; 16];
        let (length, files) = dhow_sys::fds::receive_with_fds(&journal, &mut buffer).unwrap();
        assert_eq!((length, files.len()), (0, 1));
        let path = format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&files[0])
        );
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.len() > 4_000_000 && text.contains("MESSAGE=line\n"));
    }
}
