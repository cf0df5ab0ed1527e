//! Volumes: the volume store, with events told.

use std::sync::Arc;

use dhow_volume::{CreateVolume, VolumeRecord};

use crate::Result;
use crate::container::Pruned;
use crate::filters::Filters;
use crate::services::Services;

/// Volumes, each named by its name.
#[derive(Debug, Clone)]
pub struct Volumes {
    pub(crate) services: Arc<Services>,
}

impl Volumes {
    /// The volumes that pass the filters (`dangling`, `driver`, `label`, `name`), by name.
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn list(&self, filters: &Filters) -> Result<Vec<VolumeRecord>> {
        todo!()
    }

    /// A volume.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn inspect(&self, name: &str) -> Result<VolumeRecord> {
        todo!()
    }

    /// Makes a volume; one that exists already is given back as it is.
    ///
    /// # Errors
    /// The name, driver or an option can't be.
    pub async fn create(&self, request: CreateVolume) -> Result<VolumeRecord> {
        todo!()
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// It does not exist (unless forced) or is used by a container.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        todo!()
    }

    /// Removes the volumes no container uses (filters: `all`, `label`, `label!`).
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        todo!()
    }
}
