//! Commands that are no containers: a build's steps.
//!
//! A *step* runs one command to its end in what a container is made of (root file system, namespaces, limits, a
//! supervisor, an endpoint), and nobody else sees it: it has no record, no name, no log, no events, and is in no list.
//!
//! # Life of a step
//!
//! [`Steps::run`] makes its folder below the exec root, has the supervisor spawned while an address is taken, connects the
//! init, takes the output, and waits until the supervisor is gone: then no process, mount, interface or control group
//! is left. Whoever drops the future kills the command; what it held is given back in the background.
//!
//! # Places of mounts
//!
//! A mount needs a file or directory under it. Those that the root does not have are put into a layer of their own
//! between it and what the command writes, so that they are never part of the step's result (see `places`).
//!
//! # Death at any instruction
//!
//! A step's folder is there before anything else of it. The next start kills and removes what it finds there; nothing
//! of a step is taken up again.

mod outcome;
mod places;
mod record;
mod recover;
mod run;
mod set;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use dhow_snapshot::Mounts;
use tokio::sync::oneshot;

use crate::lifecycle::network;
use crate::services::Services;
use crate::spec::{NetworkMode, Resources};
use crate::{Error, Result};

pub(crate) use recover::recover;
pub(crate) use set::StepSet;

/// Commands that are no containers.
#[derive(Debug, Clone)]
pub struct Steps {
    pub(crate) services: Arc<Services>,
}

/// A command and what it sees.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// What it is known by while it runs: letters, digits and `-`, as no container's and no other step's.
    pub id: String,
    /// The file system; its upper directory gets what the command writes.
    pub root: Mounts,
    /// The program and its arguments; the program is looked up in the container's `PATH`.
    pub args: Vec<String>,
    /// The environment, complete but for `HOME`.
    pub env: Vec<String>,
    /// The working directory; made if it is not there.
    pub working_dir: String,
    /// The user as in `USER`, resolved in the container.
    pub user: String,
    /// What is mounted.
    pub mounts: Vec<StepMount>,
    /// The network.
    pub network: NetworkMode,
    /// The rest.
    pub host: StepHost,
}

/// What a step gets of the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepHost {
    /// As privileged containers are.
    pub privileged: bool,
    /// Names of CDI devices.
    pub devices: Vec<String>,
    /// Lines of `/etc/hosts` that are added.
    pub hosts: Vec<(String, IpAddr)>,
    /// The host name.
    pub hostname: Option<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits.
    pub resources: Resources,
}

/// Something mounted for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepMount {
    /// Where in the root; absolute.
    pub target: String,
    /// Whether the command can't write to it.
    pub read_only: bool,
    /// What is mounted.
    pub source: StepSource,
}

/// What is mounted for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepSource {
    /// A file, directory or socket of the host, by a path that nobody hostile can change.
    Path(PathBuf),
    /// A path within another file system, resolved inside of it; what is written is thrown away.
    Root {
        /// The other file system.
        root: Mounts,
        /// The path within it.
        path: String,
    },
    /// Memory, at most so many bytes.
    Memory(Option<u64>),
}

/// Takes a step's output.
pub trait StepOutput: Send + Sync + 'static {
    /// Some bytes of its standard output (1) or error (2), in the order in which they came.
    fn write(&self, stream: u8, bytes: &[u8]);
}

impl Steps {
    /// Runs a command to its end and gives its exit code (128 + the signal's number for one that was killed).
    ///
    /// All of it is over when the future is: no process, mount, interface or control group is left. Dropping the
    /// future kills the command.
    ///
    /// # Errors
    /// The command could not be started, or nobody knows how it ended.
    pub async fn run(&self, step: Step, output: Arc<dyn StepOutput>) -> Result<i32> {
        let guard = self.services.steps.enter(&step.id)?;
        let (_alive, called_off) = oneshot::channel::<()>();
        let services = self.services.clone();
        let work = tokio::spawn(async move {
            let result = run::run(&services, Arc::new(step), output, called_off).await;
            drop(guard);
            result
        });
        work.await.map_err(Error::Background)?
    }

    /// The address `host-gateway` stands for in a step's hosts.
    #[must_use]
    pub fn host_gateway(&self) -> Option<IpAddr> {
        network::host_gateway(&self.services)
    }

    /// Waits until nothing is left of a step whose future was dropped.
    pub async fn settled(&self, id: &str) {
        self.services.steps.settled(id).await;
    }
}
