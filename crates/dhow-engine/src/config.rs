//! How an engine is set up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use dhow_image::Images;
use dhow_metadata::Database;
use dhow_network::Networks;
use dhow_snapshot::Snapshots;
use dhow_volume::Volumes;

use crate::engine::Engine;
use crate::{Error, Result};
use dhow_container::spec::{CgroupnsMode, IpcMode, LogConfig, Ulimit};

/// The settings of an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where everything durable is kept; must exist.
    pub data_root: PathBuf,
    /// Where what lasts until the next boot is kept; must exist.
    pub exec_root: PathBuf,
    /// The program shims and inits are started from, a real path.
    pub program: PathBuf,
    /// The parent of the containers' cgroups, `/dhow`.
    pub cgroup_parent: String,
    /// Further runtimes by name: the path of their program.
    pub runtimes: BTreeMap<String, PathBuf>,
    /// The runtime containers get that ask for none; `dhow` or `runc` for our own.
    pub default_runtime: String,
    /// What containers get that ask for nothing else.
    pub defaults: Defaults,
    /// What the engine says of itself.
    pub about: About,
}

/// What containers get that ask for nothing else.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The log driver and its options.
    pub log: LogConfig,
    /// Whether a `json-file` log without a size of its own is bounded; Docker's grow without end.
    pub bounded_logs: bool,
    /// Bytes of `/dev/shm`.
    pub shm_size: u64,
    /// The IPC mode.
    pub ipc_mode: IpcMode,
    /// The cgroup namespace mode; [`CgroupnsMode::Default`] decides by the machine.
    pub cgroupns_mode: CgroupnsMode,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Whether a tiny init runs as process 1.
    pub init: bool,
    /// Whether programs can't gain privileges.
    pub no_new_privileges: bool,
    /// A seccomp profile in Docker's format instead of the built-in one; `unconfined` for none.
    pub seccomp_profile: Option<String>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Options of `resolv.conf`.
    pub dns_options: Vec<String>,
    /// The address `host-gateway` stands for in `--add-host`; the bridge's when missing.
    pub host_gateway: Option<IpAddr>,
    /// Where vendors' specifications of devices (CDI) are; what later folders say counts more.
    pub cdi_folders: Vec<PathBuf>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            log: LogConfig {
                driver: "json-file".into(),
                options: BTreeMap::new(),
            },
            bounded_logs: true,
            shm_size: 64 * 1024 * 1024,
            ipc_mode: IpcMode::Private,
            cgroupns_mode: CgroupnsMode::Default,
            ulimits: Vec::new(),
            init: false,
            no_new_privileges: false,
            seccomp_profile: None,
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            host_gateway: None,
            cdi_folders: vec!["/etc/cdi".into(), "/var/run/cdi".into()],
        }
    }
}

/// What the engine says of itself.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The release.
    pub version: String,
    /// The commit it was built from.
    pub git_commit: String,
    /// When it was built.
    pub build_time: String,
    /// The newest API version.
    pub api_version: String,
    /// The oldest API version.
    pub min_api_version: String,
    /// Labels of the engine.
    pub labels: Vec<String>,
    /// Debug mode is on.
    pub debug: bool,
    /// Experimental features are on.
    pub experimental: bool,
    /// Registries that may be insecure, `host:port` or CIDR.
    pub insecure_registries: Vec<String>,
    /// Mirrors of Docker Hub.
    pub registry_mirrors: Vec<String>,
}

/// What an engine works with.
#[derive(Clone)]
pub struct Collaborators {
    /// The records.
    pub db: Database,
    /// The images.
    pub images: Images,
    /// The layers and the containers' writable parts.
    pub snapshots: Snapshots,
    /// The networks.
    pub networks: Networks,
    /// The volumes.
    pub volumes: Volumes,
}

impl std::fmt::Debug for Collaborators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collaborators").finish_non_exhaustive()
    }
}

impl EngineConfig {
    /// Makes the engine. It knows its containers, but takes no notice of what happened to them before
    /// [`Engine::restore`].
    ///
    /// # Errors
    /// The records can't be read, or the folders not be made.
    pub fn build(self, collaborators: Collaborators) -> Result<Engine, Error> {
        Engine::new(self, collaborators)
    }
}
