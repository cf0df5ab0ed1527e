//! What the routes work with.

use axum::extract::FromRef;
use dhow_distribution::Registry;
use dhow_engine::events::Events;
use dhow_engine::exec::Execs;
use dhow_engine::images::Images;
use dhow_engine::networks::Networks;
use dhow_engine::system::System;
use dhow_engine::volumes::Volumes;
use dhow_engine::{Containers, Engine};
use tokio_util::sync::CancellationToken;

use crate::Builds;

/// A handle for each noun; every route takes only its own.
#[derive(Debug, Clone)]
pub struct Handles {
    /// Containers.
    pub containers: Containers,
    /// Execs.
    pub execs: Execs,
    /// Images.
    pub images: Images,
    /// Networks.
    pub networks: Networks,
    /// Volumes.
    pub volumes: Volumes,
    /// Events.
    pub events: Events,
    /// The engine itself.
    pub system: System,
    /// Registries, for `/auth` and `/distribution`.
    pub registry: Registry,
    /// Builds.
    pub builds: Builds,
    /// Cancelled when the daemon ends; endless streams end with it.
    pub stop: CancellationToken,
}

impl Handles {
    /// The handles of an engine, its registry client and its builds; `stop` ends endless streams.
    #[must_use]
    pub fn new(
        engine: &Engine,
        registry: Registry,
        builds: Builds,
        stop: CancellationToken,
    ) -> Self {
        Self {
            containers: engine.containers(),
            execs: engine.execs(),
            images: engine.images(),
            networks: engine.networks(),
            volumes: engine.volumes(),
            events: engine.events(),
            system: engine.system(),
            registry,
            builds,
            stop,
        }
    }
}

macro_rules! parts {
    ($($field:ident: $type:ty),+ $(,)?) => {$(
        impl FromRef<Handles> for $type {
            fn from_ref(handles: &Handles) -> Self {
                handles.$field.clone()
            }
        }
    )+};
}

parts! {
    containers: Containers,
    execs: Execs,
    images: Images,
    networks: Networks,
    volumes: Volumes,
    events: Events,
    system: System,
    registry: Registry,
    builds: Builds,
    stop: CancellationToken,
}
