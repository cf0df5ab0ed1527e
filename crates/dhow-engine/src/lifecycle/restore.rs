//! Finding out, at the engine's start, what happened while no engine ran.
//!
//! Containers that did not run cost nothing here but their record's reading. The folders of runs say who may still
//! be alive: a supervisor that answers is taken back, one that does not has left an exit record or nothing. Then
//! everything that belongs to no container is removed, and what its policy wants running is started.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dhow_shim::{ShimEvent, ShimState, ShimStatus};
use futures::future::join_all;
use jiff::Timestamp;

use super::{abandoned, exit, files, health, publish, remove, report, restart, start};
use crate::container::Status;
use crate::services::{Services, blocking};
use crate::store::Container;
use crate::supervisor::Task;
use crate::{Error, Result};
use dhow_container::spec::RestartName;

/// Makes what is known and what is so agree again.
pub(crate) async fn restore(services: &Arc<Services>) -> Result<()> {
    let runs = names(&services.config.exec_root.join("containers"));
    let all = services.containers.all();
    let concerned: Vec<&Arc<Container>> = all
        .iter()
        .filter(|container| {
            container.outline().state.status.is_running() || runs.contains(&container.id)
        })
        .collect();
    join_all(concerned.iter().map(|container| one(services, container))).await;

    let own = services.clone();
    blocking(move || tidy(&own, &runs)).await?;
    for container in all {
        resume(services, &container)?;
    }
    Ok(())
}

/// Finds out what became of one container.
async fn one(services: &Arc<Services>, container: &Arc<Container>) {
    let _guard = container.lifecycle.lock().await;
    let result = match services
        .supervisor
        .connect(&services.socket(&container.id))
        .await
    {
        Ok(task) => match task.state().await {
            Ok(state) => take_back(services, container, task, state).await,
            Err(_) => gone(services, container).await,
        },
        Err(error) => {
            if !error.is_gone() {
                tracing::warn!(
                    "supervisor of {}: {}",
                    container.id,
                    dhow_errdefs::chain(&error)
                );
            }
            gone(services, container).await
        }
    };
    if let Err(error) = result {
        tracing::error!("restore {}: {}", container.id, dhow_errdefs::chain(&error));
    }
}

/// A supervisor answers: its container goes on, or was never started and is taken back.
async fn take_back(
    services: &Arc<Services>,
    container: &Arc<Container>,
    task: Task,
    state: ShimState,
) -> Result<()> {
    let events = task.subscribe().await?;
    if state.status == ShimStatus::Created {
        // The start was cut before its last step: undo it.
        report("kill half-started container", task.kill(9, true).await);
        drain(events).await;
        let (own, record) = (services.clone(), container.record());
        return blocking(move || {
            exit::clean(&own, &record);
            Ok::<_, Error>(())
        })
        .await;
    }
    let frozen = state.status == ShimStatus::Paused;
    let record = container.record();
    if !record.state.status.has_process() || record.state.pid != state.pid {
        adopt(services, container, &state)?;
    }
    let status = container.record().state.status;
    if frozen != (status == Status::Paused) {
        container.save(&services.db, |record| {
            record.state.status = if frozen {
                Status::Paused
            } else {
                Status::Running
            };
        })?;
    }
    report(
        "mend published ports",
        publish::mend(services, &container.record(), &task).await,
    );
    container.live().task = Some(task);
    exit::watch(services, container, events);
    health::watch(services, container);
    Ok(())
}

/// A container runs of which the record does not say so: the start was cut between its last two steps.
fn adopt(services: &Services, container: &Container, state: &ShimState) -> Result<()> {
    let record = container.save(&services.db, |record| {
        record.state.status = Status::Running;
        record.state.pid = state.pid;
        record.state.error = String::new();
        record.state.started_at = state.started_at.or_else(|| Some(Timestamp::now()));
        record.state.finished_at = None;
        record.state.health = health::initial(&record.config, record.state.health.as_ref());
        record.started_before = true;
        let networks: Vec<String> = record.networks.keys().cloned().collect();
        for name in networks {
            note_network(services, record, &name);
        }
    })?;
    services.tell(&record, "start");
    Ok(())
}

fn note_network(services: &Services, record: &mut crate::container::ContainerRecord, name: &str) {
    let Ok(network) = services.networks.get(name) else {
        return;
    };
    let Ok((endpoints, _)) = services.networks.occupancy(&network.id) else {
        return;
    };
    if let Some(endpoint) = endpoints
        .iter()
        .find(|endpoint| endpoint.container_id == record.id)
    {
        super::network::note_endpoint(record, endpoint, &network);
    }
}

