//! Health checks: a probe runs in the container from time to time, and its exit code says how the container is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::unhealthy;
use crate::Result;
use crate::container::{Health, HealthStatus, Probe, Status};
use crate::exec::{CreateExec, StartExec};
use crate::services::Services;
use crate::store::Container;
use dhow_container::spec::{ContainerConfig, Healthcheck};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: u32 = 3;
/// How much of a probe's output is kept.
const OUTPUT: usize = 4096;
/// How many probes are kept.
const LOG: usize = 5;

/// The health of a container that has just been started; the probes of its earlier runs are still shown.
pub(crate) fn initial(config: &ContainerConfig, before: Option<&Health>) -> Option<Health> {
    let check = config.healthcheck.as_ref()?;
    check.is_active().then(|| Health {
        status: HealthStatus::Starting,
        failing_streak: 0,
        log: before.map(|health| health.log.clone()).unwrap_or_default(),
    })
}

/// Runs the container's health check until the container ends.
pub(crate) fn watch(services: &Arc<Services>, container: &Arc<Container>) {
    let record = container.record();
    let Some(check) = record
        .config
        .healthcheck
        .clone()
        .filter(Healthcheck::is_active)
    else {
        return;
    };
    let (alive, ended) = oneshot::channel();
    container.live().monitor = Some(alive);
    let (services, container) = (services.clone(), container.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = probes(&services, &container, &check) => {}
            _ = ended => {}
        }
    });
}

async fn probes(services: &Arc<Services>, container: &Arc<Container>, check: &Healthcheck) {
    let started = container
        .record()
        .state
        .started_at
        .unwrap_or_else(Timestamp::now);
    loop {
        // Also of an engine that did not get to it.
        if unhealthy::is_due(services, container) {
            unhealthy::stop(services, container).await;
        }
        let age = Timestamp::now()
            .duration_since(started)
            .try_into()
            .unwrap_or(Duration::ZERO);
        let starting = age < check.start_period && is_starting(container);
        let interval = match starting {
            true => or(check.start_interval, DEFAULT_START_INTERVAL),
            false => or(check.interval, DEFAULT_INTERVAL),
        };
        tokio::time::sleep(interval).await;
        if container.record().state.status != Status::Running {
            continue;
        }
        let begun = Timestamp::now();
        let in_start_period = {
            let age = begun
                .duration_since(started)
                .try_into()
                .unwrap_or(Duration::ZERO);
            age < check.start_period
        };
        let probe = run(services, container, check, begun).await;
        if let Err(error) = note(services, container, check, probe, in_start_period) {
            tracing::warn!(
                "health of {}: {}",
                container.id,
                dhow_errdefs::chain(&error)
            );
        }
    }
}

fn is_starting(container: &Container) -> bool {
    let record = container.record();
    record
        .state
        .health
        .as_ref()
        .is_some_and(|health| health.status == HealthStatus::Starting)
}

fn or(value: Duration, default: Duration) -> Duration {
    if value.is_zero() { default } else { value }
}

async fn run(
    services: &Arc<Services>,
    container: &Container,
    check: &Healthcheck,
    start: Timestamp,
) -> Probe {
    let timeout = or(check.timeout, DEFAULT_TIMEOUT);
    let mut output = Output::default();
    let ended =
        tokio::time::timeout(timeout, execute(services, container, check, &mut output)).await;
    let (exit_code, output) = match ended {
        Ok(Ok(code)) => (code, output.text()),
        Ok(Err(error)) => (-1, dhow_errdefs::chain(&error).to_string()),
        Err(_) => {
            let limit = crate::text::duration(timeout);
            let colon = if output.bytes.is_empty() { "" } else { ": " };
            let text = output.text();
            (
                -1,
                format!("Health check exceeded timeout ({limit}){colon}{text}"),
            )
        }
    };
    Probe {
        start,
        end: Timestamp::now(),
        exit_code,
        output,
    }
}

/// What a probe has printed so far, framed.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
}

impl Output {
    /// The first of it, as text.
    fn text(&self) -> String {
        let bytes = crate::streams::unframe(&self.bytes);
        let text = String::from_utf8_lossy(&bytes);
        if text.len() <= OUTPUT {
            return text.into_owned();
        }
        format!("{}...", &text[..text.floor_char_boundary(OUTPUT)])
    }
}

