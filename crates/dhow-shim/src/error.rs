//! What can go wrong between the engine and a shim.

use std::io;
use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};

/// Why a shim could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The shim or its runtime refused; the text is the whole chain of what happened there.
    #[error("{message}")]
    Refused {
        /// Of which kind.
        kind: ErrorKind,
        /// The error chain's text, e.g. `exec: "x": executable file not found in $PATH`.
        message: String,
    },
    /// The shim's process can't be started.
    #[error("start shim {program}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No shim serves on the socket: it has ended, or never was.
    #[error("connect to shim {socket}")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke: the shim has ended meanwhile, or was killed.
    #[error("talk to shim {socket}")]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The shim speaks no version this program knows.
    #[error("shim {socket} speaks protocol versions {min} to {max}, not one of ours")]
    Version {
        /// The socket.
        socket: PathBuf,
        /// Its oldest.
        min: u32,
        /// Its newest.
        max: u32,
    },
    /// The shim said something unexpected.
    #[error("unexpected answer from shim {socket}: {answer}")]
    Unexpected {
        /// The socket.
        socket: PathBuf,
        /// What it said.
        answer: String,
    },
    /// A record in the state folder can't be read.
    #[error("read record {path}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Is this because the shim is not there (any more)?
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Broken { .. })
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { kind, .. } => *kind,
            Self::Connect { .. } | Self::Broken { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::System,
        }
    }
}
