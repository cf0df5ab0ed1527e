//! What can go wrong with content.

use std::io;
use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};
use dhow_oci::Digest;

/// Content could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A step on a file of the store failed.
    #[error("{step} {path}")]
    File {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// There is no such blob.
    #[error("content digest {0}: not found")]
    NotFound(Digest),
    /// The bytes written are not those expected.
    #[error("unexpected commit digest {actual}, expected {expected}")]
    DigestMismatch {
        /// The digest of what was written.
        actual: Digest,
        /// The digest wanted.
        expected: Digest,
    },
    /// More or fewer bytes were written than expected.
    #[error("unexpected commit size {actual}, expected {expected}")]
    SizeMismatch {
        /// The bytes written.
        actual: u64,
        /// The bytes wanted.
        expected: u64,
    },
    /// A blob that should be read into memory is larger than its reader allows.
    #[error("content {digest} has {size} bytes, more than the {limit} allowed here")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A blob no longer has the digest it is stored under: the disk, or someone else, changed it.
    #[error("content {0} is damaged on disk")]
    Damaged(Digest),
}

impl Error {
    pub(crate) fn file(step: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File {
            step,
            path: path.into(),
            source,
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::File { .. } | Self::Damaged(_) => ErrorKind::System,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } | Self::TooLarge { .. } => {
                ErrorKind::InvalidArgument
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => Some(
                "free some space, for instance by removing unused images and containers".into(),
            ),
            Self::Damaged(_) => Some("remove the image and pull it again".into()),
            _ => None,
        }
    }
}
