//! `rename`.

use super::Containers;
use crate::{Error, Result};
use dhow_container::spec::{Invalid, validate};

impl Containers {
    /// Gives a container another name.
    ///
    /// # Errors
    /// It does not exist, or the new name is taken, malformed or the old one.
    pub async fn rename(&self, name: &str, new: &str) -> Result<()> {
        let services = &self.services;
        let container = services.find(name)?;
        if new.is_empty() {
            return Err(Invalid::new("Neither old nor new names may be empty").into());
        }
        let bare = new.strip_prefix('/').unwrap_or(new);
        let new = validate::name(&format!("/{bare}"))
            .map_err(|error| unusable(error.into()))?
            .to_owned();
        let _guard = container.lifecycle.lock().await;
        let old = container.record().name.clone();
        if old == new {
            return Err(Invalid::new(
                "Renaming a container with the same name as its current name",
            )
            .into());
        }
        services
            .containers
            .take_name(&new, &container.id)
            .map_err(unusable)?;
        let saved = container.save(&services.db, |record| record.name.clone_from(&new));
        let record = match saved {
            Ok(record) => record,
            Err(error) => {
                services.containers.free_name(&new, &container.id);
                return Err(error);
            }
        };
        services.containers.free_name(&old, &container.id);
        if record.state.status.has_process() {
            services
                .networks
                .rename(&container.id, &new)
                .map_err(Error::Network)?;
        }
        services.tell_with(&record, "rename", &[("oldName", &format!("/{old}"))]);
        Ok(())
    }
}

fn unusable(source: Error) -> Error {
    Error::NewName(Box::new(source))
}
