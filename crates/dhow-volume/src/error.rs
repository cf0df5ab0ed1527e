//! What can go wrong with volumes; the texts users know are Docker's.

use std::io;
use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};

/// A failed step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No volume has this name.
    #[error("get {0}: no such volume")]
    NotFound(String),
    /// The name can't be a volume's.
    #[error(
        "create {0}: {0:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    InvalidName(String),
    /// The name is too short.
    #[error(
        "create {0}: volume name is too short, names should be at least two alphanumeric characters"
    )]
    ShortName(String),
    /// No such driver.
    #[error("create {name}: error looking up volume plugin {driver}: plugin {driver:?} not found")]
    NoDriver {
        /// The volume's name.
        name: String,
        /// The driver asked for.
        driver: String,
    },
    /// An option the driver does not know.
    #[error("create {name}: invalid option: {option:?}")]
    InvalidOption {
        /// The volume's name.
        name: String,
        /// The option.
        option: String,
    },
    /// An option is missing, or does not go with another.
    #[error("create {name}: {reason}")]
    InvalidOptions {
        /// The volume's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Containers use it.
    #[error("remove {name}: volume is in use - [{containers}]")]
    InUse {
        /// The volume's name.
        name: String,
        /// The containers' ids, comma-separated.
        containers: String,
    },
    /// A file operation failed.
    #[error("{step} {}", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The volume's file system could not be mounted.
    #[error("failed to mount local volume: mount {device}:{}", path.display())]
    Mount {
        /// What was to be mounted.
        device: String,
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The image's content could not be copied into it.
    #[error("populate volume {name}")]
    Populate {
        /// The volume's name.
        name: String,
        /// What failed.
        #[source]
        source: crate::PopulateError,
    },
    /// The records could not be read or written.
    #[error("volumes' records")]
    Metadata(#[from] dhow_metadata::Error),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) | Self::NoDriver { .. } => ErrorKind::NotFound,
            Self::InvalidName(_)
            | Self::ShortName(_)
            | Self::InvalidOption { .. }
            | Self::InvalidOptions { .. } => ErrorKind::InvalidArgument,
            Self::InUse { .. } => ErrorKind::Conflict,
            Self::Io { .. } | Self::Mount { .. } | Self::Populate { .. } | Self::Metadata(_) => {
                ErrorKind::System
            }
        }
    }
}
