//! What can go wrong with logs.

use std::io;
use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};

/// A log option that can't be used, or a log that can't be kept or sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such driver. Docker's text.
    #[error("error looking up logging plugin {0}: plugin \"{0}\" not found")]
    UnknownDriver(String),
    /// The driver does not know the option. Docker's text.
    #[error("unknown log opt '{option}' for {driver}")]
    UnknownOption {
        /// The driver, as `local log driver`.
        driver: String,
        /// The option's key.
        option: String,
    },
    /// The option's value can't be used; the text says why.
    #[error("{0}")]
    BadValue(String),
    /// The driver keeps nothing that could be read. Docker's text.
    #[error("configured logging driver does not support reading")]
    NotReadable,
    /// The driver could not begin; the text is Docker's.
    #[error("{0}")]
    Driver(String),
    /// The process of the driver can't be started.
    #[error("start logger")]
    Logger(#[source] io::Error),
    /// Entries could not be delivered.
    #[error("deliver to {to}")]
    Deliver {
        /// The receiver.
        to: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A log file can't be opened or made.
    #[error("open log file {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A log file can't be read.
    #[error("read log file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A log file can't be written.
    #[error("write log file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A log file can't be rotated.
    #[error("rotate log file {path}")]
    Rotate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log's folder can't be watched.
    #[error("watch log file {path}")]
    Watch {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownDriver(_) | Self::UnknownOption { .. } | Self::BadValue(_) => {
                ErrorKind::InvalidArgument
            }
            Self::NotReadable => ErrorKind::NotImplemented,
            _ => ErrorKind::System,
        }
    }
}
