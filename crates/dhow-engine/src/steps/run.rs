//! A step's life.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use dhow_container::oci::{self, EtcFiles};
use dhow_container::spec::NetworkMode;
use dhow_network::EndpointRequest;
use dhow_oci::runtime::Spec;
use dhow_shim::{AttachRequest, ExitRecord, LogConfig, Rootfs, SHIM_VERSION, ShimConfig};
use tokio::sync::oneshot;

use super::{Step, StepOutput, StepSource, outcome, places, record, recover};
use crate::container::ContainerRecord;
use crate::lifecycle::start::{self, Started};
use crate::lifecycle::{create, files, report};
use crate::services::{Services, blocking};
use crate::supervisor::{Task, is_over};
use crate::{Error, Result};

/// What has to be known of a step while it lives.
struct Life {
    services: Arc<Services>,
    step: Arc<Step>,
    record: Arc<ContainerRecord>,
}

/// Runs a step to its end, or until it is called off.
pub(super) async fn run(
    services: &Arc<Services>,
    step: Arc<Step>,
    output: Arc<dyn StepOutput>,
    called_off: oneshot::Receiver<()>,
) -> Result<i32> {
    let config = &services.config;
    let record = record::record(&step, &config.defaults, &config.default_runtime);
    let life = Life {
        services: services.clone(),
        record: Arc::new(record),
        step,
    };
    let result = match life.prepare().await {
        Ok(started) => life.go(started, output, called_off).await,
        Err(error) => Err(error),
    };
    let id = life.step.id.clone();
    blocking(move || {
        let own = life.services;
        report("release endpoints", own.networks.release(&id, None));
        recover::remove_folders(&own, &id);
        Ok::<_, Error>(())
    })
    .await?;
    result
}

impl Life {
    /// Everything up to an init that waits.
    async fn prepare(&self) -> Result<Started> {
        let spawned = async { start::spawn(&self.services, self.bundle().await?, vec![]).await };
        let (started, connected) = tokio::join!(spawned, self.reserve());
        match (started, connected) {
            (Ok(started), Ok(endpoint)) => match self.connect(endpoint, started.pid).await {
                Ok(()) => Ok(started),
                Err(error) => Err(give_up(started, error).await),
            },
            (Ok(started), Err(error)) => Err(give_up(started, error).await),
            (Err(error), _) => Err(error),
        }
    }

    /// Lets the init go on, takes what it prints, and waits until nothing of it is left.
    async fn go(
        &self,
        started: Started,
        output: Arc<dyn StepOutput>,
        mut called_off: oneshot::Receiver<()>,
    ) -> Result<i32> {
        let wish = AttachRequest {
            stdin: false,
            stdout: true,
            stderr: true,
        };
        let begun = async {
            let stream = started.task.attach(wish).await?;
            started.task.start().await.map_err(start::start_error)?;
            Ok::<_, Error>(stream)
        };
        let stream = match begun.await {
            Ok(stream) => stream,
            Err(error) => return Err(give_up(started, error).await),
        };
        let Started { task, events, .. } = started;
        let ending = self.services.steps.ending();
        let end = async {
            outcome::forward(stream, output).await;
            outcome::ended(events).await
        };
        tokio::pin!(end);
        let exit = tokio::select! {
            exit = &mut end => exit,
            _ = &mut called_off => {
                kill(&task).await;
                end.await
            }
            () = ending.cancelled() => {
                kill(&task).await;
                end.await
            }
        };
        match exit {
            Some(exit) => Ok(exit.code),
            None => self.left_behind().await.map(|exit| exit.code),
        }
    }

    /// How a step whose supervisor is gone without a word has ended; what still runs of it is ended.
    async fn left_behind(&self) -> Result<ExitRecord> {
        let (services, id) = (self.services.clone(), self.step.id.clone());
        blocking(move || {
            let found = services
                .supervisor
                .exit_record(&services.step_folder(&id))?;
            if found.is_none() {
                recover::end(&services, &id);
            }
            let lost = || Error::Refused("the command's supervisor was killed".into());
            found.ok_or_else(lost)
        })
        .await
    }

    /// Takes an address and writes the files that depend on it; gives the endpoint's id, if there is one.
    async fn reserve(&self) -> Result<Option<String>> {
        let (services, record) = (self.services.clone(), self.record.clone());
        blocking(move || {
            let mode = &record.host.network_mode;
            let mut addresses: Vec<IpAddr> = Vec::new();
            let mut endpoint = None;
            let connected = !matches!(mode, NetworkMode::Host | NetworkMode::None);
            if let Some(network) = mode.network().filter(|_| connected) {
                let request = EndpointRequest {
                    container_id: record.id.clone(),
                    container_name: record.name.clone(),
                    network: network.to_owned(),
                    ip: None,
                    mac: None,
                    ports: Vec::new(),
                    aliases: Vec::new(),
                };
                let reserved = services.networks.reserve(request);
                let reserved = reserved.map_err(Error::Networking)?.endpoint;
                addresses.extend(reserved.ip.map(IpAddr::V4));
                endpoint = Some(reserved.id);
            }
            // The bundle is being written meanwhile; whoever comes first makes the folder.
            let folder = services.step_folder(&record.id);
            create::make_folder(&folder)?;
            let hosts = folder.join("hosts");
            files::write(&hosts, &files::hosts(&services, &record, &addresses))?;
            Ok::<_, Error>(endpoint)
        })
        .await
    }

