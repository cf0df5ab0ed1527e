//! What can go wrong with an archive.

use std::io;
use std::path::{Path, PathBuf};

use dhow_errdefs::{Classify, ErrorKind, kind_of_io};

/// An archive could not be read, written, applied or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tar stream could not be read.
    #[error("read tar stream")]
    Read(#[source] io::Error),
    /// The tar stream could not be written.
    #[error("write tar stream")]
    Write(#[source] io::Error),
    /// The stream is not a tar archive, or a broken one.
    #[error("invalid tar archive: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The archive wants more than it may have.
    #[error("archive exceeds the limit of {limit} {what}")]
    LimitExceeded {
        /// How much is allowed.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// A step on a file failed.
    #[error("{step} {path}")]
    File {
        /// What was being done, such as `create` or `set owner of`.
        step: &'static str,
        /// The path within the tree, absolute.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The path asked for does not exist in the container.
    #[error("lstat {path}: no such file or directory")]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },
    /// The path leads from one symbolic link to the next without an end.
    #[error("{action}: too many links{path}")]
    Loop {
        /// Docker's word for what was being done.
        action: &'static str,
        /// ` in PATH`, or nothing where Docker does not say it.
        path: String,
    },
    /// The target of an unpack is not a directory.
    #[error("extraction point is not a directory")]
    NotADirectory,
    /// An entry would replace a directory by something else, or the other way round, and that is not wanted.
    #[error("cannot overwrite {existing} {path:?} with {new} {into:?}")]
    Overwrite {
        /// What there is.
        existing: &'static str,
        /// Its path.
        path: PathBuf,
        /// What the archive has.
        new: &'static str,
        /// The directory being unpacked into.
        into: PathBuf,
    },
    /// A name with so many `..` that it leaves the tree.
    #[error("{path:?} is outside of the archive's root")]
    Outside {
        /// The name in the archive.
        path: PathBuf,
    },
    /// A hard link whose target exists nowhere.
    #[error("hard link {path}: target {target} does not exist")]
    LinkTarget {
        /// The link.
        path: PathBuf,
        /// What it should be a link to.
        target: PathBuf,
    },
}

impl Error {
    /// An error of one step on one path of the tree; `path` is relative to the tree's root.
    pub(crate) fn file(step: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let path = Path::new("/").join(path);
        Self::File {
            step,
            path,
            source: source.into(),
        }
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed {
            reason: reason.into(),
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. }
            | Self::LimitExceeded { .. }
            | Self::NotADirectory
            | Self::LinkTarget { .. }
            | Self::Outside { .. }
            | Self::Overwrite { .. } => ErrorKind::InvalidArgument,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Read(source) => match source.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    ErrorKind::InvalidArgument
                }
                _ => kind_of_io(source),
            },
            Self::Write(_) | Self::File { .. } | Self::Loop { .. } => ErrorKind::System,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => Some(
                "free some space, for instance by removing unused images and containers".into(),
            ),
            _ => None,
        }
    }
}
