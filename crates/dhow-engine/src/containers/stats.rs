//! `stats`.

use std::sync::Arc;

use dhow_container::spec::Invalid;
use futures::{StreamExt, stream};

use super::Containers;
use crate::container::Status;
use crate::services::{Services, blocking};
use crate::stats::{Sample, Stats, StatsOptions, StatsStream, sample};
use crate::store::Container;
use crate::{Error, Result};

impl Containers {
    /// What a container uses. Without `stream` there is one element: empty when the container does not run, else with a
    /// sample of a second before unless `one_shot`. With it, there is one each second, also while the container does
    /// not run.
    ///
    /// # Errors
    /// It does not exist, or both options are asked for.
    pub async fn stats(&self, name: &str, options: StatsOptions) -> Result<StatsStream> {
        let container = self.services.find(name)?;
        if options.stream && options.one_shot {
            return Err(Invalid::new("cannot have stream=true and one-shot=true").into());
        }
        let status = container.record().state.status;
        if !options.stream && (!status.is_running() || status == Status::Restarting) {
            return Ok(single(&container, None));
        }
        if options.one_shot {
            let (services, record) = (self.services.clone(), container.record());
            let now = blocking(move || Ok::<_, Error>(sample(&services, &record))).await?;
            return Ok(single(&container, now));
        }
        let all = follow(&self.services, container);
        Ok(if options.stream {
            StatsStream::new(all)
        } else {
            // The first sample is there to compare the second one with.
            StatsStream::new(all.skip(1).take(1))
        })
    }
}

fn single(container: &Container, now: Option<Sample>) -> StatsStream {
    let stats = beside(container, now.map(Arc::new), None);
    StatsStream::new(stream::iter([stats]))
}

fn beside(container: &Container, now: Option<Arc<Sample>>, before: Option<Arc<Sample>>) -> Stats {
    Stats {
        id: container.id.clone(),
        name: container.record().name.clone(),
        now,
        before,
    }
}

/// A container's samples as the collector takes them.
fn follow(
    services: &Arc<Services>,
    container: Arc<Container>,
) -> impl futures::Stream<Item = Stats> + Send + use<> {
    let samples = services.stats.subscribe(services, &container);
    let start = (container, samples, None);
    stream::unfold(start, |(container, mut samples, before)| async move {
        // An error means that the container is gone.
        samples.changed().await.ok()?;
        let now = samples.borrow_and_update().clone();
        let stats = beside(&container, now.clone(), before);
        Some((stats, (container, samples, now)))
    })
}
