//! How a command fails: what is printed and the exit code.

use dhow_errdefs::{Classify, ErrorKind};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine answered with an error.
    #[error("Error response from daemon: {message}")]
    Daemon { status: u16, message: String },
    /// Nobody answers at the engine's address.
    #[error("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")]
    NoDaemon { host: String },
    /// Something else; the text is complete.
    #[error("{0}")]
    Text(String),
    /// Ends with this code; the text, where there is one, goes to standard error.
    #[error("{text}")]
    Exit { code: u8, text: String },
    /// Reading or writing failed.
    #[error("{what}: {source}")]
    Io {
        what: String,
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Ends with `code` and says nothing more.
    pub(crate) fn exit(code: u8) -> Self {
        Self::Exit {
            code,
            text: String::new(),
        }
    }

    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    /// The exit code of the whole command line.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Exit { code, .. } => *code,
            _ => 1,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Daemon { status: 404, .. })
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
            Self::Daemon { status: 500.., .. } | Self::Exit { .. } => ErrorKind::System,
            Self::Io { source, .. } => dhow_errdefs::kind_of_io(source),
            Self::Daemon { .. } | Self::Text(_) => ErrorKind::InvalidArgument,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Text(go_io(&error))
    }
}

/// An I/O error as Go words it: lower case, without the number.
pub(crate) fn go_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    match characters.next() {
        // "Is a directory", but not "EOF" or "TLS …".
        Some(first) if error.raw_os_error().is_some() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}
