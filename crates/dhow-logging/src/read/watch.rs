//! Waiting for a log to change.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;

use crate::Error;

/// Watches a log's folder.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    /// Watches the folder of the log file at `path`; it must exist.
    pub(crate) fn new(path: &Path) -> Result<Self, Error> {
        let failed = |source: rustix::io::Errno| Error::Watch {
            path: path.into(),
            source: source.into(),
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
            .map_err(failed)?;
        let events = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE;
        inotify::add_watch(&inotify, folder, events).map_err(failed)?;
        Ok(Self { inotify })
    }

    /// Forgets what was reported so far.
    pub(crate) fn drain(&self) {
        let mut buffer = [0; 4096];
        // Ends with "would block", the usual way, or on an error the next wait will report.
        while rustix::io::read(&self.inotify, &mut buffer).is_ok_and(|length| length > 0) {}
    }

    /// Waits for a change; false if `stop` was ready instead.
    pub(crate) fn wait(&self, stop: BorrowedFd<'_>) -> io::Result<bool> {
        let mut descriptors = [
            PollFd::new(&self.inotify, PollFlags::IN),
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
        ];
        loop {
            match poll(&mut descriptors, None) {
                Ok(_) => return Ok(descriptors[1].revents().is_empty()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
