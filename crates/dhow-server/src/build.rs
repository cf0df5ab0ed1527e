//! Builds as `POST /build` asks for them.
//!
//! [`order`] reads what is asked for, [`context`] takes the files that come with it, [`transcript`] says what goes on in
//! the words of the classic builder. The work is `dhow-builder`'s. What needs BuildKit's protocols (sessions, the traces of
//! `version=2`) is asked of [`Sessions`].

mod carry;
mod context;
pub(crate) mod order;
mod telling;
mod transcript;

use std::path::PathBuf;
use std::sync::Arc;

use dhow_builder::{Builder, Client, Progress};
use dhow_engine::images::Images;
use dhow_engine::steps::Steps;
use futures::future::BoxFuture;
use http::HeaderMap;
use hyper::upgrade::Upgraded;

pub(crate) use carry::Build;
pub(crate) use context::{Context, TarClient};
pub(crate) use order::Order;
pub use order::Running;
pub(crate) use transcript::{Manner, Transcript};

/// What speaks BuildKit's protocols.
pub trait Sessions: Send + Sync + 'static {
    /// Serves a connection that `POST /grpc` gave away, to its end.
    fn grpc(&self, connection: Upgraded) -> BoxFuture<'static, ()>;

    /// Takes part in a session on a connection that `POST /session` gave away, to its end.
    fn session(&self, connection: Upgraded, headers: HeaderMap) -> BoxFuture<'static, ()>;

    /// The client of the session with that id; none if it does not come.
    fn client<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Option<Arc<dyn Client>>>;

    /// Progress as a `StatusResponse` of BuildKit's, encoded.
    fn trace(&self, progress: &Progress) -> Option<Vec<u8>>;
}

/// What the routes about builds work with.
#[derive(Clone)]
pub struct Builds {
    /// What builds.
    pub builder: Builder,
    /// What speaks BuildKit's protocols.
    pub sessions: Arc<dyn Sessions>,
    /// Where contexts are unpacked; emptied at each start.
    pub contexts: PathBuf,
    /// Builds that can be cancelled by their id.
    pub running: Running,
    /// The engine's images, which tell of what was built.
    pub images: Images,
    /// What knows the host's address for containers.
    pub steps: Steps,
    /// Whether `squash` may be asked for.
    pub experimental: bool,
    /// Whether clients are told to build with BuildKit's protocol.
    pub buildkit: bool,
}

impl std::fmt::Debug for Builds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builds").finish_non_exhaustive()
    }
}
