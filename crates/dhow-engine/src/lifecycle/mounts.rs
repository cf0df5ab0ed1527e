//! Volumes and bind mounts at the making, the start and the end of a container.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_snapshot::Mounts;
use dhow_volume::{ANONYMOUS_LABEL, CreateVolume};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::create::new_id;
use super::{Undo, report};
use crate::container::{ContainerRecord, MountPoint};
use crate::events::EventKind;
use crate::services::Services;
use crate::store::Undertaking;
use crate::{Error, Result};
use dhow_container::mount::{Wanted, propagation};
use dhow_container::oci::Source;
use dhow_container::spec::{Invalid, MountKind, MountSpec, Propagation};

/// Checks what must exist on the host.
pub(super) fn check(wanted: &[Wanted]) -> Result<()> {
    for point in wanted.iter().map(|mount| &mount.point) {
        if point.kind == MountKind::Bind
            && !point.create_source
            && !Path::new(&point.source).exists()
        {
            return Err(Error::Invalid(Invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                point.source
            ))));
        }
    }
    Ok(())
}

/// Makes the volumes that don't exist and refers to all of them; gives the record's list of mounts.
pub(super) fn make<'a>(
    services: &'a Services,
    record: &ContainerRecord,
    mut wanted: Vec<Wanted>,
    undo: &mut Undo<'a>,
) -> Result<Vec<MountPoint>> {
    for path in &record.config.volumes {
        let destination = dhow_container::mount::clean(path);
        let covered = wanted
            .iter()
            .any(|mount| mount.point.destination == destination);
        if !covered && !record.host.tmpfs.contains_key(path) {
            let driver = record.host.volume_driver.clone();
            let point = MountPoint {
                destination,
                driver,
                rw: true,
                copy: true,
                ..MountPoint::default()
            };
            wanted.push(Wanted { point, spec: None });
        }
    }
    let volumes = wanted.iter_mut().map(|mount| &mut mount.point);
    for point in volumes.filter(|point| point.kind == MountKind::Volume && point.name.is_empty()) {
        point.name = new_id();
        point.anonymous = true;
    }
    journal(services, &record.id, &wanted, undo)?;
    for mount in &mut wanted {
        if mount.point.kind == MountKind::Volume {
            refer(
                services,
                &record.id,
                &mut mount.point,
                mount.spec.as_ref(),
                undo,
            )?;
        }
    }
    Ok(wanted.into_iter().map(|mount| mount.point).collect())
}

/// Notes the volumes that are made for this container alone, so that a crash does not leave them behind.
fn journal<'a>(
    services: &'a Services,
    id: &str,
    wanted: &[Wanted],
    undo: &mut Undo<'a>,
) -> Result<()> {
    let anonymous = wanted.iter().filter(|mount| mount.point.anonymous);
    let volumes: Vec<String> = anonymous.map(|mount| mount.point.name.clone()).collect();
    if volumes.is_empty() {
        return Ok(());
    }
    services.journal().begin(id, &Undertaking { volumes })?;
    let id = id.to_owned();
    undo.push(move || report("end undertaking", services.journal().end(&id)));
    Ok(())
}

fn refer<'a>(
    services: &'a Services,
    id: &str,
    point: &mut MountPoint,
    spec: Option<&MountSpec>,
    undo: &mut Undo<'a>,
) -> Result<()> {
    let options = spec
        .and_then(|spec| spec.volume.clone())
        .unwrap_or_default();
    let driver = options.driver.unwrap_or_default();
    let mut labels: BTreeMap<String, String> = options.labels;
    if point.anonymous {
        labels.insert(ANONYMOUS_LABEL.into(), String::new());
    }
    let exists = !point.anonymous && services.volumes.get(&point.name).is_ok();
    let request = CreateVolume {
        name: Some(point.name.clone()),
        driver: if driver.name.is_empty() {
            point.driver.clone()
        } else {
            driver.name
        },
        options: driver.options,
        labels,
    };
    // An existing volume is taken as it is, whatever options are given now.
    let volume = if exists {
        services.volumes.get(&point.name)?
    } else {
        services.volumes.create(request)?
    };
    if !exists {
        services.tell_other(
            EventKind::Volume,
            "create",
            &volume.name,
            &[("driver", &volume.driver)],
        );
        let name = volume.name.clone();
        undo.push(move || report("remove volume", services.volumes.remove(&name, true)));
    }
    services.volumes.acquire(&volume.name, id)?;
    let (name, id) = (volume.name.clone(), id.to_owned());
    undo.push(move || report("release volume", services.volumes.release(&name, &id)));
    point.source = volume.mountpoint.to_string_lossy().into_owned();
    point.driver = volume.driver;
    Ok(())
}

/// Fills new volumes with what the image has at their destination.
pub(super) fn populate(services: &Services, id: &str, points: &[MountPoint]) -> Result<()> {
    let volumes: Vec<&MountPoint> = points
        .iter()
        .filter(|point| point.kind == MountKind::Volume && point.copy)
        .collect();
    if volumes.is_empty() {
        return Ok(());
    }
    let mounts = services.snapshots.mounts(id)?;
    if mounts.lower.is_empty() {
        return Ok(());
    }
    let image = Mounts {
        upper: None,
        work: None,
        read_only: true,
        ..mounts
    }
    .mount()?;
    for point in volumes {
        if let Some(folder) = open_in(&image, &point.destination) {
            services.volumes.populate(&point.name, folder.as_fd())?;
        }
    }
    Ok(())
}

/// A folder within a root file system; nothing when there is none.
fn open_in(root: &OwnedFd, path: &str) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()
}

