//! Starting a container: volumes, addresses, the runtime's document, the supervisor, the init; undone on any failure.
//!
//! What does not depend on each other runs side by side: the addresses are taken while the supervisor makes the
//! container, unless ports are published, whose sockets the supervisor inherits.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_oci::runtime::Spec;
use dhow_shim::{
    ConsoleSize, Created, ExitRecord, Rootfs, RuntimeChoice, SHIM_VERSION, ShimConfig, ShimEvent,
};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::network::{self, Reservation};
use super::{create, exit, files, links, log, mounts, remove};
use crate::config::EngineConfig;
use crate::container::{ContainerRecord, Status};
use crate::error::TaskError;
use crate::services::{Services, blocking};
use crate::store::{Container, Pending};
use crate::supervisor::{self, Task};
use crate::{Error, Result, host};
use dhow_container::oci;
use dhow_container::spec::{IpcMode, NetworkMode, PidMode};

/// A container that was started, with what happens to it.
pub(crate) struct Started {
    pub(crate) task: Task,
    pub(crate) pid: u32,
    pub(crate) events: mpsc::Receiver<ShimEvent>,
}

/// Starts a container. The caller holds its lifecycle lock.
pub(crate) async fn start(services: &Arc<Services>, container: &Arc<Container>) -> Result<()> {
    let record = container.record();
    check(&record)?;
    match run(services, container, &record).await {
        Ok(()) => Ok(()),
        Err(error) => {
            failed(services, container, &error).await;
            Err(error)
        }
    }
}

fn check(record: &ContainerRecord) -> Result<()> {
    match record.state.status {
        Status::Created | Status::Exited | Status::Restarting => Ok(()),
        Status::Running => Err(Error::NotModified("container is already running")),
        Status::Paused => Err(Error::Conflict(
            "cannot start a paused container, try unpause instead".into(),
        )),
        Status::Removing | Status::Dead => Err(Error::Conflict(
            "container is marked for removal and cannot be started".into(),
        )),
    }
}

async fn run(
    services: &Arc<Services>,
    container: &Arc<Container>,
    record: &Arc<ContainerRecord>,
) -> Result<()> {
    let (started, reservation) = match prepare(services, record).await {
        Ok(prepared) => prepared,
        Err(error) => {
            undo(services, record).await;
            return Err(error);
        }
    };
    let Started { task, pid, events } = started;
    match go(services, container, &task, pid, reservation).await {
        Ok(()) => {
            exit::watch(services, container, events);
            super::health::watch(services, container);
            Ok(())
        }
        Err(error) => {
            container.live().task = None;
            kill(&task, events).await;
            undo(services, record).await;
            Err(error)
        }
    }
}

/// Connects the waiting init to its networks and clients, and lets it go on.
async fn go(
    services: &Arc<Services>,
    container: &Arc<Container>,
    task: &Task,
    pid: u32,
    reservation: Reservation,
) -> Result<()> {
    let own = services.clone();
    let reservation = blocking(move || {
        network::attach(&own, &reservation, pid)?;
        Ok::<_, Error>(reservation)
    })
    .await?;
    connect_pending(container, task).await;
    // Taken before, so that no run ends before it began.
    let started_at = Timestamp::now();
    task.start().await.map_err(start_error)?;
    running(services, container, &reservation, (pid, started_at))
}

/// Everything up to an init that waits: its document, its addresses, its supervisor.
async fn prepare(
    services: &Arc<Services>,
    record: &Arc<ContainerRecord>,
) -> Result<(Started, Reservation)> {
    let reserve = || {
        let (services, record) = (services.clone(), record.clone());
        blocking(move || {
            let reservation = network::reserve(&services, &record)?;
            files::write_hosts(&services, &record, &network::addresses(&reservation))?;
            Ok::<_, Error>(reservation)
        })
    };
    let config = {
        let (services, record) = (services.clone(), record.clone());
        blocking(move || bundle(&services, &record))
    };
    if network::publishes(record) {
        let (config, mut reservation) = both(config, reserve()).await?;
        let held = std::mem::take(&mut reservation.held);
        return Ok((spawn(services, config, held).await?, reservation));
    }
    let spawned = async { spawn(services, config.await?, Vec::new()).await };
    let (started, reservation) = tokio::join!(spawned, reserve());
    match (started, reservation) {
        (Ok(started), Ok(reservation)) => Ok((started, reservation)),
        (Ok(started), Err(error)) => {
            kill(&started.task, started.events).await;
            Err(error)
        }
        (Err(error), _) => Err(error),
    }
}

/// Lets both end, whatever becomes of the other, so that undoing meets no work that still goes on.
async fn both<A, B>(
    first: impl Future<Output = Result<A>>,
    second: impl Future<Output = Result<B>>,
) -> Result<(A, B)> {
    let (first, second) = tokio::join!(first, second);
    Ok((first?, second?))
}

