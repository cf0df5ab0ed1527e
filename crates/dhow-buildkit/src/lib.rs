//! BuildKit's gRPC services and sessions, as buildx, compose and the Docker SDKs speak them.
//!
//! # Terms
//!
//! * A *session* is a connection on which the roles are turned around: the client serves its files, secrets, agents and
//!   credentials, and the engine calls. It has an id that builds name.
//! * *Control* is what builders are used by: builds, their progress, the cache, the history.
//! * The *bridge* is what a front end uses while it runs. buildx has its own run on its side, so its calls come over the
//!   same connection as those to the control service, with the build's id beside them.
//!
//! # Example
//!
//! The daemon answers `POST /grpc` and `POST /session` with `101` and gives the connection away:
//!
//! ```ignore
//! let buildkit = BuildKit::open(config)?;
//! buildkit.serve_grpc(upgraded).await;               // after POST /grpc
//! buildkit.serve_session(upgraded, &headers).await;  // after POST /session
//! ```

mod board;
mod bridge;
mod builds;
mod content;
mod control;
mod failure;
mod health;
mod history;
mod id;
mod order;
mod service;
mod session;
mod time;
mod transport;
mod upload;
mod worker;

pub use service::{BuildKit, BuildKitConfig, Error, Maker};
