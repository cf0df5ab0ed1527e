//! HTTP: routes, versions, hijacked streams, wire to engine conversion.
//!
//! [`router`] makes an [`axum::Router`] that answers Docker's Engine API out of an engine's [`Handles`];
//! [`serve_connection`] speaks HTTP/1.1 on one connection with it.
//!
//! The way of a request: `version` takes the `/v1.51` prefix off and checks it, `routes` (a file for each noun) finds
//! the handler, `request` decodes query, body, filters and credentials with Docker's strictness and texts, `compat`
//! adapts what older API versions did differently, `convert` (a file for each noun) turns wire types into the
//! engine's validated ones, the engine's handle does the work. Back: `convert`, `compat`, and `reply` (JSON, progress
//! streams, hijacked connections); errors get their status in `error`, and nowhere else.
//!
//! What does not stand here: no decision about containers, no state between requests.

mod build;
mod compat;
mod connection;
mod convert;
mod error;
mod handles;
mod reply;
mod request;
mod routes;
mod version;

pub use build::{Builds, Running, Sessions};
pub use connection::{ConnectionLimits, serve_connection};
pub use error::ApiError;
pub use handles::Handles;
pub use routes::router;
pub use version::ApiVersion;
