//! The view of the control groups inside a container (`/sys/fs/cgroup`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_sys::mount::attr;
use rustix::fs::{Mode, OFlags, symlinkat};

use super::options::{Change, MountPlan, Recursive};
use super::{paths, tree};
use crate::cgroup::{Cgroup, Hierarchy, Version};
use crate::failure::{Step, StepContext, errno_text};

/// The control groups as the container's mount of the type `cgroup` shows them: a tree for `mount.destination`.
pub(crate) fn view(mount: &MountPlan, cgroup: &Cgroup, own_namespace: bool) -> Step<OwnedFd> {
    match cgroup.version() {
        Version::V2 => unified(mount, cgroup, own_namespace),
        Version::V1 => by_controller(mount, cgroup, own_namespace),
    }
}

fn unified(mount: &MountPlan, cgroup: &Cgroup, own_namespace: bool) -> Step<OwnedFd> {
    let none: [&str; 0] = [];
    match tree::new("cgroup2", Path::new("cgroup"), &none, mount.attributes.set) {
        Ok(tree) => Ok(tree),
        // In a user namespace without a cgroup namespace the kernel refuses: show the host's.
        Err(error) => {
            let path = match cgroup.directory("") {
                Some(path) if own_namespace => path,
                _ => Path::new("/sys/fs/cgroup"),
            };
            let failed = || format!("cannot mount cgroup2 ({})", errno_text(&error));
            let tree = tree::clone_host(path, Recursive::Yes).step(failed)?;
            tree::change(tree.as_fd(), mount.attributes, Recursive::No).step(failed)?;
            Ok(tree)
        }
    }
}

/// On v1 the directory is a small tmpfs with a mount for each hierarchy. It has to be attached before anything can be
/// mounted in it, which is done by [`fill`].
fn by_controller(mount: &MountPlan, _: &Cgroup, _: bool) -> Step<OwnedFd> {
    let attributes =
        (mount.attributes.set | attr::NOSUID | attr::NODEV | attr::NOEXEC) & !attr::RDONLY;
    tree::new("tmpfs", Path::new("tmpfs"), &["mode=755"], attributes)
        .step(|| "cannot make the container's view of cgroups".into())
}

/// Mounts the hierarchies of v1 into the tmpfs attached at `mount.destination`.
pub(crate) fn fill(
    root: BorrowedFd<'_>,
    mount: &MountPlan,
    cgroup: &Cgroup,
    own_namespace: bool,
) -> Step {
    if cgroup.version() == Version::V2 {
        return Ok(());
    }
    let top = paths::open(root, &mount.destination, OFlags::PATH)
        .step(|| "cannot open the container's view of cgroups".into())?;
    let attributes = mount.attributes.set | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    for hierarchy in crate::cgroup::hierarchies() {
        let failed = || format!("cannot show cgroup {} in the container", hierarchy.name);
        let place = new_directory(top.as_fd(), &hierarchy.name).step(failed)?;
        let view = if own_namespace {
            own_view(hierarchy, attributes).step(failed)?
        } else {
            let Some(path) = cgroup.directory_in(&hierarchy.name) else {
                continue;
            };
            let tree = tree::clone_host(path, Recursive::No).step(failed)?;
            let change = Change {
                set: attributes,
                clear: 0,
            };
            tree::change(tree.as_fd(), change, Recursive::No).step(failed)?;
            tree
        };
        tree::attach(view.as_fd(), place.as_fd()).step(failed)?;
        for controller in hierarchy.aliases() {
            symlinkat(&*hierarchy.name, &top, controller).step(failed)?;
        }
    }
    if mount.attributes.set & attr::RDONLY != 0 {
        let change = Change {
            set: attr::RDONLY,
            clear: 0,
        };
        tree::change(top.as_fd(), change, Recursive::No)
            .step(|| "cannot make the container's view of cgroups read-only".into())?;
    }
    Ok(())
}

/// A directory in the tmpfs just made, where nobody else has been.
fn new_directory(top: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::mkdirat(top, name, Mode::from(0o755))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(top, name, flags, Mode::empty())
}

fn own_view(hierarchy: &Hierarchy, attributes: u64) -> std::io::Result<OwnedFd> {
    tree::new(
        "cgroup",
        Path::new("cgroup"),
        &hierarchy.mount_options(),
        attributes,
    )
}
