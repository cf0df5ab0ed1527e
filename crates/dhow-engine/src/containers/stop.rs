//! `stop` and `kill`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Containers;
use crate::container::{ContainerRecord, Status, StopOptions};
use crate::lifecycle::exit;
use crate::services::Services;
use crate::store::{Container, Exits};
use crate::{Error, Result};
use dhow_container::spec::Signal;

impl Containers {
    /// Stops a container. `NotModified` when it does not run.
    ///
    /// # Errors
    /// It does not exist, or the signal is unknown.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<()> {
        let container = self.services.find(name)?;
        if !container.record().state.status.is_running() {
            return Err(Error::NotModified("container is already stopped"));
        }
        let given = options
            .signal
            .as_deref()
            .filter(|signal| !signal.is_empty());
        let given = given.map(str::parse::<Signal>).transpose()?;
        let services = self.services.clone();
        let name = name.to_owned();
        // The stopping goes on when the client hangs up.
        let work = async move {
            stop(&services, &container, given, options.timeout)
                .await
                .map_err(|source| Error::Operation {
                    action: "stop",
                    name,
                    source: Box::new(source),
                })?;
            services.tell(&container.record(), "stop");
            Ok(())
        };
        tokio::spawn(work).await.map_err(Error::Background)?
    }

    /// Sends a signal (SIGKILL when none is named) and, for SIGKILL, waits for the end.
    ///
    /// # Errors
    /// It does not exist or run, or the signal is unknown.
    pub async fn kill(&self, name: &str, signal: Option<&str>) -> Result<()> {
        let fail = |source: Error| Error::Operation {
            action: "kill",
            name: name.to_owned(),
            source: Box::new(source),
        };
        let signal = match signal {
            None | Some("") => Signal::KILL,
            Some(text) => text.parse().map_err(|error| fail(Error::Invalid(error)))?,
        };
        let container = self.services.find(name).map_err(fail)?;
        let mut exits = container.exits();
        let seen = exits.borrow_and_update().count;
        send(&self.services, &container, signal)
            .await
            .map_err(fail)?;
        if signal == Signal::KILL {
            ended(&mut exits, seen).await;
        }
        Ok(())
    }
}

async fn stop(
    services: &Arc<Services>,
    container: &Arc<Container>,
    signal: Option<Signal>,
    timeout: Option<i64>,
) -> Result<()> {
    let record = container.record();
    let signal = signal.unwrap_or_else(|| record.config.signal_to_stop());
    let timeout = timeout.unwrap_or_else(|| record.config.seconds_to_stop());
    let mut exits = container.exits();
    let Some(seen) = reach(services, container, signal, &mut exits).await? else {
        return Ok(());
    };
    let end = ended(&mut exits, seen);
    match u64::try_from(timeout) {
        Err(_) => end.await,
        Ok(seconds) => {
            if tokio::time::timeout(Duration::from_secs(seconds), end)
                .await
                .is_err()
            {
                kill(services, container).await?;
            }
        }
    }
    // Its end may have come before the wish to stop it, and asked for another start.
    exit::call_off(services, container).await;
    Ok(())
}

/// Kills a container and waits until it has ended; fine when it has already.
pub(super) async fn kill(services: &Arc<Services>, container: &Arc<Container>) -> Result<()> {
    let mut exits = container.exits();
    if let Some(seen) = reach(services, container, Signal::KILL, &mut exits).await? {
        ended(&mut exits, seen).await;
        exit::call_off(services, container).await;
    }
    Ok(())
}

/// How often a container that ends and starts meanwhile is tried to be reached.
const ATTEMPTS: u32 = 16;

/// Sends a container that is to end a signal, and gives how many of its runs had ended before; none when there is no
/// run to be ended any more, and no start to come.
async fn reach(
    services: &Arc<Services>,
    container: &Arc<Container>,
    signal: Signal,
    exits: &mut watch::Receiver<Exits>,
) -> Result<Option<u64>> {
    for _ in 0..ATTEMPTS {
        if exit::call_off(services, container).await {
            return Ok(None);
        }
        let seen = exits.borrow_and_update().count;
        match send(services, container, signal).await {
            // It ended by itself meanwhile: whoever sees to that is waited for, and a start called off.
            Err(Error::Conflict(_)) if container.record().state.status.is_running() => {
                drop(container.lifecycle.lock().await);
            }
            Err(Error::Conflict(_)) => return Ok(None),
            sent => return sent.map(|()| Some(seen)),
        }
    }
    Ok(None)
}

async fn ended(exits: &mut watch::Receiver<Exits>, seen: u64) {
    // An error means that the container is gone.
    let _ = exits
        .wait_for(|exits| exits.count > seen || exits.removed)
        .await;
}

/// Sends a signal, notes that the user meant the container to end if it is such a signal, and tells it.
async fn send(services: &Arc<Services>, container: &Arc<Container>, signal: Signal) -> Result<()> {
    let record = container.record();
    let stopped = || Error::Conflict(format!("container {} is not running", record.id));
    if !record.state.status.is_running() {
        return Err(stopped());
    }
    if record.state.status == Status::Restarting {
        return Err(Error::Conflict(format!(
            "container {} is not running",
            record.id
        )));
    }
    let task = container.task().ok_or_else(stopped)?;
    let is_final = signal == Signal::KILL || signal == record.config.signal_to_stop();
    if is_final && !record.manually_stopped {
        container.save(&services.db, |record| record.manually_stopped = true)?;
    }
    match task.kill(signal.number(), false).await {
        Err(error) if crate::supervisor::is_over(&error) => {}
        result => result?,
    }
    let frozen = is_final && record.state.status == Status::Paused;
    if frozen {
        // A frozen process can't take the signal.
        crate::lifecycle::report("thaw", task.freeze(false).await);
    }
    services.tell_with(
        &container.record(),
        "kill",
        &[("signal", &signal.to_string())],
    );
    if frozen {
        let running = |record: &mut ContainerRecord| {
            if record.state.status == Status::Paused {
                record.state.status = Status::Running;
            }
        };
        let record = container.note(&services.db, running);
        services.tell(&record, "unpause");
    }
    Ok(())
}
