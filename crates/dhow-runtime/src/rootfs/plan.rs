//! What has to be done for a root file system, worked out from the specification before anything is cloned.

use std::path::{Path, PathBuf};

use super::devices::{self, DevicePlan};
use super::options::{self, MountPlan, Recursive};
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::spec::{LinuxNamespaceType, Spec};

/// All that the assembly of a root file system needs to know.
#[derive(Debug)]
pub(crate) struct RootfsPlan {
    /// A folder of the host on which the root is attached for a moment, in the new mount namespace only: the root's own,
    /// unless it is given as a detached mount.
    pub(crate) attach_at: PathBuf,
    /// The root on the host, where it is not given as a detached mount.
    pub(crate) path: PathBuf,
    /// The root is read-only in the end.
    pub(crate) read_only: bool,
    /// How mounts go between the host and the container.
    pub(crate) propagation: (u64, Recursive),
    /// The mounts, in their order.
    pub(crate) mounts: Vec<MountPlan>,
    /// The device nodes.
    pub(crate) devices: Vec<DevicePlan>,
    /// `/dev` is filled by us.
    pub(crate) fill_dev: bool,
    /// Hidden.
    pub(crate) masked: Vec<PathBuf>,
    /// Made read-only.
    pub(crate) read_only_paths: Vec<PathBuf>,
    /// The process is in a user namespace of its own.
    pub(crate) user_namespace: bool,
    /// The working directory, made where it is missing.
    pub(crate) cwd: PathBuf,
    /// The container's control group, and whether it sees it as the top of all.
    pub(crate) cgroup: (Cgroup, bool),
}

impl RootfsPlan {
    /// The plan of `spec`, whose bundle is the folder `bundle`.
    pub(crate) fn new(spec: &Spec, bundle: &Path, cgroup: &Cgroup) -> Result<Self> {
        let root = spec.root().as_ref();
        let linux = spec.linux().as_ref();
        let mut mounts: Vec<MountPlan> = spec
            .mounts()
            .iter()
            .flatten()
            .map(MountPlan::parse)
            .collect();
        for mount in &mut mounts {
            if !mount.destination.is_absolute() {
                // The specification wants absolute paths; runc takes others as if they were.
                mount.destination = Path::new("/").join(&mount.destination);
            }
            if mount.bind.is_some() {
                mount.source = bundle.join(&mount.source);
            }
            if let Some(label) = linux.and_then(|linux| linux.mount_label().clone())
                && mount.bind.is_none()
                && ["tmpfs", "devpts", "mqueue"].contains(&mount.kind.as_str())
                && !label.is_empty()
            {
                mount.data.push(format!("context=\"{label}\""));
            }
        }
        let propagation = match linux.and_then(|linux| linux.rootfs_propagation().clone()) {
            Some(name) if !name.is_empty() => options::propagation_named(&name)
                .ok_or_else(|| Error::Spec(format!("rootfsPropagation={name} is not supported")))?,
            _ => (options::DEFAULT_PROPAGATION, Recursive::Yes),
        };
        let listed =
            |paths: Option<&Vec<String>>| paths.into_iter().flatten().map(PathBuf::from).collect();
        let has = |kind| {
            linux
                .and_then(|linux| linux.namespaces().as_ref())
                .into_iter()
                .flatten()
                .any(|namespace: &crate::spec::LinuxNamespace| namespace.typ() == kind)
        };
        let path = bundle.join(root.map_or(Path::new("rootfs"), |root| root.path()));
        let fill_dev = devices::are_ours(&mounts);
        let no_devices = Vec::new();
        let devices = linux
            .and_then(|linux| linux.devices().as_ref())
            .unwrap_or(&no_devices);
        Ok(Self {
            attach_at: path.clone(),
            path,
            read_only: root.and_then(crate::spec::Root::readonly).unwrap_or(false),
            propagation,
            mounts,
            devices: devices::plan(devices).map_err(Error::Spec)?,
            fill_dev,
            masked: listed(linux.and_then(|linux| linux.masked_paths().as_ref())),
            read_only_paths: listed(linux.and_then(|linux| linux.readonly_paths().as_ref())),
            user_namespace: has(LinuxNamespaceType::User),
            cwd: spec
                .process()
                .as_ref()
                .map_or_else(|| "/".into(), |process| process.cwd().clone()),
            cgroup: (cgroup.clone(), has(LinuxNamespaceType::Cgroup)),
        })
    }
}
