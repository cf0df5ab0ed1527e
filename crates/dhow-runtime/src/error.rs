//! What can go wrong in a container's life.

use std::io;
use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::{cgroup, seccomp, user};

/// The result of a runtime's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a runtime could not do what it was asked for. Printed with its sources (`dhow_errdefs::chain`) it gives the text
/// that Docker shows after `OCI runtime create failed: runc create failed: unable to start container process: `.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id has characters it may not have.
    #[error("invalid container id {0:?}")]
    InvalidId(String),
    /// A container with this id exists.
    #[error("container with given ID already exists")]
    Exists(String),
    /// There is no container with this id.
    #[error("container does not exist")]
    NotFound(String),
    /// Its init has ended.
    #[error("container not running")]
    NotRunning(String),
    /// It is not where in its life it must be.
    #[error("cannot {action} a container that is {state}")]
    WrongState {
        /// What was to be done.
        action: &'static str,
        /// What it is.
        state: String,
    },
    /// The specification asks for something impossible.
    #[error("invalid specification: {0}")]
    Spec(String),
    /// The user can't be looked up; Docker shows this text alone, before it comes to create a container.
    #[error(transparent)]
    User(#[from] user::Error),
    /// The control group can't be made, changed or read.
    #[error("error with the container's cgroup")]
    Cgroup(#[from] cgroup::Error),
    /// The seccomp profile can't be used.
    #[error("error with the container's seccomp profile")]
    Seccomp(#[from] seccomp::Error),
    /// The init of a new container failed; the source says at what.
    #[error("error during container init")]
    DuringInit(#[source] Box<Error>),
    /// The program can't be executed: the text is `exec: "foo": executable file not found in $PATH` and the like.
    #[error(transparent)]
    Executable(ExecutableError),
    /// A step inside the container failed.
    #[error("{0}")]
    Init(String),
    /// A step on the outside failed.
    #[error("{action}")]
    Step {
        /// What was to be done.
        action: String,
        /// Why it could not.
        #[source]
        source: io::Error,
    },
    /// A file of ours can't be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read`, `write`, `create`, `remove`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A hook failed.
    #[error("error running {kind} hook #{index}: {message}")]
    Hook {
        /// `createRuntime`, ...
        kind: String,
        /// Which of them, from 0.
        index: usize,
        /// Why.
        message: String,
    },
    /// Another runtime said no; the text is its own.
    #[error("{program} {command} failed: {message}")]
    External {
        /// The program's name.
        program: String,
        /// `create`, `start`, ...
        command: &'static str,
        /// What it said.
        message: String,
    },
}

impl Error {
    /// Why the program can't be executed, where that is what went wrong.
    #[must_use]
    pub fn executable(&self) -> Option<&ExecutableError> {
        match self {
            Self::DuringInit(error) => error.executable(),
            Self::Executable(error) => Some(error),
            _ => None,
        }
    }
}

/// Why the program can't be executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ExecutableError {
    /// Looked for in `$PATH`, exit code 127.
    #[error("exec: {0:?}: executable file not found in $PATH")]
    NotInPath(String),
    /// A path that leads nowhere, exit code 127.
    #[error("exec: {0:?}: stat {0}: no such file or directory")]
    Missing(String),
    /// Not executable, exit code 126.
    #[error("exec: {0:?}: permission denied")]
    Denied(String),
    /// A directory, exit code 126.
    #[error("exec: {0:?}: is a directory")]
    Directory(String),
    /// Anything else, exit code 126.
    #[error("exec: {0:?}: {1}")]
    Other(String, String),
}

impl ExecutableError {
    /// The exit code of `docker run` for it: 127 where there is no such program, 126 where it can't be executed.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NotInPath(_) | Self::Missing(_) => 127,
            _ => 126,
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidId(_) | Self::Spec(_) | Self::Executable(_) | Self::Seccomp(_) => {
                ErrorKind::InvalidArgument
            }
            Self::Exists(_) | Self::NotRunning(_) | Self::WrongState { .. } => ErrorKind::Conflict,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::User(error) => error.kind(),
            Self::DuringInit(error) => error.kind(),
            Self::Cgroup(error) => error.kind(),
            _ => ErrorKind::System,
        }
    }
}
