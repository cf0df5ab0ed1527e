//! What the view of a container is made of.

use std::path::{Path, PathBuf};

use dhow_container::spec::{MountKind, NetworkMode};

use super::assemble::{Mount, Plan, Root, Source, assemble, root_alone};
use super::{Running, View};
use crate::Result;
use crate::container::{ContainerRecord, MountPoint};
use crate::services::Services;

/// What a view is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To read.
    Read,
    /// To write.
    Write,
}

impl View {
    /// The files of a running container. Blocking.
    pub(crate) fn running(
        services: &Services,
        record: &ContainerRecord,
        running: Running,
    ) -> Result<Self> {
        let mounts = mounts(services, record, |name| {
            Ok(services.volumes.get(name)?.mountpoint)
        })?;
        let plan = Plan {
            root: Root::Running(running),
            mounts,
            memory: memory(record),
            make_places: false,
        };
        assemble(plan, &services.config.exec_root)
    }

    /// The root file system of a running container, without all that is mounted in it. Blocking.
    pub(crate) fn running_root(running: &Running) -> Result<Self> {
        root_alone(running)
    }

    /// The root file system of a container without processes, without all that is mounted in it. Blocking.
    pub(crate) fn stopped_root(services: &Services, record: &ContainerRecord) -> Result<Self> {
        let root = services.snapshots.mounts(&record.id)?.frozen().mount()?;
        Ok(Self {
            root,
            _namespace: None,
        })
    }
}

/// The files of a container without processes. Blocking.
///
/// The caller holds its lifecycle lock: here, and as long as it has the view if that is one to write.
pub(crate) fn stopped(
    services: &Services,
    record: &ContainerRecord,
    purpose: Purpose,
) -> Result<View> {
    let volumes: Vec<&str> = record
        .mounts
        .iter()
        .filter(|point| point.kind == MountKind::Volume)
        .map(|point| point.name.as_str())
        .collect();
    let view = mounted(services, record, purpose);
    // The view has copies of the mounts.
    for name in volumes {
        crate::lifecycle::report("unmount volume", services.volumes.unmount(name, &record.id));
    }
    view
}

fn mounted(services: &Services, record: &ContainerRecord, purpose: Purpose) -> Result<View> {
    let mounts = mounts(services, record, |name| {
        Ok(services.volumes.mount(name, &record.id)?)
    })?;
    let snapshot = services.snapshots.mounts(&record.id)?;
    let put_together = |root, make_places| {
        let plan = Plan {
            root: Root::Mounted(root),
            mounts: mounts.clone(),
            memory: Vec::new(),
            make_places,
        };
        assemble(plan, &services.config.exec_root)
    };
    if purpose == Purpose::Write {
        return put_together(snapshot.mount()?, true);
    }
    if !record.started_before && !record.mounts.is_empty() {
        // Looking makes the places for the mounts, as in Docker; the first start would.
        drop(put_together(snapshot.mount()?, true)?);
    }
    put_together(snapshot.frozen().mount()?, false)
}

/// All that is mounted in a container but memory; `volume` says where the volume of a name is.
fn mounts(
    services: &Services,
    record: &ContainerRecord,
    volume: impl Fn(&str) -> Result<PathBuf>,
) -> Result<Vec<Mount>> {
    let mut mounts = own_files(services, record);
    for point in &record.mounts {
        let source = match (point.kind, &point.chain) {
            (MountKind::Volume, _) => Source::Path(volume(&point.name)?),
            (MountKind::Bind, _) => Source::Path(PathBuf::from(&point.source)),
            (MountKind::Image, Some(chain)) => Source::Layers(services.snapshots.view(chain)?),
            _ => continue,
        };
        mounts.push(Mount {
            writable: point.rw && point.kind != MountKind::Image,
            source,
            below: PathBuf::from(&point.subpath),
            target: PathBuf::from(&point.destination),
            recursive: point.options.iter().all(|option| option != "bind"),
        });
    }
    Ok(mounts)
}

/// The files of the engine's that a container has in its `/etc`; those that are missing are left out later.
fn own_files(services: &Services, record: &ContainerRecord) -> Vec<Mount> {
    let owner = match &record.host.network_mode {
        NetworkMode::Container(other) => services.find(other).map(|other| other.id.clone()).ok(),
        _ => Some(record.id.clone()),
    };
    let Some(folder) = owner.map(|id| services.folder(&id)) else {
        return Vec::new();
    };
    let file = |name: &str| Mount {
        source: Source::Path(folder.join(name)),
        below: PathBuf::new(),
        target: PathBuf::from("/etc").join(name),
        writable: !record.host.readonly_rootfs,
        recursive: false,
    };
    ["hosts", "hostname", "resolv.conf"]
        .map(file)
        .into_iter()
        .filter(|file| {
            let taken = |point: &MountPoint| file.target == Path::new(&point.destination);
            !record.mounts.iter().any(taken)
        })
        .collect()
}

/// Where a running container has memory file systems of its own.
fn memory(record: &ContainerRecord) -> Vec<PathBuf> {
    let long = record
        .mounts
        .iter()
        .filter(|point| point.kind == MountKind::Tmpfs)
        .map(|point| PathBuf::from(&point.destination));
    let short = record.host.tmpfs.keys().map(PathBuf::from);
    long.chain(short).collect()
}
