//! What can go wrong with containers; the texts users and scripts know are Docker's.

use std::io;
use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};

use dhow_container::mount::MountError;
use dhow_container::spec::Invalid;

/// A failed step of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request says something that can't be; the text is Docker's.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The request says something that can't be, which Docker answers like a failure of its own; the text is Docker's.
    #[error("{0}")]
    Refused(String),
    /// Something asked for does not exist here (yet).
    #[error("{0}")]
    Unsupported(String),
    /// No container has that name or id.
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    /// Several containers' ids begin with it.
    #[error("Multiple IDs found with provided prefix: {0}")]
    AmbiguousContainer(String),
    /// No exec has that id.
    #[error("No such exec instance: {0}")]
    NoSuchExec(String),
    /// The name belongs to another container.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{by}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The id of the container that has it.
        by: String,
    },
    /// The container (or exec) is in no state for that; the text is Docker's.
    #[error("{0}")]
    Conflict(String),
    /// It is as asked for already.
    #[error("{0}")]
    NotModified(&'static str),
    /// An operation on a container failed.
    #[error("cannot {action} container: {name}")]
    Operation {
        /// `stop`, `kill`, …
        action: &'static str,
        /// The container as it was named.
        name: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// A container cannot have the name that it was to get.
    #[error("Error when allocating new name")]
    NewName(#[source] Box<Error>),
    /// The container runs and was not to be removed by force.
    #[error("cannot remove container \"{name}\"")]
    Remove {
        /// The container's name.
        name: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The container's program could not be started.
    #[error("failed to create task for container")]
    Task(#[source] TaskError),
    /// An exec could not be started.
    #[error("OCI runtime exec failed: exec failed: unable to start container process")]
    Exec(#[source] crate::supervisor::Error),
    /// The container could not be connected to its networks.
    #[error("failed to set up container networking")]
    Networking(#[source] dhow_network::Error),
    /// The container's supervisor could not do what it was asked for.
    #[error(transparent)]
    Supervisor(#[from] crate::supervisor::Error),
    /// The AppArmor profile that containers are to be in could not be loaded.
    #[error(transparent)]
    AppArmor(dhow_runtime::apparmor::Error),
    /// A file of the container could not be used.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A path within a container does not exist.
    #[error("Could not find the file {path} in container {container}")]
    NoSuchPath {
        /// The path.
        path: String,
        /// The container as it was named.
        container: String,
    },
    /// A container's files could not be made visible.
    #[error("{step} the container's files")]
    View {
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A container's files could not be read or written.
    #[error(transparent)]
    Archive(#[from] dhow_archive::Error),
    /// The image store failed, or has no such image.
    #[error(transparent)]
    Image(#[from] dhow_image::Error),
    /// The layer store failed.
    #[error(transparent)]
    Snapshot(#[from] dhow_snapshot::Error),
    /// The volume store failed, or has no such volume.
    #[error(transparent)]
    Volume(#[from] dhow_volume::Error),
    /// The network layer failed, or has no such network.
    #[error(transparent)]
    Network(#[from] dhow_network::Error),
    /// A log can't be read.
    #[error(transparent)]
    Log(#[from] dhow_logging::Error),
    /// A container's log driver can't be used. Docker's text.
    #[error("failed to create task for container: failed to initialize logging driver")]
    LogDriver(#[source] dhow_logging::Error),
    /// The records can't be read or written.
    #[error(transparent)]
    Metadata(#[from] dhow_metadata::Error),
    /// Work on another thread ended without a result: the engine is shutting down, or there is a bug.
    #[error("background work ended early")]
    Background(#[source] tokio::task::JoinError),
}

/// Docker's middle part of the text when a container's program can't be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process"
)]
pub struct TaskError(#[source] pub(crate) crate::supervisor::Error);

impl Error {
    /// A user or group that can't be: Docker looks them up before it comes to the runtime, so that the runtime's prefixes
    /// are missing in its text.
    pub(crate) fn about_user(error: &crate::supervisor::Error) -> Option<Self> {
        const TEXTS: [&str; 3] = [
            "unable to find user ",
            "unable to find group ",
            "uids and gids must be in range ",
        ];
        let text = error.to_string();
        let is_one = TEXTS.iter().any(|begin| text.starts_with(begin));
        is_one.then(|| Self::Refused(text))
    }
}

impl From<MountError> for Error {
    fn from(error: MountError) -> Self {
        match error {
            MountError::Invalid(error) => Self::Invalid(error),
            MountError::Mode(text) => Self::Refused(text),
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            Self::Unsupported(_) => ErrorKind::NotImplemented,
            Self::NoSuchContainer(_) | Self::NoSuchExec(_) | Self::NoSuchPath { .. } => {
                ErrorKind::NotFound
            }
            Self::AmbiguousContainer(_) => ErrorKind::InvalidArgument,
            Self::NameTaken { .. } | Self::Conflict(_) => ErrorKind::Conflict,
            Self::NotModified(_) => ErrorKind::NotModified,
            Self::Operation { source, .. }
            | Self::Remove { source, .. }
            | Self::NewName(source) => source.kind(),
            Self::Task(TaskError(source)) | Self::Exec(source) | Self::Supervisor(source) => {
                source.kind()
            }
            Self::Networking(source) => source.kind(),
            Self::Image(source) => source.kind(),
            Self::Snapshot(source) => source.kind(),
            Self::Volume(source) => source.kind(),
            Self::Network(source) => source.kind(),
            Self::Log(source) | Self::LogDriver(source) => source.kind(),
            Self::Metadata(source) => source.kind(),
            Self::Archive(source) => source.kind(),
            Self::AppArmor(source) => source.kind(),
            Self::File { .. } | Self::View { .. } | Self::Background(_) | Self::Refused(_) => {
                ErrorKind::System
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Image(source) => source.hint(),
            Self::Archive(source) => source.hint(),
            Self::Metadata(source) => source.hint(),
            _ => None,
        }
    }
}

/// The result of the engine's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;
