//! The standard streams of a process.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Uid, fchown, fstat};

use crate::failure::{Step, StepContext};
use crate::request::Stdio;

/// Makes the streams the standard ones; a terminal has been put there before.
pub(crate) fn connect(stdio: &Stdio<'_>, terminal: Option<BorrowedFd<'_>>) -> Step {
    let failed = || "cannot set the standard streams".to_owned();
    match (stdio, terminal) {
        (_, Some(slave)) => {
            dhow_sys::fds::set_stdio(slave, slave, slave).step(failed)?;
            dhow_sys::pty::make_controlling(slave).step(|| "cannot set the terminal".into())
        }
        (
            Stdio::Pipes {
                stdin,
                stdout,
                stderr,
            },
            None,
        ) => dhow_sys::fds::set_stdio(*stdin, *stdout, *stderr).step(failed),
        (Stdio::Inherit | Stdio::Terminal { .. }, None) => Ok(()),
    }
}

/// Gives the streams to the user of the process, so that it can open `/dev/stdout` and its like.
pub(crate) fn give(uid: u32) {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let Ok(stat) = fstat(stream) else { continue };
        // The null device belongs to everybody.
        let null = stat.st_rdev == rustix::fs::makedev(1, 3);
        if stat.st_uid != uid && !null {
            // Not everything can be given away (a file on a read-only mount, one of another user namespace).
            let _ = fchown(stream, Some(Uid::from_raw(uid)), None);
        }
    }
}
