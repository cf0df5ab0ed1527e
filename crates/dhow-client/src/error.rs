//! Why something asked of the engine or of the settings failed.

use dhow_errdefs::{Classify, ErrorKind};
use dhow_golang::io_text;

/// What can fail with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine answered with an error.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// The HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// Nobody answers at the engine's address.
    #[error("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")]
    NoDaemon {
        /// The address.
        host: String,
    },
    /// Something else; the text is complete.
    #[error("{0}")]
    Text(String),
    /// Reading or writing failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Error {
    /// An error with a complete text of its own.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An error of the system while doing `what`.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    /// Whether the engine knows nothing of that name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Daemon { status: 404, .. })
    }

    /// Whether nobody answers, so that asking again is of no use.
    #[must_use]
    pub fn is_no_daemon(&self) -> bool {
        matches!(self, Self::NoDaemon { .. })
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Daemon { status: 404, .. } => ErrorKind::NotFound,
            Self::Daemon { status: 409, .. } => ErrorKind::Conflict,
            Self::Daemon { status: 401, .. } => ErrorKind::Unauthorized,
            Self::Daemon { status: 403, .. } => ErrorKind::Forbidden,
            Self::Daemon { status: 501, .. } => ErrorKind::NotImplemented,
            Self::Daemon { status: 503, .. } | Self::NoDaemon { .. } => ErrorKind::Unavailable,
            Self::Daemon { status: 500.., .. } => ErrorKind::System,
            Self::Io { source, .. } => dhow_errdefs::kind_of_io(source),
            Self::Daemon { .. } | Self::Text(_) => ErrorKind::InvalidArgument,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Text(io_text(&error))
    }
}
