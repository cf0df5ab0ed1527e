//! What the handles share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dhow_image::Images;
use dhow_metadata::Database;
use dhow_snapshot::Snapshots;
use dhow_volume::Volumes;

use crate::config::EngineConfig;
use crate::connector::Connector;
use crate::container::ContainerRecord;
use crate::events::{EventKind, Events};
use crate::exec::ExecSet;
use crate::stats::Collector;
use crate::steps::StepSet;
use crate::store::{Container, ContainerSet, Journal};
use crate::supervisor::Supervisor;
use crate::{Error, Result};

/// The engine's collaborators and what it keeps in memory.
pub(crate) struct Services {
    pub(crate) config: EngineConfig,
    pub(crate) db: Database,
    pub(crate) images: Images,
    pub(crate) snapshots: Snapshots,
    pub(crate) volumes: Volumes,
    pub(crate) networks: Arc<dyn Connector>,
    pub(crate) supervisor: Arc<dyn Supervisor>,
    pub(crate) containers: ContainerSet,
    pub(crate) execs: ExecSet,
    pub(crate) steps: StepSet,
    pub(crate) events: Events,
    pub(crate) stats: Collector,
    /// The engine is ending: nothing is restarted any more.
    pub(crate) draining: AtomicBool,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Services {
    pub(crate) fn journal(&self) -> Journal {
        Journal {
            db: self.db.clone(),
        }
    }

    /// The names a container may ask for as its runtime.
    pub(crate) fn runtime_names(&self) -> Vec<String> {
        let own = ["runc", "dhow", "io.containerd.runc.v2"].map(str::to_owned);
        let config = &self.config;
        let further = config
            .runtimes
            .keys()
            .chain([&config.default_runtime])
            .cloned();
        own.into_iter().chain(further).collect()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The AppArmor profile of containers that ask for none, where there is AppArmor; loaded if it was not. Blocking.
    pub(crate) fn apparmor(&self) -> Result<Option<String>> {
        let profile = dhow_runtime::apparmor::AppArmor::default().default_profile();
        Ok(profile.map_err(Error::AppArmor)?.map(str::to_owned))
    }

    /// The durable folder of a container.
    pub(crate) fn folder(&self, id: &str) -> PathBuf {
        self.config.data_root.join("containers").join(id)
    }

    /// The folder of a container's run: bundle, socket.
    pub(crate) fn run_folder(&self, id: &str) -> PathBuf {
        self.config.exec_root.join("containers").join(id)
    }

    /// The socket of a container's supervisor.
    pub(crate) fn socket(&self, id: &str) -> PathBuf {
        self.run_folder(id).join("shim.sock")
    }

    /// Where runtimes keep what they know of running containers.
    pub(crate) fn runtime_root(&self) -> PathBuf {
        self.config.exec_root.join("runtime")
    }

    /// Tells an event about a container.
    pub(crate) fn tell(&self, record: &ContainerRecord, action: impl Into<String>) {
        self.tell_with(record, action, &[]);
    }

    /// Tells an event about a container, with more attributes.
    pub(crate) fn tell_with(
        &self,
        record: &ContainerRecord,
        action: impl Into<String>,
        more: &[(&str, &str)],
    ) {
        let mut attributes = record.config.labels.clone();
        attributes.insert("image".into(), record.config.image.clone());
        attributes.insert("name".into(), record.name.clone());
        for (key, value) in more {
            attributes.insert((*key).to_owned(), (*value).to_owned());
        }
        self.events
            .tell(EventKind::Container, action, record.id.clone(), attributes);
    }

    /// Tells an event about something else.
    pub(crate) fn tell_other(
        &self,
        kind: EventKind,
        action: &str,
        id: &str,
        attributes: &[(&str, &str)],
    ) {
        let attributes: BTreeMap<String, String> = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        self.events.tell(kind, action, id, attributes);
    }

    /// The container of that name, or why there is none.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Container>> {
        self.containers.find(name)
    }
}

/// Runs what blocks for more than a few microseconds on a thread made for that.
pub(crate) async fn blocking<T: Send + 'static, E: Into<Error> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(Error::Background(error)),
    }
}
