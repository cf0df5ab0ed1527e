//! Volumes: the volume store, with events told.

use std::sync::Arc;

use dhow_volume::{CreateVolume, VolumeRecord};

use crate::container::Pruned;
use crate::events::EventKind;
use crate::filters::{Filters, Patterns};
use crate::services::{Services, blocking};
use crate::{Error, Result};

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
        filters.check(&["dangling", "driver", "label", "name"])?;
        let dangling = filters
            .contains("dangling")
            .then(|| filters.flag("dangling", false))
            .transpose()?;
        let (services, filters) = (self.services.clone(), filters.clone());
        blocking(move || {
            let mut list = Vec::new();
            let names = Patterns::new(&filters, "name");
            for volume in services.volumes.list()? {
                let labels = volume.labels.clone().unwrap_or_default();
                let chosen = filters.exact("driver", &volume.driver)
                    && names.fit(&volume.name)
                    && filters.labels("label", &labels);
                if !chosen {
                    continue;
                }
                let fits = match dangling {
                    Some(dangling) => services.volumes.users(&volume.name)?.is_empty() == dangling,
                    None => true,
                };
                if fits {
                    list.push(volume);
                }
            }
            Ok::<_, Error>(list)
        })
        .await
    }

    /// A volume.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn inspect(&self, name: &str) -> Result<VolumeRecord> {
        let (services, name) = (self.services.clone(), name.to_owned());
        blocking(move || services.volumes.get(&name)).await
    }

    /// Makes a volume; one that exists already is given back as it is.
    ///
    /// # Errors
    /// The name, driver or an option can't be.
    pub async fn create(&self, request: CreateVolume) -> Result<VolumeRecord> {
        let services = self.services.clone();
        let (volume, is_new) = blocking(move || {
            let name = request.name.clone();
            let is_new = name.is_none_or(|name| services.volumes.get(&name).is_err());
            Ok::<_, Error>((services.volumes.create(request)?, is_new))
        })
        .await?;
        if is_new {
            self.tell(&volume.name, "create", &volume.driver);
        }
        Ok(volume)
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// It does not exist (unless forced) or is used by a container.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let (services, wanted) = (self.services.clone(), name.to_owned());
        blocking(move || services.volumes.remove(&wanted, force)).await?;
        self.tell(name, "destroy", "local");
        Ok(())
    }

    /// Removes the volumes no container uses (filters: `all`, `label`, `label!`).
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        filters.check(&["all", "label", "label!"])?;
        let all = filters.flag("all", false)?;
        let (services, filters) = (self.services.clone(), filters.clone());
        let pruned = blocking(move || {
            services.volumes.prune(all, |volume| {
                let labels = volume.labels.clone().unwrap_or_default();
                filters.labels("label", &labels) && !filters.any_label("label!", &labels)
            })
        })
        .await?;
        for volume in &pruned.volumes {
            self.tell(&volume.name, "destroy", &volume.driver);
        }
        let reclaimed = pruned.reclaimed.to_string();
        self.services
            .tell_other(EventKind::Volume, "prune", "", &[("reclaimed", &reclaimed)]);
        let removed = pruned
            .volumes
            .into_iter()
            .map(|volume| volume.name)
            .collect();
        Ok(Pruned {
            removed,
            space_reclaimed: pruned.reclaimed,
        })
    }

    fn tell(&self, name: &str, action: &str, driver: &str) {
        self.services
            .tell_other(EventKind::Volume, action, name, &[("driver", driver)]);
    }
}
