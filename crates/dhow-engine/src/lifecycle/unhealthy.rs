//! Stopping a container that is unhealthy, so that its restart policy starts it again.
//!
//! Nothing is kept for it but the verdict itself, which is on disk before anything is done: the end of a container that
//! was unhealthy asks for the start, whichever engine sees that end, and an engine that takes an unhealthy container
//! back stops it.

use std::sync::Arc;
use std::time::Duration;

use super::{report, restart};
use crate::container::{HealthStatus, Status};
use crate::services::Services;
use crate::store::Container;
use crate::supervisor;
use dhow_container::spec::Signal;

/// The reason in the events of signals that are sent here.
const REASON: (&str, &str) = ("reason", "unhealthy");

/// Whether the container is to be stopped now.
pub(super) fn is_due(services: &Services, container: &Container) -> bool {
    let record = container.record();
    let health = record.state.health.as_ref();
    record.state.status == Status::Running
        && health.is_some_and(|health| health.status == HealthStatus::Unhealthy)
        && !record.manually_stopped
        && !services.is_draining()
        && restart::when_unhealthy(&record.host.restart_policy, record.restart_count)
}

/// Stops the container as `stop` would, but without the wish that it stay so; returns when it has ended.
pub(super) async fn stop(services: &Arc<Services>, container: &Arc<Container>) {
    let record = container.record();
    let mut exits = container.exits();
    let seen = exits.borrow_and_update().count;
    let end = exits.wait_for(|exits| exits.count > seen || exits.removed);
    send(services, container, record.config.signal_to_stop()).await;
    let seconds = record.config.seconds_to_stop();
    // An error of the waiting means that the container is gone.
    let Ok(seconds) = u64::try_from(seconds) else {
        let _ = end.await;
        return;
    };
    if tokio::time::timeout(Duration::from_secs(seconds), end)
        .await
        .is_err()
    {
        let end = exits.wait_for(|exits| exits.count > seen || exits.removed);
        send(services, container, Signal::KILL).await;
        let _ = end.await;
    }
}

async fn send(services: &Services, container: &Container, signal: Signal) {
    let Some(task) = container.task() else {
        return;
    };
    match task.kill(signal.number(), false).await {
        Err(error) if supervisor::is_over(&error) => {}
        sent => report("stop an unhealthy container", sent),
    }
    let attributes = [("signal", &*signal.to_string()), REASON];
    services.tell_with(&container.record(), "kill", &attributes);
}
