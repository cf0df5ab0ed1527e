//! How a command fails: what is printed and the exit code.

use dhow_errdefs::{Classify, ErrorKind};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine or the settings are the reason.
    #[error(transparent)]
    Client(#[from] dhow_client::Error),
    /// Ends with this code; the text, where there is one, goes to standard error.
    #[error("{text}")]
    Exit { code: u8, text: String },
}

impl Error {
    /// A complete text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Client(dhow_client::Error::text(text))
    }

    /// Ends with `code` and says nothing more.
    pub(crate) fn exit(code: u8) -> Self {
        Self::Exit {
            code,
            text: String::new(),
        }
    }

    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Client(dhow_client::Error::io(what, source))
    }

    /// The exit code of the whole command line.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Exit { code, .. } => *code,
            Self::Client(_) => 1,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_not_found())
    }

    pub(crate) fn is_no_daemon(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_no_daemon())
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Client(error) => error.kind(),
            Self::Exit { .. } => ErrorKind::System,
        }
    }
}

impl From<dhow_format::Error> for Error {
    fn from(error: dhow_format::Error) -> Self {
        Self::text(error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Client(error.into())
    }
}
