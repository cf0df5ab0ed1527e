//! The engine: a handle for each noun.

use std::sync::Arc;

use crate::Result;
use crate::config::{Collaborators, EngineConfig};
use crate::containers::Containers;
use crate::events::Events;
use crate::exec::Execs;
use crate::images::Images;
use crate::networks::Networks;
use crate::services::Services;
use crate::system::System;
use crate::volumes::Volumes;

/// A container engine; clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine {
    services: Arc<Services>,
}

impl Engine {
    pub(crate) fn new(config: EngineConfig, collaborators: Collaborators) -> Result<Self> {
        todo!()
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
        todo!()
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
        todo!()
    }

    /// Prepares for the end of the process: no container is restarted any more. Containers go on without the engine.
    pub async fn drain(&self) {
        todo!()
    }
}
