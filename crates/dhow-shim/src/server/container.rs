//! The container: made by a runtime on a root file system, and taken away again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_oci::runtime::Spec;
use dhow_runtime::cgroup::Cgroup;
use dhow_runtime::{Builtin, CreateRequest, Created, External, Runtime, Stdio, UserSpec};
use dhow_sys::overlay::OverlayMount;
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};

use super::error::CreateError;
use crate::{Rootfs, RuntimeChoice, ShimConfig};

/// Makes a runtime that takes the place of the real ones, or not; for tests.
pub type Simulated = fn(&ShimConfig) -> Option<Box<dyn Runtime>>;

/// The runtimes, as far as they differ for a shim.
enum AnyRuntime {
    Builtin(Builtin),
    External(External),
    Simulated(Box<dyn Runtime>),
}

impl AnyRuntime {
    fn new(config: &ShimConfig, simulated: Option<Simulated>) -> Result<Self, CreateError> {
        if let Some(simulated) = simulated.and_then(|simulated| simulated(config)) {
            return Ok(Self::Simulated(simulated));
        }
        Ok(match &config.runtime {
            RuntimeChoice::Builtin => Self::Builtin(Builtin::new(&config.runtime_root)),
            RuntimeChoice::External { program } => {
                let log = config.state_dir.join("runtime.log");
                Self::External(External::new(program, &config.runtime_root, &log)?)
            }
        })
    }

    fn cgroup(&self, id: &str) -> Option<Cgroup> {
        match self {
            Self::Builtin(runtime) => runtime.cgroup(id).ok(),
            Self::External(runtime) => runtime.cgroup(id).ok(),
            Self::Simulated(_) => None,
        }
    }
}

/// A container that exists.
pub(super) struct Container {
    id: String,
    runtime: AnyRuntime,
    /// For counting out-of-memory kills; not there when it can't be found.
    pub(super) cgroup: Option<Cgroup>,
    /// Where the root file system is attached in the host's mount namespace, for foreign runtimes.
    attached: Option<PathBuf>,
    /// The root file system, until the end has been told: with its last reference the kernel writes out the whole file
    /// system it is on, and the container's init should not do that on its way out.
    rootfs: Option<OwnedFd>,
}

impl Container {
    /// Makes the container; its init waits.
    pub(super) fn create(
        config: &ShimConfig,
        stdio: Stdio<'_>,
        simulated: Option<Simulated>,
    ) -> Result<(Self, Created), CreateError> {
        let mut spec = read_spec(&config.bundle)?;
        let runtime = AnyRuntime::new(config, simulated)?;
        let mut container = Self {
            id: config.id.clone(),
            runtime,
            cgroup: None,
            attached: None,
            rootfs: None,
        };
        let rootfs = container.root(config, &mut spec)?;
        let user = user_spec(&config.user, &config.additional_groups);
        let created = container.runtime().create(&CreateRequest {
            id: &config.id,
            bundle: &config.bundle,
            spec: &spec,
            rootfs: rootfs.as_ref().map(AsFd::as_fd),
            stdio,
            user: user.as_ref(),
        });
        match created {
            Ok(created) => {
                container.cgroup = container.runtime.cgroup(&config.id);
                container.rootfs = rootfs;
                Ok((container, created))
            }
            Err(error) => {
                container.detach_root();
                Err(error.into())
            }
        }
    }

    pub(super) fn runtime(&self) -> &dyn Runtime {
        match &self.runtime {
            AnyRuntime::Builtin(runtime) => runtime,
            AnyRuntime::External(runtime) => runtime,
            AnyRuntime::Simulated(runtime) => runtime.as_ref(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Takes away what is left of the container. Goes on whatever fails; says what did.
    pub(super) fn delete(&mut self) -> Result<(), dhow_runtime::Error> {
        let deleted = self.runtime().delete(&self.id, true);
        self.detach_root();
        self.rootfs = None;
        deleted
    }

    /// Prepares the root file system: as a detached mount, at its place in the bundle, or only named in the spec.
    fn root(
        &mut self,
        config: &ShimConfig,
        spec: &mut Spec,
    ) -> Result<Option<OwnedFd>, CreateError> {
        let overlay = match &config.rootfs {
            Rootfs::Overlay {
                lower,
                upper,
                work,
                read_only,
                volatile,
            } => OverlayMount {
                lower: lower.clone(),
                upper: upper.clone(),
                work: work.clone(),
                read_only: *read_only,
                volatile: *volatile,
            },
            Rootfs::Directory(path) => {
                set_root(spec, path);
                return Ok(None);
            }
        };
        let mount = overlay.detached().map_err(CreateError::Overlay)?;
        if !matches!(self.runtime, AnyRuntime::External(_)) {
            return Ok(Some(mount));
        }
        let path = config.bundle.join("rootfs");
        attach(&mount, &path).map_err(|source| CreateError::Attach {
            path: path.clone(),
            source,
        })?;
        set_root(spec, &path);
        self.attached = Some(path);
        Ok(None)
    }

    /// Takes the root file system of a foreign runtime's container from its place in the bundle.
    pub(super) fn detach_root(&mut self) {
        if let Some(path) = self.attached.take() {
            // It may be gone already, with the mount namespace it was seen in.
            let _ = unmount(&path, UnmountFlags::DETACH);
        }
    }
}

/// The user of a request, unless the spec says it already.
pub(super) fn user_spec(user: &str, groups: &[String]) -> Option<UserSpec> {
    let given = !user.is_empty() || !groups.is_empty();
    given.then(|| UserSpec {
        user: user.into(),
        groups: groups.to_vec(),
    })
}

fn read_spec(bundle: &Path) -> Result<Spec, CreateError> {
    let path = bundle.join("config.json");
    let read = || serde_json::from_slice(&std::fs::read(&path)?).map_err(io::Error::from);
    read().map_err(|source| CreateError::Spec { path, source })
}

fn set_root(spec: &mut Spec, path: &Path) {
    let mut root = spec.root().clone().unwrap_or_default();
    root.set_path(path.into());
    spec.set_root(Some(root));
}

fn attach(mount: &OwnedFd, path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(mount, "", rustix::fs::CWD, path, flags)?)
}