/// Has a supervisor spawned; its init waits.
pub(crate) async fn spawn(
    services: &Services,
    config: ShimConfig,
    held: Vec<OwnedFd>,
) -> Result<Started> {
    let (task, Created { pid, .. }) = services
        .supervisor
        .spawn(config, held)
        .await
        .map_err(start_error)?;
    let events = task.subscribe().await?;
    Ok(Started { task, pid, events })
}

/// Why a supervisor or an init could not be started, in Docker's words.
pub(crate) fn start_error(error: supervisor::Error) -> Error {
    if let supervisor::Error::Refused { message, .. } = &error
        && let Some(text) = message.strip_prefix(dhow_shim::LOG_DRIVER_FAILED)
    {
        let text = text.trim_start_matches(": ").to_owned();
        return Error::LogDriver(dhow_logging::Error::Driver(text));
    }
    Error::about_user(&error).unwrap_or_else(|| Error::Task(TaskError(error)))
}

/// Writes the bundle of a container and gives what its supervisor is told. Blocking.
fn bundle(services: &Services, record: &ContainerRecord) -> Result<ShimConfig> {
    let log = log::for_start(record).map_err(Error::LogDriver)?;
    let run = services.run_folder(&record.id);
    create::make_folder(&run)?;
    links::check(services, record)?;
    let files = files::prepare(services, record)?;
    let sources = mounts::mount(services, record)?;
    let inputs = inputs(services, record, files, sources)?;
    let spec = oci::generate(record, &inputs)?;
    let mut groups = record.host.group_add.clone();
    let injected = &inputs.injected.additional_gids;
    groups.extend(injected.iter().map(ToString::to_string));
    write_spec(&run, &spec)?;
    let mounts = services.snapshots.mounts(&record.id)?;
    let config = &record.config;
    let (rows, cols) = record.host.console_size;
    Ok(ShimConfig {
        version: SHIM_VERSION,
        id: record.id.clone(),
        socket: services.socket(&record.id),
        bundle: run.clone(),
        state_dir: services.folder(&record.id),
        runtime: runtime(services, &record.host.runtime),
        runtime_root: services.runtime_root(),
        rootfs: Rootfs::Overlay {
            lower: mounts.lower,
            upper: mounts.upper,
            work: mounts.work,
            read_only: mounts.read_only,
            // With its container everything in it goes away, after a crash of the machine too.
            volatile: record.host.auto_remove,
        },
        user: config.user.clone(),
        additional_groups: groups,
        terminal: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        console_size: (rows > 0 || cols > 0).then_some(ConsoleSize { rows, cols }),
        log,
    })
}

/// Writes the runtime's document into a bundle.
pub(crate) fn write_spec(run: &Path, spec: &Spec) -> Result<()> {
    let path = run.join("config.json");
    let write = || std::fs::write(&path, serde_json::to_vec(spec)?);
    write().map_err(|source| Error::File {
        action: "write",
        path: path.clone(),
        source,
    })
}

/// The runtime of that name.
pub(crate) fn runtime(services: &Services, name: &str) -> RuntimeChoice {
    match services.config.runtimes.get(name) {
        Some(program) => RuntimeChoice::External {
            program: program.clone(),
        },
        None => RuntimeChoice::Builtin,
    }
}

/// The path of a container's control group below the hierarchies' roots.
pub(crate) fn cgroup_path(config: &EngineConfig, record: &ContainerRecord) -> PathBuf {
    let parent = match record.host.resources.cgroup_parent.as_str() {
        "" => &config.cgroup_parent,
        parent => parent,
    };
    PathBuf::from("/").join(parent).join(&record.id)
}

/// What the runtime's document needs besides the record, looked up on the machine.
pub(crate) fn inputs(
    services: &Services,
    record: &ContainerRecord,
    files: oci::EtcFiles,
    sources: Vec<oci::Source>,
) -> Result<oci::Inputs> {
    let (host, config) = (&record.host, &services.config);
    let network = match &host.network_mode {
        NetworkMode::Container(other) => Some(joined(services, other, "network")?),
        _ => None,
    };
    let (ipc, shm) = match &host.ipc_mode {
        IpcMode::Container(other) => {
            let (pid, shm) = joined_ipc(services, other)?;
            (Some(pid), Some(shm))
        }
        IpcMode::Shareable => (None, Some(files::make_shm(services, record)?)),
        _ => (None, None),
    };
    let pid = match &host.pid_mode {
        PidMode::Container(other) => Some(joined(services, other, "PID")?),
        _ => None,
    };
    let mut devices = if host.privileged {
        host::devices::all()
    } else {
        Vec::new()
    };
    devices.extend(host::devices::look_up(&host.resources.devices)?);
    let requests = &host.resources.device_requests;
    let (injected, nodes) = host::cdi::look_up(&config.defaults.cdi_folders, requests)
        .map_err(|error| Error::Refused(error.0))?;
    devices.extend(nodes);
    Ok(oci::Inputs {
        files,
        sources,
        joined: oci::Joined { network, ipc, pid },
        shm,
        has_mqueue: Path::new("/dev/mqueue").exists(),
        devices,
        links: links::environment(services, record)?,
        injected,
        block_devices: host::devices::limited(&host.resources)?,
        cgroup: cgroup_path(config, record),
        cgroup_v2: host::machine::has_cgroup_v2(),
        host_name: host::machine::name(),
        init: host
            .init
            .unwrap_or(config.defaults.init)
            .then(|| config.program.clone()),
        ulimits: config.defaults.ulimits.clone(),
        seccomp_profile: config.defaults.seccomp_profile.clone(),
        no_new_privileges: config.defaults.no_new_privileges,
        apparmor: services.apparmor()?,
    })
}