/// No supervisor: what it left behind says how its container ended.
async fn gone(services: &Arc<Services>, container: &Arc<Container>) -> Result<()> {
    let record = container.record();
    if record.state.status.has_process() {
        let exit = exit::left_behind(services, &record).await;
        return exit::ended(services, container, &exit).await;
    }
    // The record does not say that it ran. If it ended later than is known, it did, and ended before that was noted.
    let known = record.state.finished_at.unwrap_or(record.created);
    let exit = services
        .supervisor
        .exit_record(&services.folder(&record.id))
        .ok()
        .flatten();
    if let Some(exit) = exit.filter(|exit| exit.finished_at > known) {
        container.change(|record| {
            record.state.status = Status::Running;
            record.state.started_at = Some(exit.finished_at);
            record.state.health = health::initial(&record.config, record.state.health.as_ref());
            record.started_before = true;
        });
        return exit::ended(services, container, &exit).await;
    }
    let own = services.clone();
    blocking(move || {
        abandoned::end(&own, &record.id, Some(&record));
        exit::clean(&own, &record);
        Ok::<_, Error>(())
    })
    .await
}

async fn drain(mut events: tokio::sync::mpsc::Receiver<ShimEvent>) {
    while let Some(event) = events.recv().await {
        if matches!(event, ShimEvent::Exited(_)) {
            break;
        }
    }
}

/// Removes what belongs to no container, and finishes what was begun. Blocking.
fn tidy(services: &Services, runs: &HashSet<String>) -> Result<()> {
    let containers = services.containers.all();
    let ids: Vec<String> = containers
        .iter()
        .map(|container| container.id.clone())
        .collect();
    let known: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let running = containers
        .iter()
        .filter(|container| container.outline().state.status.has_process());
    let active: Vec<String> = running.map(|container| container.id.clone()).collect();
    report("reconcile networks", services.networks.reconcile(&active));
    report("reconcile volumes", services.volumes.reconcile(&ids));
    for (id, undertaking) in services.journal().unfinished()? {
        remove::finish(services, &id, &undertaking);
    }
    for key in services.snapshots.keys()? {
        if !known.contains(super::mounts::owner_of_snapshot(&key)) {
            report("remove snapshot", services.snapshots.remove(&key));
        }
    }
    for id in names(&services.config.data_root.join("containers")) {
        if !known.contains(id.as_str()) {
            remove::remove_folder(services, &id);
        }
    }
    let mut begun = names(&services.runtime_root());
    begun.extend(runs.iter().cloned());
    for id in begun.iter().filter(|id| !active.contains(id)) {
        let record = services.find(id).ok().map(|container| container.record());
        abandoned::end(services, id, record.as_deref());
    }
    for id in runs.iter().filter(|id| !known.contains(id.as_str())) {
        files::unmount_shm(services, id);
        exit::remove_run_folder(services, id);
    }
    Ok(())
}

fn names(folder: &Path) -> HashSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Starts what its policy wants running.
fn resume(services: &Arc<Services>, container: &Arc<Container>) -> Result<()> {
    let outline = container.outline();
    let host = &outline.host;
    let idle = host.restart_policy.name == RestartName::No && !host.auto_remove;
    if idle && outline.state.status != Status::Restarting {
        return Ok(());
    }
    let record = container.record();
    let status = record.state.status;
    let due = container.live().restart.is_some();
    if status == Status::Restarting && !due {
        exit::later(services, container, Duration::ZERO);
        return Ok(());
    }
    let policy = &record.host.restart_policy;
    let wanted = restart::at_start(policy, record.started_before, record.manually_stopped);
    if status == Status::Exited && wanted {
        let (services, container) = (services.clone(), container.clone());
        tokio::spawn(async move {
            let _guard = container.lifecycle.lock().await;
            if let Err(error) = start::start(&services, &container).await {
                tracing::warn!("start {}: {}", container.id, dhow_errdefs::chain(&error));
            }
        });
    } else if status == Status::Exited && record.host.auto_remove {
        // It ended, and the engine died before it could remove it.
        let (services, container) = (services.clone(), container.clone());
        tokio::spawn(async move {
            let _guard = container.lifecycle.lock().await;
            report(
                "remove container",
                remove::remove(&services, &container, true).await,
            );
        });
    }
    Ok(())
}
