//! One mount of the specification, made below the container's root.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_sys::mount::attr;
use rustix::fs::OFlags;

use super::options::{Change, MountPlan, Recursive};
use super::plan::RootfsPlan;
use super::{cgroups, copy_up, overlay, paths, tree};
use crate::failure::{Failure, Step, StepContext};

/// Makes `mount` below `root`.
pub(crate) fn make(plan: &RootfsPlan, root: BorrowedFd<'_>, mount: &MountPlan) -> Step {
    if mount.id_mapped.is_some() {
        return Err(failed(mount, "id-mapped mounts are not supported yet"));
    }
    if is_inside_proc(&mount.destination) {
        return Err(in_proc(mount));
    }
    match (mount.bind, mount.kind.as_str()) {
        (Some(recursive), _) => bind(root, mount, recursive),
        (None, "cgroup") => cgroup(plan, root, mount),
        (None, "proc" | "sysfs") => kernel(root, mount),
        (None, "tmpfs") => tmpfs(root, mount),
        (None, "overlay") if overlay::is_layers(mount) => {
            let tree = overlay::layers(mount).step(|| what(mount))?;
            at_place(root, mount, tree)
        }
        (None, _) => other(root, mount),
    }
}

fn bind(root: BorrowedFd<'_>, mount: &MountPlan, recursive: Recursive) -> Step {
    let tree = match &mount.subpath {
        None => tree::clone_host(&mount.source, recursive).step(|| what(mount))?,
        Some(subpath) => {
            let source = paths::open_host(&mount.source).step(|| what(mount))?;
            below(source.as_fd(), subpath, recursive).step(|| what(mount))?
        }
    };
    at_place(root, mount, tree)
}

/// A copy of what is at `subpath` below `source`, which it can't lead out of.
fn below(source: BorrowedFd<'_>, subpath: &Path, recursive: Recursive) -> io::Result<OwnedFd> {
    let place = paths::open_below(source, subpath)?;
    tree::clone_at(place.as_fd(), recursive)
}

/// Puts a tree over what is at the destination: a directory over a directory, a file over a file.
fn at_place(root: BorrowedFd<'_>, mount: &MountPlan, tree: OwnedFd) -> Step {
    let place = if paths::is_directory(tree.as_fd()).step(|| what(mount))? {
        place(root, mount)?
    } else {
        let place = paths::make_file(root, &mount.destination).step(|| what(mount))?;
        if paths::is_directory(place.as_fd()).step(|| what(mount))? {
            return Err(failed(mount, "not a directory"));
        }
        place
    };
    finish(mount, tree, place)
}

fn kernel(root: BorrowedFd<'_>, mount: &MountPlan) -> Step {
    // A link there could put the container's view of the kernel where the image wants it. What was looked at is what is
    // mounted on: looked up a second time, it could have become a link.
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let place = match paths::open(root, &mount.destination, flags) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => place(root, mount)?,
        Err(error) => return Err(error).step(|| what(mount)),
    };
    if !paths::is_directory(place.as_fd()).step(|| what(mount))? {
        let text = format!(
            "filesystem {:?} must be mounted on ordinary directory",
            mount.kind
        );
        return Err(failed(mount, &text));
    }
    new(mount, place)
}

fn tmpfs(root: BorrowedFd<'_>, mount: &MountPlan) -> Step {
    // What the image has there gives its mode to the new file system, unless an option says another.
    let there = paths::open(root, &mount.destination, OFlags::PATH | OFlags::DIRECTORY).ok();
    let mode = match &there {
        Some(place) => {
            let stat = rustix::fs::fstat(place).step(|| what(mount))?;
            Some(format!("mode={:o}", stat.st_mode & 0o7777))
        }
        None => None,
    };
    let place = place(root, mount)?;
    let data: Vec<&str> = mode
        .iter()
        .map(String::as_str)
        .chain(mount.data.iter().map(String::as_str))
        .collect();
    let attributes = if mount.copy_up {
        mount.attributes.set & !attr::RDONLY
    } else {
        mount.attributes.set
    };
    let tree = tree::new("tmpfs", &mount.source, &data, attributes).step(|| what(mount))?;
    if mount.copy_up && there.is_some() {
        let from = paths::open(root, &mount.destination, OFlags::RDONLY | OFlags::DIRECTORY)
            .step(|| what(mount))?;
        let to = paths::open(
            tree.as_fd(),
            Path::new("/"),
            OFlags::RDONLY | OFlags::DIRECTORY,
        )
        .step(|| what(mount))?;
        copy_up::copy(from.as_fd(), to.as_fd()).step(|| what(mount))?;
    }
    finish(mount, tree, place)
}

fn other(root: BorrowedFd<'_>, mount: &MountPlan) -> Step {
    let place = place(root, mount)?;
    new(mount, place)
}

