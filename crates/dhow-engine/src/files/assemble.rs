//! Putting a view together, on a thread that is used for nothing else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_archive::{find_place, make_place};
use dhow_snapshot::Mounts;
use dhow_sys::mount::{MountAttributes, attr, set_attributes};
use dhow_sys::namespace::{join, kind, unshare};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount_change, move_mount, open_tree,
};

use super::{Running, View};
use crate::{Error, Result};

/// `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;

/// What a view is made of.
#[derive(Debug)]
pub(super) struct Plan {
    /// The root file system.
    pub(super) root: Root,
    /// What is mounted in it, each before what is below it.
    pub(super) mounts: Vec<Mount>,
    /// Memory file systems to take over from the running container.
    pub(super) memory: Vec<PathBuf>,
    /// Make the places for the mounts where they are missing, rather than leave the mounts out.
    pub(super) make_places: bool,
}

/// Where a view's root file system comes from.
#[derive(Debug)]
pub(super) enum Root {
    /// The container has it mounted.
    Running(Running),
    /// A detached mount.
    Mounted(OwnedFd),
}

/// Where a mount comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A path of the host.
    Path(PathBuf),
    /// The layers of an image.
    Layers(Mounts),
}

/// Something to mount.
#[derive(Debug, Clone)]
pub(super) struct Mount {
    /// What is mounted.
    pub(super) source: Source,
    /// A path below it that must not lead out of it.
    pub(super) below: PathBuf,
    /// The path within the container.
    pub(super) target: PathBuf,
    /// Whether it can be written to.
    pub(super) writable: bool,
    /// Whether what is mounted below the source comes along.
    pub(super) recursive: bool,
}

/// Puts a view together; `place` is any directory of the host. Blocking.
pub(super) fn assemble(plan: Plan, place: &Path) -> Result<View> {
    on_own_thread(|| put_together(&plan, place))
}

/// The root file system of a running container alone, nothing mounted in it. Blocking.
pub(super) fn root_alone(running: &Running) -> Result<View> {
    on_own_thread(|| {
        let own = own_namespace()?;
        let (root, _) = within(running, &own, &[])?;
        restrict(&root, true, false)?;
        Ok(View {
            root,
            _namespace: None,
        })
    })
}

/// Runs `work` on a thread that ends with it, as it changes what the thread sees.
fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("view".into())
            .stack_size(256 * 1024)
            .spawn_scoped(scope, work)
            .map_err(failed("start a thread for"))?;
        thread
            .join()
            .unwrap_or_else(|_| Err(Error::Refused("the thread of a view panicked".into())))
    })
}

