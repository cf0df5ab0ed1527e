//! What clients and shims say to each other.
//!
//! A connection carries messages, each a length (four bytes, little endian, at most [`LONGEST_MESSAGE`]) and that much
//! JSON. The client sends [`Request`]s and gets one [`Response`] for each, in order. The first request is
//! [`Request::Hello`] with the range of versions the client speaks; the answer holds the version spoken from then on, the highest both
//! know. Further requests may follow without waiting.
//!
//! Three requests change what the connection is, once they were answered:
//! - [`Request::Attach`] and [`Request::Exec`]: a stream. The shim sends output in Docker's multiplexed frames (raw
//!   with a terminal), the client raw input; shutting down the client's side is the end of input.
//! - [`Request::Subscribe`]: the shim sends [`Response::Event`]s.
//!
//! # Compatibility
//!
//! A shim lives as long as its container and so meets newer clients. Within a version, fields may be added (they are
//! ignored by those who don't know them and need a default), and requests and events too: an unknown request is
//! answered with an error of the kind `not_implemented`, an unknown event is read as [`ShimEvent::Unknown`]. Anything
//! else is a new version; clients speak the old ones for as long as there may be shims that do.

use std::net::SocketAddr;

use dhow_errdefs::ErrorKind;
use dhow_oci::runtime;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{AttachRequest, ExecRequest, ShimConfig};
use crate::record::ExitRecord;

/// The oldest version this program speaks.
pub const OLDEST: u32 = 1;
/// The newest version this program speaks.
pub const NEWEST: u32 = 1;
/// The longest message, in bytes. An exec's arguments and environment may be up to two megabytes for the kernel.
pub const LONGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// The most descriptors that come with a message.
pub const MOST_DESCRIPTORS: usize = 64;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// The first message: the versions the client speaks.
    Hello {
        /// The oldest.
        min: u32,
        /// The newest.
        max: u32,
    },
    /// Make the container; only on the connection that a shim is born with.
    Create(Box<ShimConfig>),
    /// Let the init go on.
    Start,
    /// Send a signal.
    Kill {
        /// Which.
        signal: i32,
        /// To all processes, rather than the init.
        #[serde(default)]
        all: bool,
        /// To this exec, rather than the init.
        #[serde(default)]
        exec: Option<String>,
    },
    /// Tell what is known of the container.
    State,
    /// Make this connection a stream of events.
    Subscribe,
    /// Make this connection a stream of the init's input and output.
    Attach(AttachRequest),
    /// Run a process; makes this connection a stream of its input and output.
    Exec(Box<ExecRequest>),
    /// Tell what is known of an exec.
    ExecState {
        /// Its id.
        id: String,
    },
    /// Resize a terminal.
    Resize {
        /// That of this exec, rather than the init's.
        #[serde(default)]
        exec: Option<String>,
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// Freeze the container.
    Pause,
    /// Thaw it.
    Resume,
    /// Change its limits.
    Update(Box<runtime::LinuxResources>),
    /// Tell the ids of its processes.
    Pids,
    /// Hold descriptors (`SCM_RIGHTS`) that came with this message, as those the shim was born with.
    Hold {
        /// How many came; at most [`MOST_DESCRIPTORS`].
        sent: usize,
        /// Let go of the sockets that are bound to none of these; absent, all are kept.
        #[serde(default)]
        keep: Option<Vec<HeldPort>>,
    },
}

/// Where a socket that keeps a published port is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPort {
    /// The protocol's number in the IP header.
    pub protocol: u8,
    /// The host's address and port.
    pub address: SocketAddr,
}

/// What a shim answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Response {
    /// To [`Request::Hello`].
    Hello {
        /// The oldest version the shim speaks.
        min: u32,
        /// The newest.
        max: u32,
        /// The one spoken from now on; without it there is none, and the shim closes the connection.
        #[serde(default)]
        version: Option<u32>,
    },
    /// Done.
    Done,
    /// Not done.
    Error {
        /// Of which kind, see [`kind_name`].
        kind: String,
        /// The whole chain of errors.
        message: String,
    },
    /// To [`Request::Create`] and [`Request::Exec`].
    Process {
        /// The process id.
        pid: u32,
        /// What could not be done and was passed over.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// To [`Request::State`].
    State(Box<ShimState>),
    /// To [`Request::ExecState`].
    Exec(ExecState),
    /// To [`Request::Pids`].
    Pids(Vec<u32>),
    /// To a subscriber.
    Event(ShimEvent),
}

const KINDS: [(ErrorKind, &str); 10] = [
    (ErrorKind::InvalidArgument, "invalid_argument"),
    (ErrorKind::NotFound, "not_found"),
    (ErrorKind::Conflict, "conflict"),
    (ErrorKind::NotModified, "not_modified"),
    (ErrorKind::Unauthorized, "unauthorized"),
    (ErrorKind::Forbidden, "forbidden"),
    (ErrorKind::NotImplemented, "not_implemented"),
    (ErrorKind::Unavailable, "unavailable"),
    (ErrorKind::Cancelled, "cancelled"),
    (ErrorKind::System, "system"),
];

/// The name of an error's kind in a message.
#[must_use]
pub fn kind_name(kind: ErrorKind) -> &'static str {
    KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("system", |(_, name)| name)
}

/// The kind with that name; an unknown one is the system's.
#[must_use]
pub fn kind_named(name: &str) -> ErrorKind {
    KINDS
        .iter()
        .find(|(_, known)| *known == name)
        .map_or(ErrorKind::System, |(kind, _)| *kind)
}

/// The highest version that both `ours` and `theirs` (oldest, newest) hold.
#[must_use]
pub fn negotiate(ours: (u32, u32), theirs: (u32, u32)) -> Option<u32> {
    let (oldest, newest) = (ours.0.max(theirs.0), ours.1.min(theirs.1));
    (oldest <= newest).then_some(newest)
}

