//! The registry client: resolve, authenticate, pull, push, search.
//!
//! A [`Registry`] holds what all requests share: settings, connections, and what was learnt about each host (its
//! scheme, its tokens). For one repository and one user's [`Credentials`] it gives a [`Repository`], on which
//! manifests and blobs are fetched and pushed. All calls are cancelled by dropping their futures.
//!
//! The protocol is the OCI distribution specification's, with Docker's habits: `docker.io` is served by
//! `registry-1.docker.io`, certificates are found in `/etc/docker/certs.d/<host>/`, registries on the loopback
//! network may be plain HTTP, and errors read as Docker's do.

mod auth;
mod blob;
mod boundary;
mod challenge;
mod config;
mod credentials;
mod error;
mod fetch;
mod host;
mod hosts;
mod login;
mod push;
mod registry;
mod search;
mod tags;
mod tls;
mod transport;

pub use blob::{BlobSource, BlobStream, Patience};
pub use config::{Proxies, RegistryConfig};
pub use credentials::Credentials;
pub use error::Error;
pub use login::LoggedIn;
pub use push::Sent;
pub use registry::{Registry, Repository, Resolved};
pub use search::Found;
