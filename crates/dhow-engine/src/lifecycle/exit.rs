//! The end of a container's run: what it held is given back, the end noted and told, and what its policy wants done.

use std::sync::Arc;
use std::time::Duration;

use dhow_shim::{ExitRecord, ShimEvent};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::restart::{self, Run};
use super::{abandoned, files, mounts, network, remove, report, start};
use crate::container::{ContainerRecord, Exit, HealthStatus, Status};
use crate::services::{Services, blocking};
use crate::store::Container;
use crate::{Error, Result};
use dhow_container::spec::IpcMode;

/// The exit code of a container of which nobody knows how it ended.
const UNKNOWN: i32 = 255;

/// Listens to a running container until it ends.
pub(crate) fn watch(
    services: &Arc<Services>,
    container: &Arc<Container>,
    events: mpsc::Receiver<ShimEvent>,
) {
    let (services, container) = (services.clone(), container.clone());
    tokio::spawn(async move {
        let exit = listen(&services, &container, events).await;
        let guard = container.lifecycle.lock().await;
        if let Err(error) = ended(&services, &container, &exit).await {
            tracing::error!("end of {}: {}", container.id, dhow_errdefs::chain(&error));
        }
        drop(guard);
    });
}

/// Takes in what happens to a container, up to its end. A connection that breaks is made anew while the supervisor
/// lives.
async fn listen(
    services: &Arc<Services>,
    container: &Arc<Container>,
    mut events: mpsc::Receiver<ShimEvent>,
) -> ExitRecord {
    loop {
        while let Some(event) = events.recv().await {
            match event {
                ShimEvent::Exited(record) => return record,
                ShimEvent::ExecExited { id, code } => services.exec_ended(&id, code),
                ShimEvent::OomKilled => services.tell(&container.record(), "oom"),
                _ => {}
            }
        }
        let again = async {
            let task = services
                .supervisor
                .connect(&services.socket(&container.id))
                .await?;
            Ok::<_, crate::supervisor::Error>((task.subscribe().await?, task))
        };
        match again.await {
            Ok((anew, task)) => {
                container.live().task = Some(task);
                events = anew;
            }
            Err(_) => return left_behind(services, &container.record()).await,
        }
    }
}

/// How a container whose supervisor is gone has ended: what that left behind, or nobody knows. What still runs of it
/// is ended.
pub(crate) async fn left_behind(
    services: &Arc<Services>,
    record: &Arc<ContainerRecord>,
) -> ExitRecord {
    let (own, of) = (services.clone(), record.clone());
    let folder = services.folder(&record.id);
    let found = blocking(move || {
        let found = own.supervisor.exit_record(&folder)?;
        if found.is_none() {
            abandoned::end(&own, &of.id, Some(&of));
        }
        Ok::<_, Error>(found)
    });
    let found = found.await.unwrap_or_else(|error| {
        tracing::warn!(
            "exit record of {}: {}",
            record.id,
            dhow_errdefs::chain(&error)
        );
        None
    });
    found.unwrap_or_else(|| ExitRecord {
        code: UNKNOWN,
        signal: None,
        oom_killed: false,
        finished_at: Timestamp::now(),
    })
}

/// Does all that the end of a run asks for. The caller holds the container's lifecycle lock.
pub(crate) async fn ended(
    services: &Arc<Services>,
    container: &Arc<Container>,
    exit: &ExitRecord,
) -> Result<()> {
    let before = container.record();
    if !before.state.status.has_process() {
        return Ok(());
    }
    {
        let mut live = container.live();
        live.task = None;
        live.monitor = None;
    }
    services.execs_orphaned(&container.id);
    let (own, record) = (services.clone(), before.clone());
    blocking(move || {
        clean(&own, &record);
        Ok::<_, Error>(())
    })
    .await?;

    // Whether the user stopped it may have been noted meanwhile.
    let plan = plan(container, &container.record(), exit.code);
    let record = container.note(&services.db, |record| note(record, exit, plan.is_some()));
    tell(services, &before, exit);
    // Asked before anybody hears of the end and goes on.
    let goes = record.host.auto_remove && !container.live().keep;
    container.ended(Exit {
        code: exit.code,
        error: None,
    });
    match plan {
        Some(delay) => later(services, container, delay),
        None if goes => {
            remove::remove(services, container, true).await?;
        }
        None => {}
    }
    Ok(())
}