    async fn connect(&self, endpoint: Option<String>, pid: u32) -> Result<()> {
        let Some(endpoint) = endpoint else {
            return Ok(());
        };
        let services = self.services.clone();
        blocking(move || {
            let attached = services.networks.attach(&endpoint, pid);
            attached.map(drop).map_err(Error::Networking)
        })
        .await
    }

    /// Writes the step's bundle and gives what its supervisor is told.
    async fn bundle(&self) -> Result<ShimConfig> {
        let (services, step, record) = (
            self.services.clone(),
            self.step.clone(),
            self.record.clone(),
        );
        blocking(move || bundle(&services, &step, &record)).await
    }
}

/// Ends what was begun, for that reason.
async fn give_up(started: Started, error: Error) -> Error {
    kill(&started.task).await;
    outcome::ended(started.events).await;
    error
}

/// Kills a step; that it has ended meanwhile is fine.
async fn kill(task: &Task) {
    match task.kill(9, true).await {
        Err(error) if is_over(&error) => {}
        other => report("kill a step", other),
    }
}

fn bundle(services: &Services, step: &Step, record: &ContainerRecord) -> Result<ShimConfig> {
    let run = services.step_folder(&step.id);
    create::make_folder(&run)?;
    let scratch = scratch(services, step)?;
    let root = places::add(&step.root, &step.mounts, &scratch)?;
    let inputs = start::inputs(
        services,
        record,
        etc(services, step, record)?,
        record::sources(step, &scratch),
    )?;
    let mut spec = oci::generate(record, &inputs)?;
    complete(&mut spec, step);
    start::write_spec(&run, &spec)?;
    let groups = &inputs.injected.additional_gids;
    Ok(ShimConfig {
        version: SHIM_VERSION,
        id: step.id.clone(),
        socket: services.step_socket(&step.id),
        bundle: run.clone(),
        state_dir: run,
        runtime: start::runtime(services, &record.host.runtime),
        runtime_root: services.runtime_root(),
        rootfs: Rootfs::Overlay {
            lower: root.lower,
            upper: root.upper,
            work: root.work,
            read_only: root.read_only,
            // Whoever makes a layer of it sees to it that it survives.
            volatile: true,
        },
        user: step.user.clone(),
        additional_groups: groups.iter().map(ToString::to_string).collect(),
        terminal: false,
        open_stdin: false,
        stdin_once: false,
        console_size: None,
        log: LogConfig {
            driver: "none".into(),
            ..LogConfig::default()
        },
    })
}

/// The environment is the step's, and nothing else: no variable of a container's.
fn complete(spec: &mut Spec, step: &Step) {
    let mut process = spec.process().clone().unwrap_or_default();
    process.set_env(Some(step.env.clone()));
    spec.set_process(Some(process));
}

/// The folder for what the step needs on the layers' own file system, made if it needs any.
fn scratch(services: &Services, step: &Step) -> Result<PathBuf> {
    let folder = services.step_scratch(&step.id);
    if !step.mounts.is_empty() {
        create::make_folder(&folder)?;
    }
    for (number, mount) in step.mounts.iter().enumerate() {
        if !mount.read_only && matches!(mount.source, StepSource::Root { .. }) {
            let (upper, work) = record::written(&folder, number);
            create::make_folder(&upper)?;
            create::make_folder(&work)?;
        }
    }
    Ok(folder)
}

/// The files of `/etc` that are the engine's, unless the step has a folder of its own there.
fn etc(services: &Services, step: &Step, record: &ContainerRecord) -> Result<EtcFiles> {
    let covers =
        |target: &str| matches!(dhow_container::mount::clean(target).as_str(), "/etc" | "/");
    if step.mounts.iter().any(|mount| covers(&mount.target)) {
        return Ok(EtcFiles::default());
    }
    let folder = services.step_folder(&step.id);
    let (hosts, resolv_conf) = (folder.join("hosts"), folder.join("resolv.conf"));
    files::write(&resolv_conf, &files::resolver(services, record))?;
    files::make(&hosts)?;
    Ok(EtcFiles {
        hostname: None,
        hosts: Some(hosts),
        resolv_conf: Some(resolv_conf),
    })
}