/// Mounts a new file system on `place`.
fn new(mount: &MountPlan, place: OwnedFd) -> Step {
    // Old names for what is the default of the kernel.
    let data: Vec<&str> = mount
        .data
        .iter()
        .map(String::as_str)
        .filter(|option| *option != "newinstance")
        .collect();
    let tree =
        tree::new(&mount.kind, &mount.source, &data, mount.attributes.set).step(|| what(mount))?;
    finish(mount, tree, place)
}

fn cgroup(plan: &RootfsPlan, root: BorrowedFd<'_>, mount: &MountPlan) -> Step {
    let (cgroup, own_namespace) = &plan.cgroup;
    let place = place(root, mount)?;
    let tree = cgroups::view(mount, cgroup, *own_namespace)?;
    for (kind, recursive) in &mount.propagation {
        tree::propagate(tree.as_fd(), *kind, *recursive).step(|| what(mount))?;
    }
    guard_proc(mount, tree.as_fd(), place.as_fd())?;
    tree::attach(tree.as_fd(), place.as_fd()).step(|| what(mount))?;
    cgroups::fill(root, mount, cgroup, *own_namespace)
}

fn place(root: BorrowedFd<'_>, mount: &MountPlan) -> Step<OwnedFd> {
    paths::make_directory(root, &mount.destination, 0o755).step(|| what(mount))
}

/// What may be hidden in `/proc`: single files that only tell something (lxcfs shows its own in their place).
const IN_PROC: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// Whether the destination is in `/proc` where nothing may be.
fn is_inside_proc(destination: &Path) -> bool {
    let below = destination.strip_prefix("/proc");
    below.is_ok_and(|rest| rest.components().next().is_some()) && !may_be_in_proc(destination)
}

fn may_be_in_proc(destination: &Path) -> bool {
    IN_PROC
        .iter()
        .any(|allowed| destination.components().eq(Path::new(allowed).components()))
}

/// Refuses to put anything in the kernel's place: a file system of the user's at `/proc` would be asked for what the
/// kernel knows, and what is inside of `/proc` protects the host.
fn guard_proc(mount: &MountPlan, tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Step {
    let at_top = mount
        .destination
        .components()
        .eq(Path::new("/proc").components());
    if at_top && !is_proc(tree).step(|| what(mount))? {
        let text = format!(
            "{:?} cannot be mounted because it is not of type proc",
            mount.destination
        );
        return Err(failed(mount, &text));
    }
    if !at_top && is_proc(place).step(|| what(mount))? && !may_be_in_proc(&mount.destination) {
        return Err(in_proc(mount));
    }
    Ok(())
}

fn in_proc(mount: &MountPlan) -> Failure {
    let text = format!(
        "{:?} cannot be mounted because it is inside /proc",
        mount.destination
    );
    failed(mount, &text)
}

/// Whether something is the kernel's file system of processes.
fn is_proc(place: BorrowedFd<'_>) -> io::Result<bool> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    Ok(rustix::fs::fstatfs(place)?.f_type == PROC_SUPER_MAGIC)
}

/// Gives the tree its attributes and puts it in its place.
fn finish(mount: &MountPlan, tree: OwnedFd, place: OwnedFd) -> Step {
    guard_proc(mount, tree.as_fd(), place.as_fd())?;
    let done: io::Result<()> = (|| {
        if mount.bind.is_some() || mount.copy_up || mount.kind == "overlay" {
            tree::change(tree.as_fd(), mount.attributes, Recursive::No)?;
        } else if mount.attributes.set & attr::ATIME != 0 {
            let access = Change {
                set: mount.attributes.set & attr::ATIME,
                clear: attr::ATIME,
            };
            tree::change(tree.as_fd(), access, Recursive::No)?;
        }
        tree::change(tree.as_fd(), mount.recursive, Recursive::Yes)?;
        for (kind, recursive) in &mount.propagation {
            tree::propagate(tree.as_fd(), *kind, *recursive)?;
        }
        tree::attach(tree.as_fd(), place.as_fd())
    })();
    done.step(|| what(mount))
}

/// The beginning of the text about a mount that failed, in runc's words.
fn what(mount: &MountPlan) -> String {
    let source = if mount.source == Path::new("") {
        Path::new(&mount.kind)
    } else {
        &mount.source
    };
    format!(
        "error mounting {source:?} to rootfs at {:?}",
        mount.destination
    )
}

fn failed(mount: &MountPlan, why: &str) -> Failure {
    Failure::Step(format!("{}: {why}", what(mount)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_proc_is_the_kernels() {
        for (path, refused) in [
            ("/proc", false),
            ("/proc/", false),
            ("/process", false),
            ("/proc/uptime", false),
            ("/proc/sys", true),
            ("/proc/uptime/x", true),
            ("/proc/nothing", true),
            ("/x/proc/sys", false),
        ] {
            assert_eq!(is_inside_proc(Path::new(path)), refused, "{path}");
        }
    }
}
