//! Byte streams between a client and a container's process.

mod attach;
mod chunks;
mod keys;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::Error;

pub(crate) use attach::{Attached, Target, of_exec};
pub(crate) use chunks::written;
pub(crate) use keys::keys;

/// A stream in both directions: reading gives the process's output, writing is its input.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A client's connection to a container's process or an exec.
///
/// Output is raw with a terminal, else in Docker's multiplexed frames. Shutting the writing side down ends the
/// process's input. Reading ends when the process has ended and all it printed was read, or when the detach keys
/// were written.
pub struct Attachment {
    /// Whether the process has a terminal, and the output is raw.
    pub tty: bool,
    /// The stream.
    pub stream: Box<dyn Duplex>,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment")
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}

/// What to be attached to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Input.
    pub stdin: bool,
    /// Output.
    pub stdout: bool,
    /// Error output.
    pub stderr: bool,
    /// Begin with what the log has.
    pub logs: bool,
    /// Go on with what comes.
    pub stream: bool,
    /// The keys that end the attachment, `ctrl-p,ctrl-q`; those when missing.
    pub detach_keys: Option<String>,
}

/// A log as it is read: chunks of lines, raw with a terminal, else in Docker's multiplexed frames.
#[derive(Debug)]
pub struct LogStream {
    /// Whether the process has a terminal, and the lines are raw.
    pub tty: bool,
    /// The chunks; ends with the log, or with the container when followed.
    pub chunks: mpsc::Receiver<Result<Bytes, dhow_logging::Error>>,
}

/// A stream of bytes that may fail, such as an archive.
pub type ByteStream = mpsc::Receiver<Result<Bytes, Error>>;

/// Takes Docker's frames off output.
pub(crate) fn unframe(mut framed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(framed.len());
    while let Some((header, rest)) = framed.split_at_checked(8) {
        let length = header[4..]
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (payload, next) = rest.split_at(length.min(rest.len()));
        plain.extend_from_slice(payload);
        framed = next;
    }
    plain
}
