//! What lists and look-ups need of a container: the record in short.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::pool::Pool;
use crate::container::{
    ContainerRecord, Health, HealthStatus, ImageRef, MountPoint, PublishedPort, Status,
};
use crate::text;
use dhow_container::Link;
use dhow_container::spec::{EndpointSettings, NetworkMode, Port, RestartPolicy};

/// A container's record in short. What many containers have in common is shared between them.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The id.
    pub id: Box<str>,
    /// The name, without a slash.
    pub name: Box<str>,
    /// When it was made.
    pub created: Timestamp,
    /// The program and its arguments, quoted where needed.
    pub command: Arc<str>,
    /// What it was made from.
    pub image: Arc<ImageRef>,
    /// Of its portable part.
    pub config: OutlineConfig,
    /// Of its part about the host.
    pub host: Arc<OutlineHost>,
    /// Its endpoints by network name.
    pub networks: Arc<BTreeMap<String, EndpointSettings>>,
    /// Where its ports are published; nothing for exposed ones.
    pub ports: Arc<BTreeMap<Port, Vec<PublishedPort>>>,
    /// The containers it is linked to.
    pub links: Arc<Vec<Link>>,
    /// What is mounted.
    pub mounts: Arc<Vec<MountPoint>>,
    /// What it is doing.
    pub state: OutlineState,
}

/// See [`Outline::config`].
#[derive(Debug, Clone)]
pub struct OutlineConfig {
    /// The image's name as it was given.
    pub image: Arc<str>,
    /// The labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The ports that programs in it listen on.
    pub exposed_ports: Arc<BTreeSet<Port>>,
}

/// See [`Outline::host`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutlineHost {
    /// Its network.
    pub network_mode: NetworkMode,
    /// Notes for runtimes.
    pub annotations: BTreeMap<String, String>,
    /// When it is started again.
    pub restart_policy: RestartPolicy,
    /// It is removed when it ends.
    pub auto_remove: bool,
}

/// See [`Outline::state`].
#[derive(Debug, Clone)]
pub struct OutlineState {
    /// The phase.
    pub status: Status,
    /// The last exit code.
    pub exit_code: i32,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub finished_at: Option<Timestamp>,
    /// Its health if it has a check, without what the probes said.
    pub health: Option<Box<Health>>,
}

impl OutlineState {
    /// Its health; none without a check.
    #[must_use]
    pub fn health_status(&self) -> HealthStatus {
        self.health
            .as_ref()
            .map_or(HealthStatus::None, |health| health.status)
    }
}

/// What containers have in common.
#[derive(Default)]
pub(crate) struct Pools {
    texts: Pool<str>,
    images: Pool<ImageRef>,
    labels: Pool<BTreeMap<String, String>>,
    exposed: Pool<BTreeSet<Port>>,
    hosts: Pool<OutlineHost>,
    networks: Pool<BTreeMap<String, EndpointSettings>>,
    ports: Pool<BTreeMap<Port, Vec<PublishedPort>>>,
    links: Pool<Vec<Link>>,
    mounts: Pool<Vec<MountPoint>>,
}

/// A shared copy from the pool; a copy of its own without one.
fn shared<T: Clone + Serialize + PartialEq>(pool: Option<&Pool<T>>, value: &T) -> Arc<T> {
    let make = |value: &T| Arc::new(value.clone());
    match pool {
        Some(pool) => pool.share(value, make),
        None => make(value),
    }
}

impl Outline {
    /// The outline of a record. With `pools` its parts are shared, which takes a moment more.
    pub(crate) fn of(record: &ContainerRecord, pools: Option<&Pools>) -> Self {
        let text = |text: &str| match pools {
            Some(pools) => pools.texts.share(text, |text| text.into()),
            None => Arc::from(text),
        };
        let (config, host, state) = (&record.config, &record.host, &record.state);
        let outline = OutlineHost {
            network_mode: host.network_mode.clone(),
            annotations: host.annotations.clone(),
            restart_policy: host.restart_policy,
            auto_remove: host.auto_remove,
        };
        Self {
            id: record.id.as_str().into(),
            name: record.name.as_str().into(),
            created: record.created,
            command: text(&text::command(record)),
            image: shared(pools.map(|pools| &pools.images), &record.image),
            config: OutlineConfig {
                image: text(&config.image),
                labels: shared(pools.map(|pools| &pools.labels), &config.labels),
                exposed_ports: shared(pools.map(|pools| &pools.exposed), &config.exposed_ports),
            },
            host: shared(pools.map(|pools| &pools.hosts), &outline),
            networks: shared(pools.map(|pools| &pools.networks), &record.networks),
            ports: shared(pools.map(|pools| &pools.ports), &record.ports),
            links: shared(pools.map(|pools| &pools.links), &record.links),
            mounts: shared(pools.map(|pools| &pools.mounts), &record.mounts),
            state: OutlineState {
                status: state.status,
                exit_code: state.exit_code,
                started_at: state.started_at,
                finished_at: state.finished_at,
                health: state.health.as_ref().map(|health| {
                    Box::new(Health {
                        log: Default::default(),
                        ..health.clone()
                    })
                }),
            },
        }
    }

    /// The first twelve digits of the id.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}
