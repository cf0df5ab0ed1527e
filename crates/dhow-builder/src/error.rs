//! Why a build did not end with a result.

use std::fmt;
use std::sync::Arc;

use dhow_dockerfile::Lines;
use dhow_errdefs::{Classify, ErrorKind, chain};
use dhow_oci::Digest;

use crate::client::ClientError;

/// A failed build, or a failed look at the cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A step failed; the text is the cause's.
    #[error("{}", chain(cause.as_ref()))]
    Step {
        /// The vertex, as progress named it.
        vertex: Digest,
        /// What people were told of it: `[2/3] RUN make`.
        name: String,
        /// Where it stands.
        location: Option<Box<Location>>,
        /// What went wrong.
        cause: Arc<Error>,
    },
    /// What is asked for can't be: the Dockerfile, a target, an option. The text is for the one who builds.
    #[error("{text}")]
    Invalid {
        /// What is wrong.
        text: String,
        /// Where.
        location: Option<Location>,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Something that was named is not there; the text is for the one who builds.
    #[error("{text}")]
    NotFound {
        /// What is missing.
        text: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Something that this engine does not do.
    #[error("not implemented: {0}")]
    NotImplemented(String),
    /// A command ended with something else than success.
    #[error("process {command:?} did not complete successfully: exit code: {code}")]
    Exit {
        /// The command, joined.
        command: String,
        /// Its exit code.
        code: i32,
    },
    /// A command could not be started.
    #[error("process {command:?} did not complete successfully: {reason}")]
    Start {
        /// The command, joined.
        command: String,
        /// Why not.
        reason: crate::executor::ExecutorError,
    },
    /// The client could not give or take something.
    #[error("{what}")]
    Client {
        /// What: `load build context`.
        what: String,
        /// Why not.
        #[source]
        source: ClientError,
    },
    /// A remote server was not reached, or did not give what it should.
    #[error("{0}")]
    Remote(String),
    /// A file could not be read or written.
    #[error("{step} {path}")]
    File {
        /// What was being done.
        step: &'static str,
        /// The path, as the one who builds knows it.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Images could not be read or written.
    #[error(transparent)]
    Images(#[from] dhow_image::Error),
    /// Layers could not be read or written.
    #[error(transparent)]
    Snapshots(#[from] dhow_snapshot::Error),
    /// Blobs could not be read or written.
    #[error(transparent)]
    Content(#[from] dhow_content::Error),
    /// Archives could not be read or written.
    #[error(transparent)]
    Archive(#[from] dhow_archive::Error),
    /// Records could not be read or written.
    #[error(transparent)]
    Metadata(#[from] dhow_metadata::Error),
    /// There is no room within the bounds of the cache or on the disk.
    #[error("{0}")]
    Full(String),
    /// The build was given up.
    #[error("context canceled")]
    Cancelled,
}

/// A place in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's name.
    pub file: String,
    /// Its content.
    pub source: Arc<[u8]>,
    /// The lines, counted from 1.
    pub lines: Vec<Lines>,
}

impl Location {
    /// The lines with those around them, as BuildKit prints them; empty when they are not there.
    #[must_use]
    pub fn excerpt(&self) -> String {
        let Some(lines) = self.lines.first() else {
            return String::new();
        };
        dhow_dockerfile::excerpt(&self.file, &String::from_utf8_lossy(&self.source), *lines)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines.first() {
            Some(lines) => write!(f, "{}:{}", self.file, lines.first),
            None => f.write_str(&self.file),
        }
    }
}

impl Error {
    /// Something that is wrong with what was asked for.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid {
            text: text.into(),
            location: None,
            hint: None,
        }
    }

    /// Something that is not there.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::NotFound {
            text: text.into(),
            hint: None,
        }
    }

    /// A file that could not be read or written.
    pub fn file(
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

    /// Where in the Dockerfile it is, if it is about a place.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Step {
                location, cause, ..
            } => location.as_deref().or_else(|| cause.location()),
            Self::Invalid { location, .. } => location.as_ref(),
            _ => None,
        }
    }

    /// The step that failed, if one did: its digest in progress.
    #[must_use]
    pub fn vertex(&self) -> Option<&Digest> {
        match self {
            Self::Step { vertex, .. } => Some(vertex),
            _ => None,
        }
    }

    /// The exit code of the command that failed, if one did.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Step { cause, .. } => cause.exit_code(),
            Self::Exit { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Step { cause, .. } => cause.kind(),
            Self::Invalid { .. } => ErrorKind::InvalidArgument,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::NotImplemented(_) => ErrorKind::NotImplemented,
            Self::Exit { .. } | Self::Start { .. } | Self::File { .. } | Self::Full(_) => {
                ErrorKind::System
            }
            Self::Client { .. } | Self::Remote(_) => ErrorKind::Unavailable,
            Self::Images(error) => error.kind(),
            Self::Snapshots(error) => error.kind(),
            Self::Content(error) => error.kind(),
            Self::Archive(error) => error.kind(),
            Self::Metadata(error) => error.kind(),
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Step { cause, .. } => cause.hint(),
            Self::Invalid { hint, .. } | Self::NotFound { hint, .. } => hint.clone(),
            Self::Images(error) => error.hint(),
            Self::Snapshots(error) => error.hint(),
            Self::Content(error) => error.hint(),
            Self::Archive(error) => error.hint(),
            Self::Metadata(error) => error.hint(),
            Self::Full(_) => Some("dhow builder prune removes what is not in use".into()),
            _ => None,
        }
    }
}