/// Runs a probe to its end; when that is given up, the probe's process is ended.
async fn execute(
    services: &Arc<Services>,
    container: &Container,
    check: &Healthcheck,
    output: &mut Output,
) -> Result<i32> {
    let request = CreateExec {
        cmd: command(container, check),
        attach_stdout: true,
        attach_stderr: true,
        ..CreateExec::default()
    };
    let execs = crate::exec::Execs {
        services: services.clone(),
    };
    let id = execs.create(&container.id, request).await?;
    let mut guard = Forget {
        services,
        id: &id,
        over: false,
    };
    let attachment = execs.start(&id, StartExec::default()).await?;
    if let Some(attachment) = attachment {
        // A probe that prints without end runs into its timeout.
        let mut limited = attachment.stream.take(64 * 1024);
        let _ = limited.read_to_end(&mut output.bytes).await;
    }
    let code = services.execs.ended(&id).await;
    guard.over = true;
    Ok(code)
}

fn command(container: &Container, check: &Healthcheck) -> Vec<String> {
    let mut words = check.test.iter().skip(1).cloned();
    match check.test.first().map(String::as_str) {
        Some("CMD-SHELL") => {
            let shell = container.record().config.shell.clone();
            let mut shell = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
            shell.extend(words.next());
            shell
        }
        _ => words.collect(),
    }
}

/// Forgets a probe's exec, and ends it when the probe is given up.
struct Forget<'a> {
    services: &'a Arc<Services>,
    id: &'a str,
    over: bool,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if self.over {
            return self.services.execs.forget(self.id);
        }
        let (services, id) = (self.services.clone(), self.id.to_owned());
        // It is forgotten when it has ended, so that its end is told.
        tokio::spawn(async move {
            if services.execs.get(&id).is_ok_and(|exec| exec.running) {
                end(&services, &id);
                services.execs.ended(&id).await;
            }
            services.execs.forget(&id);
        });
    }
}

/// Kills an exec's process.
fn end(services: &Services, id: &str) {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let pid = || services.execs.get(id).ok().filter(|exec| exec.running);
    let Some(exec) = pid() else { return };
    let Some(process) = i32::try_from(exec.pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    // Looked at again, so that the process is not another one with the same id.
    if let Ok(process) = pidfd_open(process, PidfdFlags::empty())
        && pid().is_some()
    {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

fn note(
    services: &Services,
    container: &Container,
    check: &Healthcheck,
    probe: Probe,
    in_start_period: bool,
) -> Result<()> {
    let before = container.record().state.health.clone().unwrap_or_default();
    let after = next(before.clone(), check, probe, in_start_period);
    let verdict = after.status;
    let changed = verdict != before.status;
    let set = |record: &mut crate::container::ContainerRecord| record.state.health = Some(after);
    // Only the verdict must last; the log of probes is of this engine's life.
    let record = if changed {
        container.save(&services.db, set)?
    } else {
        container.change(set)
    };
    if changed {
        services.tell(&record, format!("health_status: {}", verdict.name()));
    }
    Ok(())
}

/// The health after a probe. Pure.
fn next(mut health: Health, check: &Healthcheck, probe: Probe, in_start_period: bool) -> Health {
    let retries = if check.retries == 0 {
        DEFAULT_RETRIES
    } else {
        check.retries
    };
    if probe.exit_code == 0 {
        health.failing_streak = 0;
        health.status = HealthStatus::Healthy;
    } else if !(in_start_period && health.status == HealthStatus::Starting) {
        health.failing_streak += 1;
        if health.failing_streak >= retries {
            health.status = HealthStatus::Unhealthy;
        }
    }
    health.log.push(probe);
    let surplus = health.log.len().saturating_sub(LOG);
    health.log.drain(..surplus);
    health
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(exit_code: i32) -> Probe {
        Probe {
            start: Timestamp::UNIX_EPOCH,
            end: Timestamp::UNIX_EPOCH,
            exit_code,
            output: String::new(),
        }
    }

    #[test]
    fn a_container_is_unhealthy_after_enough_failures_in_a_row() {
        let check = Healthcheck {
            retries: 2,
            ..Healthcheck::default()
        };
        let mut health = Health {
            status: HealthStatus::Starting,
            ..Health::default()
        };
        for (code, in_start_period, wanted) in [
            (1, true, HealthStatus::Starting),
            (1, false, HealthStatus::Starting),
            (0, false, HealthStatus::Healthy),
            (1, false, HealthStatus::Healthy),
            (1, false, HealthStatus::Unhealthy),
            (0, false, HealthStatus::Healthy),
        ] {
            health = next(health, &check, probe(code), in_start_period);
            assert_eq!(health.status, wanted);
        }
        assert_eq!(health.log.len(), LOG);
    }
}
