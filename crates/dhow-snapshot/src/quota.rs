//! Limits of what containers write, where the file system has project quotas (ext4 and xfs, mounted with `prjquota`).
//!
//! Each limited snapshot is a project of its own: its upper directory, and overlayfs' work directory beside it, as files
//! can't be renamed from one project into another. The number is kept nowhere but on the directory itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dhow_sys::quota;
use rustix::fs::{Mode, OFlags};

use crate::{Error, Snapshots};

/// Where the search for a free project begins: other programs count from 1.
const FIRST: u32 = 0x4000_0000;
static CHOOSING: Mutex<()> = Mutex::new(());

/// How many projects are looked at.
const MOST: u32 = 1 << 20;

impl Snapshots {
    /// Whether what containers write can be limited.
    #[must_use]
    pub fn has_quotas(&self) -> bool {
        open(&self.folders.root).is_ok_and(|root| has_quotas(root.as_fd()))
    }

    /// Limits what is written to a snapshot to so many bytes; best before anything is.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], or the file system has no project quotas.
    pub fn limit(&self, key: &str, bytes: u64) -> Result<(), Error> {
        let upper = self.upper(key)?;
        let folder = self.folders.active(key)?;
        let failed = |e: io::Error| Error::file("limit", &folder, e);
        let root = open(&upper).map_err(failed)?;
        // A project is taken as soon as the directories are in it.
        let _choosing = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
        let project = free(root.as_fd()).map_err(failed)?;
        // The limit is there before anything counts.
        quota::limit(root.as_fd(), project, bytes).map_err(failed)?;
        for directory in [&upper, &folder.join("work")] {
            let directory = open(directory).map_err(failed)?;
            quota::set_project(directory.as_fd(), project).map_err(failed)?;
        }
        Ok(())
    }

    /// Takes the limit of a snapshot that goes away back, so that its project is free again.
    pub(crate) fn free_quota(folder: &Path) {
        let Ok(upper) = open(&folder.join("upper")) else {
            return;
        };
        let project = quota::project(upper.as_fd()).unwrap_or_default();
        if project >= FIRST {
            // One that can't be taken back limits nothing: the next one with that project sets its own.
            let _ = quota::limit(upper.as_fd(), project, 0);
        }
    }
}

/// Whether limits of projects count on the file system: one without says so, whichever project is asked for.
fn has_quotas(at: BorrowedFd<'_>) -> bool {
    match quota::usage(at, FIRST) {
        Ok(_) => true,
        // The file system has them, and nothing is known of that project.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// A project without files.
fn free(at: BorrowedFd<'_>) -> io::Result<u32> {
    for project in FIRST..FIRST + MOST {
        match quota::usage(at, project) {
            Ok(usage) if usage.files == 0 => return Ok(project),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(project),
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::QuotaExceeded.into())
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