/// The init of a running container whose namespace is joined.
fn joined(services: &Services, name: &str, what: &str) -> Result<u32> {
    let other = services.find(name)?.record();
    if !other.state.status.has_process() {
        return Err(Error::Conflict(format!(
            "cannot join {what} of a non running container: {}",
            other.id
        )));
    }
    Ok(other.state.pid)
}

/// The init whose IPC namespace is joined, and where its `/dev/shm` is on the host.
fn joined_ipc(services: &Services, name: &str) -> Result<(u32, PathBuf)> {
    let pid = joined(services, name, "IPC")?;
    let other = services.find(name)?;
    if !matches!(other.record().host.ipc_mode, IpcMode::Shareable) {
        return Err(Error::Conflict(format!(
            "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
            other.id
        )));
    }
    Ok((pid, files::shm(services, &other.id)))
}

/// Connects the clients that wait, before the init prints anything.
async fn connect_pending(container: &Container, task: &Task) {
    let pending = {
        let mut live = container.live();
        // From here on clients connect themselves.
        live.task = Some(task.clone());
        std::mem::take(&mut live.pending)
    };
    for Pending { request, reply } in pending {
        match task.attach(request).await {
            // The client may have gone meanwhile.
            Ok(stream) => drop(reply.send(stream)),
            Err(error) => tracing::warn!("attach to {}: {error}", container.id),
        }
    }
}

/// Notes and tells that a container runs.
fn running(
    services: &Services,
    container: &Container,
    reservation: &Reservation,
    (pid, started_at): (u32, Timestamp),
) -> Result<()> {
    let record = container.save(&services.db, |record| {
        network::note(record, reservation);
        let state = &mut record.state;
        state.status = Status::Running;
        state.pid = pid;
        state.exit_code = 0;
        state.error = String::new();
        state.oom_killed = false;
        state.started_at = Some(started_at);
        state.finished_at = None;
        state.health = super::health::initial(&record.config, state.health.as_ref());
        record.manually_stopped = false;
        record.started_before = true;
    })?;
    links::tell_linked(services, &record.id);
    services.tell(&record, "start");
    Ok(())
}

/// Kills what was made and waits until its supervisor has done with it.
async fn kill(task: &Task, mut events: mpsc::Receiver<ShimEvent>) {
    if let Err(error) = task.kill(9, true).await {
        tracing::debug!("kill a container that could not be started: {error}");
    }
    while let Some(event) = events.recv().await {
        if let ShimEvent::Exited(ExitRecord { .. }) = event {
            break;
        }
    }
}

/// Takes back what a start that failed has done.
async fn undo(services: &Arc<Services>, record: &Arc<ContainerRecord>) {
    let (services, record) = (services.clone(), record.clone());
    let work = blocking(move || {
        exit::clean(&services, &record);
        Ok::<_, Error>(())
    });
    super::report("undo start", work.await);
}

/// Notes why a start failed, as Docker does, and removes a container that is to be removed anyway.
async fn failed(services: &Arc<Services>, container: &Arc<Container>, error: &Error) {
    let text = dhow_errdefs::chain(error).to_string();
    container.live().pending.clear();
    let record = container.note(&services.db, |record| {
        record.state.exit_code = exit_code(&text);
        record.state.error = text;
        record.state.pid = 0;
        if record.state.status == Status::Restarting {
            record.state.status = Status::Exited;
            record.state.finished_at = Some(Timestamp::now());
        }
    });
    if record.host.auto_remove {
        super::report(
            "remove container",
            remove::remove(services, container, true).await,
        );
    }
}

/// Docker's exit code for a command that could not be started.
fn exit_code(text: &str) -> i32 {
    let text = text.to_lowercase();
    let has = |part: &str| text.contains(part);
    if has("executable file not found") || has("no such file or directory") {
        127
    } else if has("permission denied") || has("not a directory") || has("is a directory") {
        126
    } else {
        128
    }
}
