//! From a container's record to the OCI runtime's `config.json`. Pure: what must be looked up on the machine comes in
//! as [`Inputs`]. The defaults are Docker's.

pub mod capabilities;
pub mod devices;
mod injection;
pub mod links;
pub mod mounts;
mod namespaces;
pub mod process;
pub mod resources;
pub mod security;
pub mod sysctl;

use std::collections::HashMap;
use std::path::PathBuf;

use dhow_oci::runtime::{Linux, LinuxCapabilities, Root, Spec};

use crate::spec::{Invalid, UtsMode};
use crate::{ContainerRecord, cdi};

pub use devices::HostDevice;

/// What the generation needs besides the record.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The host's paths of the files bound into `/etc`, where the container has them.
    pub files: EtcFiles,
    /// What is mounted, for each of the record's mounts in their order; volumes are mounted.
    pub sources: Vec<Source>,
    /// The namespaces of other containers to join.
    pub joined: Joined,
    /// The host's folder that is `/dev/shm`, where containers share it.
    pub shm: Option<PathBuf>,
    /// The host has `/dev/mqueue`.
    pub has_mqueue: bool,
    /// The host's devices asked for (all of them when privileged).
    pub devices: Vec<HostDevice>,
    /// Variables that tell of linked containers.
    pub links: Vec<String>,
    /// What devices of vendors change besides; their nodes are among the devices.
    pub injected: cdi::Edits,
    /// The block devices that limits are set for.
    pub block_devices: resources::BlockDevices,
    /// The cgroup's path below the hierarchies' roots.
    pub cgroup: PathBuf,
    /// The machine has cgroup v2 only.
    pub cgroup_v2: bool,
    /// The host's own name, for `--uts host`.
    pub host_name: String,
    /// The program to run as `/sbin/docker-init`, if one is wanted.
    pub init: Option<PathBuf>,
    /// The engine's default limits of processes.
    pub ulimits: Vec<crate::spec::Ulimit>,
    /// The engine's seccomp profile, `unconfined`, or nothing for the built-in one.
    pub seccomp_profile: Option<String>,
    /// The engine's default for `no-new-privileges`.
    pub no_new_privileges: bool,
    /// The AppArmor profile of containers that ask for none, where there is AppArmor.
    pub apparmor: Option<String>,
}

/// Where a mount comes from on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Source {
    /// From nowhere: memory.
    #[default]
    None,
    /// A path.
    Path(PathBuf),
    /// Read-only layers, the topmost first.
    Layers(Vec<PathBuf>),
    /// Layers, the topmost first, and a directory that takes what is written, with the one that overlayfs needs
    /// beside it; without those it is read-only.
    Overlay {
        /// The layers.
        lower: Vec<PathBuf>,
        /// What is written to, and overlayfs's own.
        upper: Option<(PathBuf, PathBuf)>,
    },
}

/// The host's paths of the files bound into a container's `/etc`.
#[derive(Debug, Clone, Default)]
pub struct EtcFiles {
    /// `/etc/hostname`.
    pub hostname: Option<PathBuf>,
    /// `/etc/hosts`.
    pub hosts: Option<PathBuf>,
    /// `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
}

/// Processes whose namespaces are joined.
#[derive(Debug, Clone, Copy, Default)]
pub struct Joined {
    /// Of the container whose network it has.
    pub network: Option<u32>,
    /// Of the container whose semaphores and shared memory it has.
    pub ipc: Option<u32>,
    /// Of the container whose processes it sees.
    pub pid: Option<u32>,
}

/// Where a container's init is bound to, by Docker's name.
pub const INIT_PATH: &str = "/sbin/docker-init";

const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READONLY_PATHS: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The paths hidden from programs by default.
pub fn masked_paths() -> Vec<String> {
    MASKED_PATHS.iter().map(|path| (*path).to_owned()).collect()
}

/// The paths programs may only read by default.
pub fn readonly_paths() -> Vec<String> {
    READONLY_PATHS
        .iter()
        .map(|path| (*path).to_owned())
        .collect()
}

/// Makes the runtime's document. The user is left to whoever sees the container's own `/etc/passwd`.
///
/// # Errors
/// A security option or a sysctl can't be, which the create request should have said already.
pub fn generate(record: &ContainerRecord, inputs: &Inputs) -> Result<Spec, Invalid> {
    let host = &record.host;
    let capabilities = capabilities::effective(host)?;
    let options = security::parse(&host.security_opt)?;
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces::list(record, inputs)))
        .set_resources(Some(resources::limits(
            &host.resources,
            inputs,
            host.privileged,
        )?))
        .set_cgroups_path(Some(inputs.cgroup.clone()))
        .set_devices(devices::nodes(inputs))
        .set_sysctl(sysctl::settings(record))
        .set_seccomp(security::seccomp(host, &options, inputs, &capabilities)?)
        .set_rootfs_propagation(mounts::root_propagation(record))
        .set_masked_paths(paths(
            host.privileged,
            host.masked_paths.as_ref(),
            MASKED_PATHS,
        ))
        .set_readonly_paths(paths(
            host.privileged,
            host.readonly_paths.as_ref(),
            READONLY_PATHS,
        ));

    let mut process = process::init(record, inputs);
    let mut sets = LinuxCapabilities::default();
    let set: std::collections::HashSet<_> = capabilities.iter().copied().collect();
    sets.set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_permitted(Some(set))
        .set_inheritable(None)
        .set_ambient(None);
    process
        .set_capabilities(Some(sets))
        .set_apparmor_profile(options.profile(host.privileged, inputs.apparmor.as_deref()))
        .set_no_new_privileges(Some(
            options
                .no_new_privileges
                .unwrap_or(inputs.no_new_privileges),
        ));

    let mut root = Root::default();
    root.set_path("rootfs".into())
        .set_readonly(Some(host.readonly_rootfs));

    let mut spec = Spec::default();
    spec.set_version("1.2.0".into())
        .set_root(Some(root))
        .set_process(Some(process))
        .set_mounts(Some(mounts::list(record, inputs)))
        .set_linux(Some(linux))
        .set_annotations(annotations(record));
    let private_uts = host.uts_mode == UtsMode::Private;
    spec.set_hostname(private_uts.then(|| record.config.hostname.clone()));
    let domain = &record.config.domainname;
    spec.set_domainname((private_uts && !domain.is_empty()).then(|| domain.clone()));
    injection::apply(&mut spec, &inputs.injected)?;
    Ok(spec)
}

fn paths(privileged: bool, wish: Option<&Vec<String>>, default: &[&str]) -> Option<Vec<String>> {
    if privileged {
        return None;
    }
    let list = match wish {
        Some(list) => list.clone(),
        None => default.iter().map(|path| (*path).to_owned()).collect(),
    };
    (!list.is_empty()).then_some(list)
}

fn annotations(record: &ContainerRecord) -> Option<HashMap<String, String>> {
    let annotations = &record.host.annotations;
    (!annotations.is_empty()).then(|| {
        annotations
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    })
}

#[cfg(test)]
mod tests;
