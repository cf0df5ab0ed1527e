//! `prune`.

use jiff::Timestamp;

use super::Containers;
use crate::container::{Pruned, Status};
use crate::events::EventKind;
use crate::filters::Filters;
use crate::services::blocking;
use crate::{Error, Result, lifecycle};

impl Containers {
    /// Removes every container that does not run (filters: `label`, `label!`, `until`).
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        filters.check(&["label", "label!", "until"])?;
        let until = filters.time("until", Timestamp::now())?;
        let mut pruned = Pruned::default();
        for container in self.services.containers.all() {
            let record = container.record();
            let labels = &record.config.labels;
            let chosen = matches!(
                record.state.status,
                Status::Created | Status::Exited | Status::Dead
            ) && until.is_none_or(|until| record.created < until)
                && filters.labels("label", labels)
                && !filters.any_label("label!", labels);
            if !chosen {
                continue;
            }
            let _guard = container.lifecycle.lock().await;
            if container.record().state.status.is_running()
                || self.services.find(&container.id).is_err()
            {
                continue;
            }
            let (services, id) = (self.services.clone(), container.id.clone());
            let size = blocking(move || Ok::<_, Error>(services.snapshots.usage(&id).unwrap_or(0)))
                .await?;
            match lifecycle::remove::remove(&self.services, &container, false).await {
                Ok(()) => {
                    pruned.space_reclaimed += size;
                    pruned.removed.push(container.id.clone());
                }
                Err(error) => {
                    tracing::warn!("prune {}: {}", container.id, dhow_errdefs::chain(&error));
                }
            }
        }
        let reclaimed = pruned.space_reclaimed.to_string();
        self.services.tell_other(
            EventKind::Container,
            "prune",
            "",
            &[("reclaimed", &reclaimed)],
        );
        Ok(pruned)
    }
}
