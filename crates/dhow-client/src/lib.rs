//! The engine's client: HTTP over a unix socket, TCP, TLS or `ssh`, and the settings that say where the engine is.
//!
//! A [`Client`] holds the address, the API version both sides know (agreed upon by the first request's `_ping`)
//! and one idle connection. [`Request`]s are built fluently and sent by [`Client::send`] (any answer),
//! [`Client::json`] (a document) or [`Client::hijack`] (a raw stream in both directions). Which engine is meant comes
//! from [`settings`], [`config`] and [`context`]; [`credentials`] are those of registries.

mod client;
pub mod config;
mod connect;
pub mod context;
pub mod credentials;
mod documents;
mod error;
mod filters;
pub mod frames;
pub mod input;
pub mod request;
pub mod settings;
mod tls;

#[cfg(test)]
mod tests;

pub use client::{Autostart, Client, Hijacked, MAX_VERSION, RawStream, Response};
pub use config::Config;
pub use connect::{Connection, Stream};
pub use documents::Documents;
pub use error::{Error, Result};
pub use filters::Filters;
pub use request::{Body, Request};
pub use settings::Globals;
