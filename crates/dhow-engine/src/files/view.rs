//! The view itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags, StatxFlags, fstatvfs, openat, statx};
use rustix::io::Errno;

use crate::container::ContainerRecord;
use crate::supervisor::Task;

/// A container's files.
#[derive(Debug)]
pub(crate) struct View {
    pub(super) root: OwnedFd,
    /// The namespace that holds the mounts together; a view of one mount alone has none.
    pub(super) _namespace: Option<OwnedFd>,
}

/// Where something in a view may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// It is in the root file system.
    Root,
    /// It is in something mounted, which can be written to.
    Writable,
    /// It is in something mounted read-only.
    ReadOnly,
}

impl View {
    /// The root directory, for `openat2`.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// On what `place`, opened within the view, stands.
    pub(crate) fn ground(&self, place: BorrowedFd<'_>) -> Result<Ground, Errno> {
        if mount_id(place)? == mount_id(self.root())? {
            return Ok(Ground::Root);
        }
        let flags = fstatvfs(place)?.f_flag;
        Ok(match flags.contains(StatVfsMountFlags::RDONLY) {
            true => Ground::ReadOnly,
            false => Ground::Writable,
        })
    }
}

fn mount_id(place: BorrowedFd<'_>) -> Result<u64, Errno> {
    Ok(statx(place, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}

/// The mount namespace of a container that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) namespace: OwnedFd,
}

impl Running {
    /// That of the container's init; `None` when it has ended.
    ///
    /// The number of a process is no proof that it is the one that was meant, so its directory is opened first and the
    /// supervisor, whose child it is, asked then: if it still has it, the directory was the right one.
    pub(crate) async fn find(record: &ContainerRecord, task: Option<Task>) -> Option<Self> {
        let task = task.filter(|_| record.state.status.has_process())?;
        let path = format!("/proc/{}", record.state.pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        let state = task.state().await.ok()?;
        if state.pid != record.state.pid || state.exit.is_some() {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = openat(&process, "ns/mnt", flags, Mode::empty()).ok()?;
        Some(Self { namespace })
    }
}