/// Appends a message with its length to `out`.
pub fn push_message(out: &mut Vec<u8>, message: &impl Serialize) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    if serde_json::to_writer(&mut *out, message).is_err() {
        // Only maps with odd keys can't be written; ours have none. An empty message is refused by the reader.
        out.truncate(start + 4);
    }
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// The first message in `bytes`, and how many bytes it takes; `None` while it is not complete.
///
/// # Errors
/// A message that is longer than any may be; the connection is no use any more.
pub fn next_message(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, TooLong> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > LONGEST_MESSAGE {
        return Err(TooLong(length));
    }
    Ok(rest.get(..length).map(|message| (message, length + 4)))
}

/// A message is longer than [`LONGEST_MESSAGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message of {0} bytes is too long")]
pub struct TooLong(pub usize);

/// What a subscriber is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum ShimEvent {
    /// The container's init runs (also said first to one who subscribes later).
    Started,
    /// The container ended and the record is on disk. The last event; when the runtime has forgotten the container
    /// and every client has what it is owed, the shim ends. A new shim of the same container waits for that by itself.
    Exited(ExitRecord),
    /// An exec ended; the record is on disk and all its output was sent or is on its way.
    ExecExited {
        /// The exec's id.
        id: String,
        /// Its exit code.
        code: i32,
    },
    /// The kernel killed a process of the container for want of memory.
    OomKilled,
    /// A newer shim said something this program does not know.
    #[serde(other)]
    Unknown,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShimStatus {
    /// Made, its init waits for the start.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended.
    Stopped,
}

/// What a shim knows of its container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimState {
    /// The container's id.
    pub id: String,
    /// What it is doing.
    pub status: ShimStatus,
    /// The process id of its init.
    pub pid: u32,
    /// The shim's own process id.
    pub shim_pid: u32,
    /// When it was started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default)]
    pub exit: Option<ExitRecord>,
    /// The running execs.
    #[serde(default)]
    pub execs: Vec<ExecState>,
    /// Chunks of output that could not be stored in the log.
    #[serde(default)]
    pub log_failures: u64,
}

/// What a shim knows of an exec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecState {
    /// The exec's id.
    pub id: String,
    /// Its process id.
    pub pid: u32,
    /// Its exit code, once it ended.
    #[serde(default)]
    pub exit_code: Option<i32>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_highest_common_version_is_spoken() {
        for (ours, theirs, expected) in [
            ((1, 1), (1, 1), Some(1)),
            ((1, 1), (1, 7), Some(1)),
            ((1, 5), (3, 9), Some(5)),
            ((3, 5), (1, 2), None),
            ((1, 2), (3, 4), None),
        ] {
            assert_eq!(negotiate(ours, theirs), expected, "{ours:?} {theirs:?}");
            assert_eq!(negotiate(theirs, ours), expected, "{theirs:?} {ours:?}");
        }
    }

    #[test]
    fn messages_arrive_whatever_the_cuts() {
        let (mut bytes, sent) = (
            Vec::new(),
            [
                Request::Start,
                Request::Hello { min: 1, max: 2 },
                Request::Pids,
            ],
        );
        for request in &sent {
            push_message(&mut bytes, request);
        }
        for step in 1..bytes.len() {
            let (mut buffer, mut received): (Vec<u8>, Vec<Request>) = (Vec::new(), Vec::new());
            for part in bytes.chunks(step) {
                buffer.extend_from_slice(part);
                while let Some((message, taken)) = next_message(&buffer).unwrap() {
                    received.push(serde_json::from_slice(message).unwrap());
                    buffer.drain(..taken);
                }
            }
            assert_eq!(received, sent);
        }
    }

    #[test]
    fn a_message_too_long_is_refused_before_it_is_there() {
        assert_eq!(
            next_message(&[255, 255, 255, 127]),
            Err(TooLong(0x7fff_ffff))
        );
        assert_eq!(next_message(&[255, 255, 255]), Ok(None));
    }

    #[test]
    fn what_version_1_looks_like_stays() {
        let text = |value: &Response| serde_json::to_string(value).unwrap();
        let finished_at = Timestamp::UNIX_EPOCH;
        let exit = ExitRecord {
            code: 137,
            signal: Some(9),
            oom_killed: false,
            finished_at,
        };
        assert_eq!(
            text(&Response::Event(ShimEvent::Exited(exit))),
            "{\"event\":{\"event\":\"exited\",\"code\":137,\"signal\":9,\"oom_killed\":false,\
             \"finished_at\":\"1970-01-01T00:00:00Z\"}}"
        );
        assert_eq!(text(&Response::Done), "\"done\"");
        for (request, expected) in [
            ("\"start\"", Request::Start),
            (
                "{\"hello\":{\"min\":1,\"max\":9,\"new\":[]}}",
                Request::Hello { min: 1, max: 9 },
            ),
            (
                "{\"kill\":{\"signal\":15}}",
                Request::Kill {
                    signal: 15,
                    all: false,
                    exec: None,
                },
            ),
        ] {
            assert_eq!(serde_json::from_str::<Request>(request).unwrap(), expected);
        }
    }

    #[test]
    fn events_of_a_newer_shim_are_unknown_ones() {
        let event: Response =
            serde_json::from_str("{\"event\":{\"event\":\"teleported\",\"to\":1}}").unwrap();
        assert_eq!(event, Response::Event(ShimEvent::Unknown));
    }

    #[test]
    fn kinds_keep_their_names() {
        for (kind, name) in KINDS {
            assert_eq!((kind_name(kind), kind_named(name)), (name, kind));
        }
        assert_eq!(kind_named("other"), ErrorKind::System);
    }
}