/// Checks that the images to be mounted are here.
pub(super) fn check_images(services: &Services, wanted: &[Wanted]) -> Result<()> {
    for point in wanted.iter().map(|mount| &mount.point) {
        if point.kind == MountKind::Image {
            services.images.resolve(&point.name, None)?;
        }
    }
    Ok(())
}

/// Holds the layers of the images to be mounted, so that they stay while the container exists, whatever becomes of the
/// images.
pub(super) fn hold_images<'a>(
    services: &'a Services,
    record: &mut ContainerRecord,
    undo: &mut Undo<'a>,
) -> Result<()> {
    let id = record.id.clone();
    for (index, point) in record.mounts.iter_mut().enumerate() {
        if point.kind != MountKind::Image {
            continue;
        }
        let key = image_key(&id, index);
        let image = services.images.resolve(&point.name, None)?;
        point.chain = services.images.unpack(&image)?;
        services.snapshots.prepare(&key, point.chain.as_ref())?;
        undo.push(move || report("remove snapshot", services.snapshots.remove(&key)));
    }
    Ok(())
}

/// Takes [`hold_images`] back when the container is removed; goes on after a failure.
pub(super) fn release_images(services: &Services, record: &ContainerRecord) {
    for (index, point) in record.mounts.iter().enumerate() {
        if point.kind == MountKind::Image {
            let key = image_key(&record.id, index);
            report("remove snapshot", services.snapshots.remove(&key));
        }
    }
}

/// The key of the snapshot that holds the layers of the image that is the container's mount of that index.
fn image_key(id: &str, index: usize) -> String {
    format!("{id}{IMAGE_KEY}{index}")
}

/// What stands between a container's id and the number of a mount in the key of a snapshot.
const IMAGE_KEY: &str = ".image";

/// The container that a snapshot belongs to.
pub(crate) fn owner_of_snapshot(key: &str) -> &str {
    key.split(IMAGE_KEY).next().unwrap_or(key)
}

/// Mounts the volumes of a container that starts; gives what each of its mounts is made from.
pub(super) fn mount(services: &Services, record: &ContainerRecord) -> Result<Vec<Source>> {
    let mut sources = Vec::with_capacity(record.mounts.len());
    for point in &record.mounts {
        sources.push(match point.kind {
            MountKind::Volume => {
                let root = services.volumes.mount(&point.name, &record.id)?;
                tell_mount(services, record, point);
                check_subpath(&root, &point.subpath)?;
                Source::Path(root)
            }
            MountKind::Bind => Source::Path(bind_source(point)?),
            MountKind::Image => {
                let mounts = match &point.chain {
                    Some(chain) => services.snapshots.view(chain)?,
                    None => Mounts::default(),
                };
                let layers = mounts.lower.clone();
                check_image_subpath(&mounts, &point.subpath)?;
                Source::Layers(layers)
            }
            _ => Source::None,
        });
    }
    Ok(sources)
}

/// The host's path of a bind mount, made where it is missing and may be.
fn bind_source(point: &MountPoint) -> Result<PathBuf> {
    let path = PathBuf::from(&point.source);
    if !path.exists() {
        if !point.create_source {
            return Err(Error::Invalid(Invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                point.source
            ))));
        }
        std::fs::create_dir_all(&path).map_err(|source| Error::File {
            action: "error while creating mount source path",
            path: path.clone(),
            source,
        })?;
    }
    if let Ok(wish) = point.propagation.parse::<Propagation>() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        propagation::check(&mounts, &real.to_string_lossy(), wish)
            .map_err(|error| Error::Refused(error.0))?;
    }
    Ok(path)
}

/// Says in Docker's words what is wrong with a path within a volume. What is mounted is resolved once more by the
/// runtime, through descriptors: who writes to the volume could change it meanwhile.
fn check_subpath(root: &Path, subpath: &str) -> Result<()> {
    if subpath.is_empty() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let folder = rustix::fs::open(root, flags, Mode::empty());
    below(folder, &root.to_string_lossy(), subpath)
}

/// The same for an image's layers, which only the kernel can put together.
fn check_image_subpath(image: &Mounts, subpath: &str) -> Result<()> {
    if subpath.is_empty() {
        return Ok(());
    }
    below(Ok(image.mount()?), "", subpath)
}

fn below(folder: rustix::io::Result<OwnedFd>, base: &str, subpath: &str) -> Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let found = folder.and_then(|folder| openat2(folder, subpath, flags, Mode::empty(), resolve));
    let path = format!("{base}/{subpath}");
    match found {
        Ok(_) => Ok(()),
        Err(Errno::XDEV) => Err(Error::Refused(format!(
            "path concatenation escapes the base directory, base: {base}, subpath: {subpath}"
        ))),
        Err(Errno::NOENT) => Err(Error::Refused(format!(
            "cannot access path {path}: lstat {path}: no such file or directory"
        ))),
        Err(error) => Err(Error::Refused(format!(
            "cannot access path {path}: {error}"
        ))),
    }
}

fn tell_mount(services: &Services, record: &ContainerRecord, point: &MountPoint) {
    let attributes = [
        ("container", record.id.as_str()),
        ("destination", &point.destination),
        ("driver", &point.driver),
        ("propagation", &point.propagation),
        ("read/write", if point.rw { "true" } else { "false" }),
    ];
    services.tell_other(EventKind::Volume, "mount", &point.name, &attributes);
}

/// Takes [`mount`] back when the container has ended; goes on after a failure.
pub(super) fn unmount(services: &Services, record: &ContainerRecord) {
    for point in record
        .mounts
        .iter()
        .filter(|point| point.kind == MountKind::Volume)
    {
        report(
            "unmount volume",
            services.volumes.unmount(&point.name, &record.id),
        );
        let attributes = [("container", record.id.as_str()), ("driver", &point.driver)];
        services.tell_other(EventKind::Volume, "unmount", &point.name, &attributes);
    }
}