/// Moves the thread into a mount namespace of its own, in which nothing spreads to others; gives the namespace.
fn own_namespace() -> Result<OwnedFd> {
    unshare(kind::MOUNT).map_err(failed("make a namespace for"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(errno("separate the mounts of"))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open("/proc/thread-self/ns/mnt", flags, Mode::empty())
        .map_err(errno("find the namespace of"))
}

fn put_together(plan: &Plan, place: &Path) -> Result<View> {
    let own = own_namespace()?;
    // While paths are still the host's.
    let place = openat(CWD, place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(errno("find a place for"))?;
    let mut trees = Vec::new();
    for mount in &plan.mounts {
        let tree = match &mount.source {
            Source::Path(path) => host_tree(path, mount)?,
            Source::Layers(layers) => image_tree(layers, mount, &place)?,
        };
        if let Some(tree) = tree {
            restrict(&tree, mount.writable, true)?;
            trees.push((mount.target.clone(), tree));
        }
    }
    let root = match &plan.root {
        Root::Running(running) => {
            let (root, memory) = within(running, &own, &plan.memory)?;
            trees.extend(memory);
            root
        }
        Root::Mounted(root) => root.try_clone().map_err(failed("copy a descriptor of"))?,
    };
    restrict(&root, true, false)?;
    attach(&root, &place)?;
    // Something mounted must not hide what was mounted below it.
    trees.sort_by_key(|(target, _)| target.components().count());
    for (target, tree) in trees {
        let stat = fstat(&tree).map_err(errno("look at a mount of"))?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let place = match plan.make_places {
            true => Some(make_place(root.as_fd(), &target, directory)?),
            false => find_place(root.as_fd(), &target)?,
        };
        if let Some(place) = place {
            attach(&tree, &place)?;
        }
    }
    Ok(View {
        root,
        _namespace: Some(own),
    })
}

/// A copy of what is mounted at a path of the host; `None` when there is nothing.
fn host_tree(path: &Path, mount: &Mount) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened =
        rustix::fs::open(path, flags, Mode::empty()).and_then(|source| below(source, &mount.below));
    match opened {
        Ok(source) => clone(&source, mount.recursive).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(errno("open a mount of")(error)),
    }
}

/// An image's layers, mounted, or a copy of what is below them; `None` when that is missing.
fn image_tree(layers: &Mounts, mount: &Mount, place: &OwnedFd) -> Result<Option<OwnedFd>> {
    let tree = layers.mount()?;
    if mount.below.as_os_str().is_empty() {
        return Ok(Some(tree));
    }
    // Only of what is attached somewhere can a part be copied.
    attach(&tree, place)?;
    match below(tree, &mount.below) {
        Ok(source) => clone(&source, false).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(errno("open a mount of")(error)),
    }
}

/// What is at `path` below `folder`, or the folder itself.
fn below(folder: OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    if path.as_os_str().is_empty() {
        return Ok(folder);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(&folder, path, flags, Mode::empty(), resolve)
}

/// Clones the root and those memory file systems within a running container's namespace, and comes back.
fn within(
    running: &Running,
    own: &OwnedFd,
    memory: &[PathBuf],
) -> Result<(OwnedFd, Vec<(PathBuf, OwnedFd)>)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let home = rustix::fs::open("/", flags, Mode::empty()).map_err(errno("find the root of"))?;
    join(running.namespace.as_fd(), kind::MOUNT).map_err(failed("enter the namespace of"))?;
    // From here on every path is the container's: nothing but the kernel is asked, and only about these.
    let cloned = clone_within(memory);
    join(own.as_fd(), kind::MOUNT).map_err(failed("leave the namespace of"))?;
    rustix::process::fchdir(&home)
        .and_then(|()| rustix::process::chroot("."))
        .map_err(errno("leave the root of"))?;
    cloned
}

fn clone_within(memory: &[PathBuf]) -> Result<(OwnedFd, Vec<(PathBuf, OwnedFd)>)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open("/", flags, Mode::empty()).map_err(errno("open the root of"))?;
    let mut trees = Vec::new();
    for target in memory {
        let Some(place) = find_place(top.as_fd(), target)? else {
            continue;
        };
        // The container may have put something else there.
        let kind = fstatfs(&place).map_err(errno("look at a mount of"))?.f_type;
        if kind == TMPFS {
            trees.push((target.clone(), clone(&place, false)?));
        }
    }
    Ok((clone(&top, false)?, trees))
}

fn clone(place: &OwnedFd, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(place, "", flags).map_err(errno("copy a mount of"))
}

/// Makes a tree harmless: nothing in it can be executed or opened as a device, and it spreads nowhere.
fn restrict(tree: &OwnedFd, writable: bool, recursive: bool) -> Result<()> {
    let mut set = attr::NODEV | attr::NOSUID | attr::NOEXEC;
    if !writable {
        set |= attr::RDONLY;
    }
    let attributes = MountAttributes {
        set,
        propagation: u64::from(MountPropagationFlags::PRIVATE.bits()),
        ..MountAttributes::default()
    };
    set_attributes(tree.as_fd(), c"", recursive, &attributes).map_err(failed("restrict a mount of"))
}

fn attach(tree: &OwnedFd, place: &OwnedFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags).map_err(errno("attach a mount of"))
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::View { step, source }
}

fn errno(step: &'static str) -> impl FnOnce(Errno) -> Error {
    move |source| Error::View {
        step,
        source: source.into(),
    }
}
