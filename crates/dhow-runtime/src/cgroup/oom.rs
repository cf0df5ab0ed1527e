//! Being told when the kernel kills for want of memory.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify;

use super::{Error, files};

/// Tells of out-of-memory kills: its descriptor becomes readable; then ask [`super::Cgroup::oom_kills`].
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
}

impl OomWatch {
    /// v1: an eventfd bound to `memory.oom_control`.
    pub(super) fn v1(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("memory.oom_control");
        let failed = |source: io::Error| Error::File {
            action: "watch".into(),
            path: path.clone(),
            source,
        };
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| failed(error.into()))?;
        let control = std::fs::File::open(&path).map_err(failed)?;
        let line = format!("{} {}", fd.as_raw_fd(), control.as_raw_fd());
        files::write(directory, "cgroup.event_control", &line)?;
        Ok(Self { fd })
    }

    /// v2: inotify on `memory.events`.
    pub(super) fn v2(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("memory.events");
        let failed = |source: rustix::io::Errno| Error::File {
            action: "watch".into(),
            path: path.clone(),
            source: source.into(),
        };
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let fd = inotify::init(flags).map_err(failed)?;
        inotify::add_watch(&fd, &path, inotify::WatchFlags::MODIFY).map_err(failed)?;
        Ok(Self { fd })
    }

    /// The descriptor to poll for reading.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Takes what is pending, so that the descriptor is not readable any more. On v1 it becomes readable for good when
    /// the group is removed: stop watching then.
    ///
    /// # Errors
    /// The kernel's.
    pub fn drain(&self) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            match rustix::io::read(&self.fd, &mut buffer) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
