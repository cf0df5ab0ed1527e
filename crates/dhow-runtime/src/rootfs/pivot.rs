//! Leaving the host's tree: isolating the new mount namespace, attaching the root, making it the root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags, statx};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{chdir, fchdir, pivot_root};

use super::options::{self, Recursive};
use super::plan::RootfsPlan;
use super::{paths, tree};
use crate::failure::{Step, StepContext};

/// Cuts the new mount namespace off from the host's (or leaves it joined, as the plan says).
pub(super) fn isolate(plan: &RootfsPlan) -> Step {
    let (kind, recursive) = plan.propagation;
    let mut flags = MountPropagationFlags::from_bits_retain(u32::try_from(kind).unwrap_or(0));
    if recursive == Recursive::Yes || kind == options::DEFAULT_PROPAGATION {
        flags |= MountPropagationFlags::REC;
    }
    mount_change("/", flags).step(|| "cannot change the propagation of mounts".into())?;
    if options::is_shared(kind) {
        // What is attached on a shared mount would show up on the host.
        let mount = mount_of(&plan.attach_at);
        mount_change(&mount, MountPropagationFlags::PRIVATE)
            .step(|| format!("cannot make {} private", mount.display()))?;
    }
    Ok(())
}

/// Attaches the root on its folder and gives its top.
pub(super) fn attach_root(plan: &RootfsPlan, given: Option<BorrowedFd<'_>>) -> Step<OwnedFd> {
    let failed = || "cannot attach the root file system".to_owned();
    let place = paths::open_host(&plan.attach_at)
        .step(|| format!("cannot open {}", plan.attach_at.display()))?;
    let tree = match given {
        Some(tree) => rustix::io::fcntl_dupfd_cloexec(tree, 3).step(failed)?,
        None => {
            let missing = || format!("invalid rootfs {}", plan.path.display());
            tree::clone_host(&plan.path, Recursive::Yes).step(missing)?
        }
    };
    tree::attach(tree.as_fd(), place.as_fd()).step(failed)?;
    Ok(tree)
}

/// Makes `root` the root of the calling process, and detaches the host's tree.
pub(super) fn enter(plan: &RootfsPlan, root: OwnedFd) -> Step {
    let failed = || "error jailing process inside rootfs: pivot_root".to_owned();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = rustix::fs::openat(CWD, "/", flags, rustix::fs::Mode::empty()).step(failed)?;
    fchdir(&root).step(failed)?;
    pivot_root(".", ".").step(failed)?;
    // Both are stacked now; the old one is below, and the descriptor still leads to it.
    fchdir(&old).step(failed)?;
    if options::is_shared(plan.propagation.0) {
        // Unmounting a shared tree would unmount it on the host as well.
        mount_change(
            ".",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )
        .step(failed)?;
    }
    unmount(".", UnmountFlags::DETACH).step(failed)?;
    chdir("/").step(failed)?;
    if options::is_shared(plan.propagation.0) || plan.propagation.0 == options::PRIVATE {
        let (kind, recursive) = plan.propagation;
        let mut flags = MountPropagationFlags::from_bits_retain(u32::try_from(kind).unwrap_or(0));
        if recursive == Recursive::Yes {
            flags |= MountPropagationFlags::REC;
        }
        mount_change("/", flags).step(failed)?;
    }
    Ok(())
}

/// The top of the mount that `path` is in.
fn mount_of(path: &Path) -> PathBuf {
    let mut path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    while !is_mount_root(&path) {
        if !path.pop() {
            break;
        }
    }
    path
}

fn is_mount_root(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    statx(CWD, path, flags, StatxFlags::BASIC_STATS).is_ok_and(|stat| {
        stat.stx_attributes
            .contains(rustix::fs::StatxAttributes::MOUNT_ROOT)
    })
}
