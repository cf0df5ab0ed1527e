//! `prune`.

use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;

use super::Containers;
use crate::container::{Pruned, Status};
use crate::events::EventKind;
use crate::filters::Filters;
use crate::services::{Services, blocking};
use crate::store::Container;
use crate::{Error, Result, lifecycle};

/// How many containers are removed at the same time.
const AT_ONCE: usize = 8;

impl Containers {
    /// Removes every container that does not run (filters: `label`, `label!`, `until`).
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        filters.check(&["label", "label!", "until"])?;
        let until = filters.time("until", Timestamp::now())?;
        let is_chosen = |container: &Arc<Container>| {
            let outline = container.outline();
            let labels = &outline.config.labels;
            matches!(
                outline.state.status,
                Status::Created | Status::Exited | Status::Dead
            ) && until.is_none_or(|until| outline.created < until)
                && filters.labels("label", labels)
                && !filters.any_label("label!", labels)
        };
        let mut chosen: Vec<Arc<Container>> = self.services.containers.all();
        chosen.retain(is_chosen);
        let mut removals = futures::stream::iter(chosen)
            .map(|container| remove(&self.services, container))
            .buffered(AT_ONCE);
        let mut pruned = Pruned::default();
        while let Some(removed) = removals.next().await {
            if let Some((id, size)) = removed {
                pruned.space_reclaimed += size;
                pruned.removed.push(id);
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

/// Removes a container if it still does not run; gives its id and what it took.
async fn remove(services: &Arc<Services>, container: Arc<Container>) -> Option<(String, u64)> {
    let _guard = container.lifecycle.lock().await;
    if container.outline().state.status.is_running() || services.find(&container.id).is_err() {
        return None;
    }
    let (own, id) = (services.clone(), container.id.clone());
    let size = blocking(move || Ok::<_, Error>(own.snapshots.usage(&id).unwrap_or(0))).await;
    match lifecycle::remove::remove(services, &container, false).await {
        Ok(()) => Some((container.id.clone(), size.unwrap_or(0))),
        Err(error) => {
            tracing::warn!("prune {}: {}", container.id, dhow_errdefs::chain(&error));
            None
        }
    }
}