/// Gives back what a run held: addresses and ports, volumes, the run's folder. Goes on after failures. Blocking.
pub(crate) fn clean(services: &Services, record: &ContainerRecord) {
    network::release(services, record);
    mounts::unmount(services, record);
    if record.host.ipc_mode == IpcMode::Shareable {
        files::unmount_shm(services, &record.id);
    }
    remove_run_folder(services, &record.id);
}

/// Removes the folder of a container's run; fine when it is gone.
pub(crate) fn remove_run_folder(services: &Services, id: &str) {
    let path = services.run_folder(id);
    match std::fs::remove_dir_all(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            let action = "remove";
            report(
                "remove run folder",
                Err(Error::File {
                    action,
                    path,
                    source,
                }),
            );
        }
        _ => {}
    }
}

/// When to start the container again, if at all.
fn plan(container: &Container, record: &ContainerRecord, exit_code: i32) -> Option<Duration> {
    let mut live = container.live();
    let lasted = record.state.started_at.map_or(Duration::ZERO, |start| {
        Timestamp::now()
            .duration_since(start)
            .try_into()
            .unwrap_or(Duration::ZERO)
    });
    let health = record.state.health.as_ref();
    let run = Run {
        exit_code,
        unhealthy: health.is_some_and(|health| health.status == HealthStatus::Unhealthy),
        manually_stopped: record.manually_stopped,
        restarts: record.restart_count,
        lasted,
        quick_restarts: live.quick_restarts,
    };
    let (delay, quick_restarts) = restart::decide(&record.host.restart_policy, &run)?;
    live.quick_restarts = quick_restarts;
    Some(delay)
}

fn note(record: &mut ContainerRecord, exit: &ExitRecord, restarts: bool) {
    let state = &mut record.state;
    state.status = if restarts {
        Status::Restarting
    } else {
        Status::Exited
    };
    state.pid = 0;
    state.exit_code = exit.code;
    state.oom_killed = exit.oom_killed;
    state.finished_at = Some(exit.finished_at);
    if let Some(health) = &mut state.health {
        // As in Docker: who does not run is not well.
        health.status = HealthStatus::Unhealthy;
    }
    record.ports.clear();
    record
        .networks
        .values_mut()
        .for_each(dhow_container::spec::EndpointSettings::clear_facts);
    if restarts {
        record.restart_count += 1;
    }
}

fn tell(services: &Services, record: &ContainerRecord, exit: &ExitRecord) {
    let lasted = record
        .state
        .started_at
        .map_or(0, |start| exit.finished_at.duration_since(start).as_secs());
    let (code, lasted) = (exit.code.to_string(), lasted.to_string());
    services.tell_with(
        record,
        "die",
        &[("execDuration", &lasted), ("exitCode", &code)],
    );
}

/// Starts a container again after a while, unless that is called off. An engine that is ending leaves it to the next.
pub(crate) fn later(services: &Arc<Services>, container: &Arc<Container>, delay: Duration) {
    let (off, called_off) = oneshot::channel();
    let at = Timestamp::now() + delay;
    container.live().restart = Some((at, off));
    let (services, container) = (services.clone(), container.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = called_off => return,
        }
        let _guard = container.lifecycle.lock().await;
        let due = container.live().restart.take().is_some();
        if !due || services.is_draining() || container.record().state.status != Status::Restarting {
            return;
        }
        if let Err(error) = Box::pin(start::start(&services, &container)).await {
            tracing::warn!("restart {}: {}", container.id, dhow_errdefs::chain(&error));
        }
    });
}

/// Calls the next restart off: the container stays ended. True when one was due; false when there was none, or the
/// container runs again already.
pub(crate) async fn call_off(services: &Services, container: &Container) -> bool {
    // Before the lock: whoever waits for the time need not be waited for.
    let due = container.live().restart.take().is_some();
    if !due && container.record().state.status != Status::Restarting {
        return false;
    }
    let _guard = container.lifecycle.lock().await;
    if container.record().state.status != Status::Restarting {
        return false;
    }
    let record = container.note(&services.db, |record| {
        record.manually_stopped = true;
        record.state.status = Status::Exited;
    });
    let code = record.state.exit_code;
    container.ended(Exit { code, error: None });
    true
}
