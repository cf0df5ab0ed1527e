//! What can go wrong with layers and snapshots.

use std::io;
use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};

use crate::ChainId;

/// A layer or a snapshot could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A step on a directory of the store failed.
    #[error("{step} {path}")]
    File {
        /// What was being done.
        step: &'static str,
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A record could not be read or written.
    #[error("snapshot records")]
    Metadata(#[from] dhow_metadata::Error),
    /// There is no such layer.
    #[error("layer {0} does not exist")]
    NoLayer(ChainId),
    /// There is no such container snapshot.
    #[error("snapshot {0} does not exist")]
    NoSnapshot(String),
    /// The container's snapshot is there already.
    #[error("snapshot {0} already exists")]
    SnapshotExists(String),
    /// A key that can't be a directory's name.
    #[error("invalid snapshot key {0:?}")]
    InvalidKey(String),
    /// Something still stands on the layer.
    #[error("layer {layer} is in use by {user}")]
    InUse {
        /// The layer.
        layer: ChainId,
        /// The layer or container on it.
        user: String,
    },
    /// The layer could not be fitted to the layers below it.
    #[error("commit layer {layer}")]
    Settle {
        /// The layer.
        layer: ChainId,
        /// Why not.
        #[source]
        source: dhow_archive::Error,
    },
    /// The files of a snapshot could not be read or removed.
    #[error("{step} snapshot {key}")]
    Tree {
        /// What was being done.
        step: &'static str,
        /// The container or layer.
        key: String,
        /// Why it failed.
        #[source]
        source: dhow_archive::Error,
    },
    /// The overlay could not be mounted.
    #[error("mount snapshot")]
    Mount(#[from] dhow_sys::overlay::OverlayError),
}

impl Error {
    pub(crate) fn file(
        step: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
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
            Self::NoLayer(_) | Self::NoSnapshot(_) => ErrorKind::NotFound,
            Self::SnapshotExists(_) | Self::InUse { .. } => ErrorKind::Conflict,
            Self::InvalidKey(_) => ErrorKind::InvalidArgument,
            Self::Metadata(error) => error.kind(),
            Self::Settle { source, .. } | Self::Tree { source, .. } => source.kind(),
            Self::File { .. } | Self::Mount(_) => ErrorKind::System,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Settle { source, .. } | Self::Tree { source, .. } => source.hint(),
            Self::Metadata(error) => error.hint(),
            Self::Mount(_) => Some(
                "the data root must be on a file system that can carry overlay upper directories, such as ext4 or xfs"
                    .into(),
            ),
            _ => None,
        }
    }
}
