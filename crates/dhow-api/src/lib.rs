//! The Engine API's wire types.
//!
//! One module a noun. The shapes are those of API 1.56: a field that Docker prints as `null` is an `Option` that is
//! written as `null`, one that Docker leaves out is skipped, and every other field is always written. Decoding is as
//! tolerant as Go's: a missing field or a `null` gives the field's zero value and unknown fields are ignored.
//! What older API versions did differently is none of these types' business: the server's `compat` module changes
//! requests and responses for them.
//!
//! Nothing here validates: the server turns these into the engine's own checked types.
//!
//! ```
//! use dhow_api::container::CreateRequest;
//!
//! let request: CreateRequest =
//!     serde_json::from_str(r#"{"Image": "busybox", "Cmd": "true", "Env": null, "Tty": null}"#).unwrap();
//! assert_eq!(request.config.image, "busybox");
//! assert_eq!(request.config.cmd.unwrap().0, ["true"]);
//! ```
#![allow(
    missing_docs,
    reason = "the fields are named and documented by Docker's Engine API; repeating that here would only go stale"
)]

#[macro_use]
mod wire;

pub mod auth;
pub mod check;
pub mod container;
pub mod disk_usage;
pub mod distribution;
pub mod error;
pub mod event;
pub mod exec;
pub mod image;
pub mod network;
pub mod progress;
pub mod stats;
pub mod system;
pub mod volume;

pub use error::ErrorResponse;
pub use wire::{Empty, Map, Set, Words};

/// The newest API version this crate describes.
pub const API_VERSION: &str = "1.56";
/// The oldest API version a client may ask for.
pub const MIN_API_VERSION: &str = "1.24";
/// How Go prints the zero time.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
