//! The engine's steps as what the builder runs commands with.

use std::sync::Arc;

use dhow_builder::executor::{
    Command, CommandMount, CommandMountKind, Executor, ExecutorError, Output,
};
use dhow_builder::graph::Limits;
use dhow_dockerfile::{Network, Security};
use dhow_engine::spec::{Invalid, NetworkMode, Resources, Ulimit};
use dhow_engine::steps::{Step, StepHost, StepMount, StepOutput, StepSource, Steps};
use futures::future::BoxFuture;

/// Runs a build's commands as steps of the engine.
#[derive(Debug)]
pub(super) struct StepExecutor {
    pub(super) steps: Steps,
    /// What the engine's settings allow, whatever the client allows.
    pub(super) allowed: Vec<String>,
}

impl StepExecutor {
    fn check(&self, command: &Command) -> Result<(), ExecutorError> {
        let wanted = [
            ("network.host", command.network == Network::Host),
            ("security.insecure", command.security == Security::Insecure),
            ("device", !command.devices.is_empty()),
        ];
        let refused = |(name, wanted): &&(&str, bool)| {
            *wanted && !self.allowed.iter().any(|allowed| allowed == name)
        };
        match wanted.iter().find(refused) {
            Some((name, _)) => Err(ExecutorError(format!(
                "{name} is not allowed by the engine's settings"
            ))),
            None => Ok(()),
        }
    }
}

impl Executor for StepExecutor {
    fn run<'a>(&'a self, command: Command) -> BoxFuture<'a, Result<i32, ExecutorError>> {
        Box::pin(async move {
            self.check(&command)?;
            let output = Arc::new(Forward(command.output.clone()));
            let run = self.steps.run(step(command)?, output).await;
            run.map_err(|error| ExecutorError(dhow_errdefs::chain(&error).to_string()))
        })
    }

    fn settled<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.steps.settled(id))
    }
}

struct Forward(Arc<dyn Output>);

impl StepOutput for Forward {
    fn write(&self, stream: u8, bytes: &[u8]) {
        self.0.write(stream, bytes);
    }
}

fn step(command: Command) -> Result<Step, ExecutorError> {
    let Command {
        id,
        root,
        args,
        env,
        working_dir,
        user,
        mounts,
        network,
        security,
        devices,
        limits,
        ..
    } = command;
    let network = match network {
        Network::None => NetworkMode::None,
        Network::Host => NetworkMode::Host,
        Network::Default => match &limits.network {
            None => NetworkMode::Default,
            Some(name) => name
                .parse()
                .map_err(|error: Invalid| ExecutorError(error.0))?,
        },
    };
    Ok(Step {
        id,
        root,
        args,
        env,
        working_dir,
        user,
        mounts: mounts.into_iter().map(mount).collect(),
        network,
        host: StepHost {
            privileged: security == Security::Insecure,
            devices,
            resources: resources(&limits),
            hosts: limits.hosts,
            hostname: limits.hostname,
            shm_size: limits.shm_size,
        },
    })
}

fn resources(limits: &Limits) -> Resources {
    let (memory, memory_swap) = limits.memory.unwrap_or_default();
    let (shares, cpu_quota, cpu_period) = limits.cpu.unwrap_or_default();
    let (cpuset_cpus, cpuset_mems) = limits.cpuset.clone().unwrap_or_default();
    let ulimit = |(name, soft, hard): &(String, i64, i64)| Ulimit {
        name: name.clone(),
        soft: *soft,
        hard: *hard,
    };
    Resources {
        cpu_shares: u64::try_from(shares).unwrap_or(0),
        memory,
        memory_swap,
        cpu_period,
        cpu_quota,
        cpuset_cpus,
        cpuset_mems,
        cgroup_parent: limits.cgroup_parent.clone().unwrap_or_default(),
        ulimits: limits.ulimits.iter().map(ulimit).collect(),
        ..Resources::default()
    }
}

fn mount(mount: CommandMount) -> StepMount {
    StepMount {
        target: mount.target,
        read_only: mount.read_only,
        source: match mount.kind {
            CommandMountKind::Bind(path) => StepSource::Path(path),
            CommandMountKind::Overlay { root, path } => StepSource::Root { root, path },
            CommandMountKind::Tmpfs(size) => StepSource::Memory(size),
        },
    }
}
