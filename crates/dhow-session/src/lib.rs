//! The client's half of a build.
//!
//! # Terms
//!
//! * An [`Offer`] is what the engine may have of this side while it builds: folders, secrets, agents, credentials, caches,
//!   an archive from the standard input, and places where it may put what it has built.
//! * A [`Session`] is the connection on which the offer is served: the roles are turned around, the engine calls.
//! * [`Control`] asks for the build and is told how it goes on, on a connection of its own.
//!
//! Everything goes through an engine's API (`POST /session`, `POST /grpc`), whose connections become HTTP/2.
//!
//! # What is not trusted
//!
//! The engine: it gets only the folders, secrets and agents that were offered, by their names, and writes only below the
//! folders that were meant for it, whatever the names of what it sends.
//!
//! # Example
//!
//! ```ignore
//! let session = Session::open(&client, offer).await?;
//! let control = Control::open(&client).await?;
//! let answer = control.solve(SolveRequest { session: session.id().into(), ..request }).await?;
//! ```

mod agents;
mod auth;
mod content;
mod control;
mod export;
mod files;
mod metadata;
mod secrets;
mod session;
mod transport;
mod upload;

pub use bollard_buildkit_proto::google::protobuf::Timestamp;
pub use bollard_buildkit_proto::moby::buildkit::v1 as messages;
pub use control::{Control, Failure, SourceLines};
pub use export::Target;
pub use secrets::Secret;
pub use session::{Offer, Session, random_id};
pub use upload::Input;

use dhow_errdefs::{Classify, ErrorKind};

/// A build can't be asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine's API does not let it.
    #[error(transparent)]
    Client(#[from] dhow_client::Error),
    /// The connection speaks no HTTP/2.
    #[error("can't begin a session with the engine")]
    Transport(#[from] hyper::Error),
    /// The engine says why not.
    #[error(transparent)]
    Refused(#[from] Failure),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Client(error) => error.kind(),
            Self::Transport(_) => ErrorKind::Unavailable,
            Self::Refused(failure) => failure.kind(),
        }
    }
}
