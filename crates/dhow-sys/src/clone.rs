//! `clone3` as a richer `fork`: new namespaces, a target cgroup and a pidfd in one call.
//!
//! The child goes on with a copy of the caller's memory, as after `fork`. That is sound only where no other thread
//! could hold a lock at that moment, so [`clone3`] refuses to work in a process with more than one thread.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::call::check;

/// What the child starts with; the default is a plain `fork` that also returns a pidfd.
#[derive(Debug, Default, Clone, Copy)]
pub struct CloneOptions<'a> {
    /// New namespaces (`CLONE_NEW*`), or 0.
    pub namespaces: u64,
    /// The v2 cgroup the child is born in, as a descriptor of its directory (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Make the child a child of the caller's parent (`CLONE_PARENT`).
    pub sibling: bool,
}

/// A process made by [`clone3`], seen by its parent.
#[derive(Debug)]
pub struct Process {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// A descriptor of it, close-on-exec, readable when it has ended.
    pub pidfd: OwnedFd,
}

/// On which side of the clone the caller is.
#[derive(Debug)]
pub enum Cloned {
    /// In the new process. It must end in `execve` or [`crate::exec::exit`].
    Child,
    /// In the old one.
    Parent(Process),
}

/// Clones the calling process.
///
/// # Errors
/// The kernel's, or `EDEADLK` where the calling process has more than one thread.
pub fn clone3(options: &CloneOptions<'_>) -> io::Result<Cloned> {
    if !is_single_threaded()? {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    let mut pidfd: libc::c_int = -1;
    let mut flags = options.namespaces | flag(libc::CLONE_PIDFD);
    if options.cgroup.is_some() {
        flags |= 0x2_0000_0000; // CLONE_INTO_CGROUP, which libc has as a type too small for it
    }
    // A sibling may not have an exit signal of its own: it takes the caller's.
    let exit_signal = if options.sibling { 0 } else { libc::SIGCHLD };
    if options.sibling {
        flags |= flag(libc::CLONE_PARENT);
    }
    let args = CloneArgs {
        flags,
        pidfd: (&raw mut pidfd).addr() as u64,
        exit_signal: u64::from(exit_signal.unsigned_abs()),
        cgroup: options
            .cgroup
            .map_or(0, |fd| u64::from(fd.as_raw_fd().unsigned_abs())),
        ..CloneArgs::default()
    };
    // SAFETY: `args` is a valid clone_args of the size told, `pidfd` outlives the call, no memory is shared and no
    // stack is given, so the child goes on as after fork(2); it is the only thread, so no lock is held for ever.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel stored a new descriptor there, which nobody else knows.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Ok(Cloned::Parent(Process { pid, pidfd }))
}

/// Whether the calling process has one thread only.
///
/// # Errors
/// When `/proc` is not there.
pub fn is_single_threaded() -> io::Result<bool> {
    // The directory has one link for itself, one for its entry and one for each thread.
    let stat = rustix::fs::stat("/proc/self/task")?;
    Ok(stat.st_nlink == 3)
}

fn flag(value: libc::c_int) -> u64 {
    u64::from(value.unsigned_abs())
}

/// `struct clone_args` of `linux/sched.h`, version 2 (Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}
