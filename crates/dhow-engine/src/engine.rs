//! The engine: a handle for each noun.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Result;
use dhow_metadata::Database;
use dhow_snapshot::Snapshots;

use crate::config::{Collaborators, EngineConfig};
use crate::connector::Connector;
use crate::container::ContainerRecord;
use crate::containers::Containers;
use crate::events::Events;
use crate::exec::{ExecSet, Execs};
use crate::images::Images;
use crate::lifecycle::create::make_folder;
use crate::lifecycle::restore;
use crate::networks::Networks;
use crate::services::Services;
use crate::stats::Collector;
use crate::steps::{self, StepSet, Steps};
use crate::store::{Container, ContainerSet};
use crate::supervisor::{Shims, Supervisor};
use crate::system::System;
use crate::volumes::Volumes;

/// A container engine; clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine {
    services: Arc<Services>,
}

/// The collaborators that are files only.
pub(crate) struct Stores {
    pub(crate) db: Database,
    pub(crate) images: dhow_image::Images,
    pub(crate) snapshots: Snapshots,
    pub(crate) volumes: dhow_volume::Volumes,
}

impl Engine {
    pub(crate) fn new(config: EngineConfig, collaborators: Collaborators) -> Result<Self> {
        let supervisor = Arc::new(Shims {
            program: config.program.clone(),
        });
        let networks = Arc::new(collaborators.networks.clone());
        let Collaborators {
            db,
            images,
            snapshots,
            volumes,
            ..
        } = collaborators;
        let stores = Stores {
            db,
            images,
            snapshots,
            volumes,
        };
        Self::assemble(config, stores, networks, supervisor)
    }

    /// Makes an engine on whatever supervises its containers and connects them.
    pub(crate) fn assemble(
        config: EngineConfig,
        Stores {
            db,
            images,
            snapshots,
            volumes,
        }: Stores,
        networks: Arc<dyn Connector>,
        supervisor: Arc<dyn Supervisor>,
    ) -> Result<Self> {
        make_folder(&config.data_root.join("containers"))?;
        make_folder(&config.exec_root.join("containers"))?;
        make_folder(&config.exec_root.join("steps"))?;
        let containers = ContainerSet::default();
        db.read(|tx| {
            tx.visit(|_, record: ContainerRecord| {
                containers.insert(Arc::new(Container::new(record)));
            })
        })?;
        let services = Services {
            config,
            db,
            images,
            snapshots,
            volumes,
            networks,
            supervisor,
            containers,
            execs: ExecSet::default(),
            steps: StepSet::default(),
            events: Events::default(),
            stats: Collector::default(),
            draining: AtomicBool::new(false),
        };
        Ok(Self {
            services: Arc::new(services),
        })
    }

    /// Containers.
    #[must_use]
    pub fn containers(&self) -> Containers {
        Containers {
            services: self.services.clone(),
        }
    }

    /// Execs.
    #[must_use]
    pub fn execs(&self) -> Execs {
        Execs {
            services: self.services.clone(),
        }
    }

    /// Commands that are no containers.
    #[must_use]
    pub fn steps(&self) -> Steps {
        Steps {
            services: self.services.clone(),
        }
    }

    /// Images.
    #[must_use]
    pub fn images(&self) -> Images {
        Images {
            services: self.services.clone(),
        }
    }

    /// Networks.
    #[must_use]
    pub fn networks(&self) -> Networks {
        Networks {
            services: self.services.clone(),
        }
    }

    /// Volumes.
    #[must_use]
    pub fn volumes(&self) -> Volumes {
        Volumes {
            services: self.services.clone(),
        }
    }

    /// Events.
    #[must_use]
    pub fn events(&self) -> Events {
        self.services.events.clone()
    }

    /// The engine itself.
    #[must_use]
    pub fn system(&self) -> System {
        System {
            services: self.services.clone(),
        }
    }

    /// Finds out what happened while no engine ran: reconnects to running containers, notes the exits of those that
    /// ended, finishes or undoes what was half-done, starts what its restart policy wants running.
    ///
    /// # Errors
    /// The records can't be read or written. What goes wrong with one container only is noted in its state.
    pub async fn restore(&self) -> Result<()> {
        steps::recover(&self.services).await?;
        restore::restore(&self.services).await
    }

    /// Prepares for the end of the process: no container is restarted any more, and steps are killed. Containers go on
    /// without the engine.
    pub async fn drain(&self) {
        self.services.draining.store(true, Ordering::Relaxed);
        self.services.steps.end().await;
        for container in self.services.containers.all() {
            container.live().restart = None;
            // Whatever is being started or removed comes to its end.
            drop(container.lifecycle.lock().await);
        }
    }
}
