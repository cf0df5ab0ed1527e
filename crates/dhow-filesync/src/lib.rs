//! BuildKit's file synchronisation.
//!
//! # Terms
//!
//! * The side that has a folder *sends*: it lists every file with its metadata ([`Stat`]), parents first and in the order of
//!   a walk, and gives the content of those that it is asked for.
//! * The side that wants a copy *receives*: it compares the list with what it has and asks for what differs.
//! * A *synced folder* is a receiver's copy. It outlives the build, beside an *index* of what is in it, so that an
//!   unchanged file is neither sent nor hashed again; it never changes while somebody holds a [`Synced`].
//!
//! Both sides speak [`Packet`]s over any stream of messages, as `fsutil` does in its protocol `diffcopy`.
//!
//! # The conversation
//!
//! ```text
//! sender                               receiver
//!   STAT a directory (0)
//!   STAT a file (1)             ──▶
//!                               ◀──    REQ 1
//!   STAT without anything       ──▶    (the list ends)
//!   DATA 1 …, DATA 1 empty      ──▶
//!                               ◀──    FIN
//!   FIN                         ──▶
//! ```
//!
//! # What is not trusted
//!
//! Everything that is received: paths have to be clean, relative and in order, and below a directory that was listed;
//! files are opened by descriptors without following links; numbers and the room on the disk are bounded.

mod folders;
mod index;
mod path;
mod receive;
mod send;
mod stat;
mod walk;
mod write;

pub use bollard_buildkit_proto::fsutil::types::packet::PacketType;
pub use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
pub use folders::{FolderKey, FolderUsage, Folders, Synced};
pub use receive::{Limits, Reply, receive};
pub use send::{Owners, send};
pub use walk::{Selection, WalkError};

use dhow_errdefs::{Classify, ErrorKind};

/// A synchronisation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The other side does not keep to the protocol.
    #[error("the file list can't be trusted: {0}")]
    Protocol(String),
    /// The other side failed.
    #[error("error from sender: {0}")]
    Sender(String),
    /// The connection ended before the synchronisation did.
    #[error("the connection ended while files were transferred")]
    Ended,
    /// There is no room.
    #[error("no room for the files: less than {0} bytes would be free")]
    Full(u64),
    /// A file here can't be read or written.
    #[error("{step} {path}")]
    File {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The files to send can't be listed.
    #[error(transparent)]
    Walk(#[from] WalkError),
}

impl Error {
    pub(crate) fn file(
        step: &'static str,
        path: impl Into<String>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self::File {
            step,
            path: path.into(),
            source: source.into(),
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Protocol(_) => ErrorKind::InvalidArgument,
            Self::Sender(_) | Self::Ended => ErrorKind::Unavailable,
            Self::Full(_) | Self::File { .. } | Self::Walk(_) => ErrorKind::System,
        }
    }
}
