//! The one task that samples all containers somebody listens to, once a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dhow_container::spec::NetworkMode;
use dhow_runtime::cgroup::Cgroup;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::{Processors, Sample, counters};
use crate::container::ContainerRecord;
use crate::host;
use crate::lifecycle::start::cgroup_path;
use crate::services::Services;
use crate::store::Container;

/// Docker's interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// The newest sample of a container; nothing inside while it does not run.
pub(crate) type Newest = Option<Arc<Sample>>;

/// Who is listened to. There is a task while there is anybody.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    watched: Arc<Mutex<Watched>>,
}

#[derive(Debug, Default)]
struct Watched {
    containers: HashMap<String, (Arc<Container>, watch::Sender<Newest>)>,
    /// The task runs.
    running: bool,
}

type Shared = Arc<Mutex<Watched>>;

fn lock(watched: &Shared) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector {
    /// Listens to a container: every change of the value is a new sample. The sender is gone when the container is.
    pub(crate) fn subscribe(
        &self,
        services: &Arc<Services>,
        container: &Arc<Container>,
    ) -> watch::Receiver<Newest> {
        let mut watched = lock(&self.watched);
        let (_, sender) = watched
            .containers
            .entry(container.id.clone())
            .or_insert_with(|| (container.clone(), watch::channel(None).0));
        let receiver = sender.subscribe();
        if !watched.running {
            watched.running = true;
            tokio::spawn(collect(Arc::downgrade(services), self.watched.clone()));
        }
        receiver
    }

    /// Ends the streams of a container that is gone.
    pub(crate) fn forget(&self, id: &str) {
        lock(&self.watched).containers.remove(id);
    }
}

/// Samples everybody who is listened to, until nobody is.
async fn collect(services: Weak<Services>, watched: Shared) {
    let mut clock = tokio::time::interval(INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let Some(services) = services.upgrade() else {
            return;
        };
        let containers: Vec<Arc<Container>> = {
            let mut watched = lock(&watched);
            watched
                .containers
                .retain(|_, (_, sender)| sender.receiver_count() > 0);
            if watched.containers.is_empty() {
                watched.running = false;
                return;
            }
            let all = watched.containers.values();
            all.map(|(container, _)| container.clone()).collect()
        };
        let round = tokio::task::spawn_blocking(move || round(&services, &containers));
        let samples = round.await.unwrap_or_default();
        let watched = lock(&watched);
        for (id, newest) in samples {
            if let Some((_, sender)) = watched.containers.get(&id) {
                sender.send_replace(newest);
            }
        }
    }
}

fn round(services: &Services, containers: &[Arc<Container>]) -> Vec<(String, Newest)> {
    let (machine, memory) = (counters::processors(), host::machine::memory());
    containers
        .iter()
        .map(|container| {
            let newest = measure(services, &container.record(), machine, memory).map(Arc::new);
            (container.id.clone(), newest)
        })
        .collect()
}

/// What a container uses now; nothing when it does not run. Blocking.
pub(crate) fn sample(services: &Services, record: &ContainerRecord) -> Option<Sample> {
    let memory = host::machine::memory();
    measure(services, record, counters::processors(), memory)
}

fn measure(
    services: &Services,
    record: &ContainerRecord,
    machine: Processors,
    memory: u64,
) -> Option<Sample> {
    if !record.state.status.has_process() {
        return None;
    }
    let cgroup = Cgroup::named(&cgroup_path(&services.config, record));
    // It may just have ended.
    let mut usage = cgroup.stats().ok()?;
    let limit = usage.memory.limit.unwrap_or(u64::MAX);
    usage.memory.limit = Some(if memory > 0 { limit.min(memory) } else { limit });
    Some(Sample {
        read: Timestamp::now(),
        version: cgroup.version(),
        usage,
        networks: if has_sandbox(services, record) {
            counters::interfaces(record.state.pid)
        } else {
            Default::default()
        },
        machine,
    })
}

/// Whether its network namespace is one that the engine gives interfaces to, be it another container's.
fn has_sandbox(services: &Services, record: &ContainerRecord) -> bool {
    if record.config.network_disabled {
        return false;
    }
    match &record.host.network_mode {
        NetworkMode::Container(other) => services
            .find(other)
            .is_ok_and(|other| other.record().host.network_mode.is_private()),
        mode => mode.is_private(),
    }
}
