//! Why a shim can't make its container.

use std::io;
use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};

/// Why there is no shim at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum MainError {
    #[error("usage: dhow shim --config PATH | --control FD [--held COUNT]")]
    Usage,
    #[error("take over an inherited descriptor")]
    Inherit(#[source] io::Error),
    #[error("prepare the process")]
    Prepare(#[source] io::Error),
    #[error("read config {path}")]
    Config {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Create(#[from] CreateError),
}

/// Why there is no container.
#[derive(Debug, thiserror::Error)]
pub(super) enum CreateError {
    #[error("shim config of version {0} is not known")]
    Version(u32),
    #[error("read container spec {path}")]
    Spec {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("lock state folder {path}")]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("clear records in {path}")]
    Clear {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("reserve room for the exit record in {path}")]
    Reserve {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("listen on {path}")]
    Listen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}", crate::LOG_DRIVER_FAILED)]
    Log(#[source] dhow_logging::Error),
    #[error("mount root file system")]
    Overlay(#[source] dhow_sys::overlay::OverlayError),
    #[error("attach root file system at {path}")]
    Attach {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("make standard streams")]
    Streams(#[source] io::Error),
    #[error("watch descriptors")]
    Watch(#[source] io::Error),
    #[error(transparent)]
    Runtime(#[from] dhow_runtime::Error),
}

impl Classify for CreateError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Log(error) => error.kind(),
            Self::Runtime(error) => error.kind(),
            _ => ErrorKind::System,
        }
    }
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("unknown request: {0}")]
    Unknown(String),
    #[error("invalid request: {0}")]
    Invalid(String),
    #[error("request out of place")]
    OutOfPlace,
    #[error("container not running")]
    Ended,
    #[error("no such exec: {0}")]
    NoExec(String),
    #[error("exec {0} exists already")]
    ExecExists(String),
    #[error("not the descriptors that were announced")]
    Descriptors,
    #[error("no terminal")]
    NoTerminal,
    #[error("make standard streams")]
    Streams(#[source] io::Error),
    #[error("signal exec {id}")]
    Signal {
        id: String,
        #[source]
        source: io::Error,
    },
    #[error("resize terminal")]
    Resize(#[source] io::Error),
    #[error(transparent)]
    Runtime(#[from] dhow_runtime::Error),
}

impl Classify for RequestError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown(_) => ErrorKind::NotImplemented,
            Self::Invalid(_) | Self::OutOfPlace | Self::Descriptors => ErrorKind::InvalidArgument,
            Self::Ended | Self::NoExec(_) => ErrorKind::NotFound,
            Self::ExecExists(_) | Self::NoTerminal => ErrorKind::Conflict,
            Self::Runtime(error) => error.kind(),
            _ => ErrorKind::System,
        }
    }
}
