//! The part of a container that is about the host it runs on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    CgroupnsMode, IpcMode, MountSpec, NetworkMode, PidMode, Port, PortBinding, Resources,
    RestartPolicy, UsernsMode, UtsMode,
};

/// A log driver and its options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// `json-file`, `local`, `none`; empty takes the engine's default.
    pub driver: String,
    /// The driver's options, `max-size` for instance.
    pub options: BTreeMap<String, String>,
}

/// What the container wants from the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    /// `source:destination[:options]` as given.
    pub binds: Vec<String>,
    /// Mounts in the long form.
    pub mounts: Vec<MountSpec>,
    /// Memory file systems by path, with their options.
    pub tmpfs: BTreeMap<String, String>,
    /// `container[:ro|rw]`, whose mounts are taken over.
    pub volumes_from: Vec<String>,
    /// The driver of volumes that are made for this container.
    pub volume_driver: String,
    /// Where the client wrote the id to; kept for inspection.
    pub container_id_file: String,
    /// Where the output goes.
    pub log: LogConfig,
    /// What the container is connected to.
    pub network_mode: NetworkMode,
    /// Host ports by container port.
    pub port_bindings: BTreeMap<Port, Vec<PortBinding>>,
    /// Publish every exposed port on an ephemeral one.
    pub publish_all_ports: bool,
    /// What happens when the program ends.
    pub restart_policy: RestartPolicy,
    /// Remove the container when it ends.
    pub auto_remove: bool,
    /// Rows and columns of the first terminal.
    pub console_size: (u16, u16),
    /// Annotations passed to the runtime.
    pub annotations: BTreeMap<String, String>,
    /// Capabilities beyond the default ones, as given.
    pub cap_add: Vec<String>,
    /// Default capabilities to leave out, as given.
    pub cap_drop: Vec<String>,
    /// Whose cgroup namespace is used.
    pub cgroupns_mode: CgroupnsMode,
    /// Name servers.
    pub dns: Vec<String>,
    /// Options of `resolv.conf`.
    pub dns_options: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// `name:address` lines for `/etc/hosts`.
    pub extra_hosts: Vec<String>,
    /// Further groups of the program, by name or number.
    pub group_add: Vec<String>,
    /// Whose IPC namespace is used.
    pub ipc_mode: IpcMode,
    /// Docker's legacy cgroup setting; must be empty.
    pub cgroup: String,
    /// Legacy links, `container:alias`.
    pub links: Vec<String>,
    /// −1000 to 1000, the OOM killer's taste for the program.
    pub oom_score_adj: i32,
    /// Whose PID namespace is used.
    pub pid_mode: PidMode,
    /// All capabilities, all devices, nothing masked.
    pub privileged: bool,
    /// The root file system can't be written to.
    pub readonly_rootfs: bool,
    /// `seccomp=…`, `no-new-privileges`, `apparmor=…`, `label=…`, as given.
    pub security_opt: Vec<String>,
    /// Options for the storage driver.
    pub storage_opt: BTreeMap<String, String>,
    /// Whose UTS namespace is used.
    pub uts_mode: UtsMode,
    /// Whose user namespace is used.
    pub userns_mode: UsernsMode,
    /// Bytes of `/dev/shm`; zero takes the engine's default.
    pub shm_size: u64,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// The runtime's name; empty takes the engine's default.
    pub runtime: String,
    /// Windows only; `default` or empty.
    pub isolation: String,
    /// Limits.
    pub resources: Resources,
    /// Paths hidden from the program; the default ones when missing.
    pub masked_paths: Option<Vec<String>>,
    /// Paths the program may only read; the default ones when missing.
    pub readonly_paths: Option<Vec<String>>,
    /// Whether a tiny init runs as process 1; the engine's default when missing.
    pub init: Option<bool>,
}
