//! `execve`, and what is set on a process just before it.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::OpenTreeFlags;

use crate::call::{check, check_int};
use crate::mount::{MountAttributes, attr, set_attributes};

/// Replaces the program of the process; returns only on failure.
///
/// # Errors
/// The kernel's.
pub fn execve(path: &CStr, args: &[CString], env: &[CString]) -> io::Result<Infallible> {
    let args = pointers(args);
    let env = pointers(env);
    // SAFETY: `path` is a C string, both arrays end with a null pointer, and all of them outlive the call.
    check_int(unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) })?;
    Err(io::Error::other("execve returned without an error"))
}

/// The running program as a file that nobody can write to through it, for processes that will enter containers: run
/// `/proc/self/fd/<number>` of it.
///
/// Whoever is root in a container may open `/proc/<pid>/exe` of a process of ours that has entered it, and once that has
/// ended, write to the file (CVE-2019-5736). This file is on a read-only mount of its own, which is attached nowhere and
/// so can't be made writable.
///
/// # Errors
/// The kernel's: without CAP_SYS_ADMIN it can't be had.
pub fn protected_self() -> io::Result<OwnedFd> {
    protected(Path::new("/proc/self/exe"))
}

/// As [`protected_self`], of the program at `path`.
///
/// # Errors
/// The kernel's: without CAP_SYS_ADMIN it can't be had.
pub fn protected(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let file = rustix::mount::open_tree(rustix::fs::CWD, path, flags)?;
    let read_only = MountAttributes {
        set: attr::RDONLY,
        ..MountAttributes::default()
    };
    set_attributes(file.as_fd(), c"", false, &read_only)?;
    Ok(file)
}

/// Whether the running program is a file that nobody can write to through it.
///
/// # Errors
/// When `/proc` is not there.
pub fn is_protected() -> io::Result<bool> {
    let mount = rustix::fs::statvfs("/proc/self/exe")?;
    Ok(mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Ends the process when it is dropped: for the child of a clone, whose panic must not unwind into the parent's code.
#[derive(Debug)]
pub struct EndOnUnwind;

impl Drop for EndOnUnwind {
    fn drop(&mut self) {
        exit(101);
    }
}

/// Replaces the program of the process, which keeps its environment; returns only on failure.
///
/// # Errors
/// The kernel's.
pub fn execv(path: &CStr, args: &[CString]) -> io::Result<Infallible> {
    let args = pointers(args);
    // SAFETY: `path` is a C string, the array ends with a null pointer, and both outlive the call.
    check_int(unsafe { libc::execv(path.as_ptr(), args.as_ptr()) })?;
    Err(io::Error::other("execv returned without an error"))
}

/// Ends the process at once, without running destructors or exit handlers: for the child of a clone.
pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(code) }
}

/// Sets a resource limit (`RLIMIT_*`) of the calling process.
///
/// # Errors
/// The kernel's: `EPERM` where the hard limit would be raised without `CAP_SYS_RESOURCE`.
pub fn set_resource_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `limit` outlives the call, and the old limit is not asked for.
    check(unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    })
    .map(drop)
}

/// The soft and the hard resource limit (`RLIMIT_*`) of the calling process.
///
/// # Errors
/// The kernel's.
pub fn resource_limit(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for writing, and no new limit is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            std::ptr::null::<libc::rlimit64>(),
            &raw mut limit,
        )
    })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the execution domain (`PER_*` and flags).
///
/// # Errors
/// The kernel's.
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check_int(unsafe { libc::personality(persona) }).map(drop)
}

/// Sets the I/O scheduling class and priority of the calling process.
///
/// # Errors
/// The kernel's.
pub fn set_io_priority(class: u8, priority: u16) -> io::Result<()> {
    let value = (i32::from(class) << 13) | i32::from(priority & 0x1fff);
    // SAFETY: no memory is passed; 1 is IOPRIO_WHO_PROCESS, 0 the caller.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, value) }).map(drop)
}

/// `struct sched_attr` of `linux/sched/types.h`, its first version.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub struct SchedulerAttributes {
    /// The size of this structure; filled in by [`set_scheduler`].
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For the ordinary policies.
    pub nice: i32,
    /// For the real-time policies.
    pub priority: u32,
    /// For `SCHED_DEADLINE`, in nanoseconds.
    pub runtime: u64,
    /// For `SCHED_DEADLINE`, in nanoseconds.
    pub deadline: u64,
    /// For `SCHED_DEADLINE`, in nanoseconds.
    pub period: u64,
}

/// Sets the scheduling policy of the calling thread.
///
/// # Errors
/// The kernel's.
pub fn set_scheduler(attributes: SchedulerAttributes) -> io::Result<()> {
    let attributes = SchedulerAttributes {
        size: 48,
        ..attributes
    };
    // SAFETY: the structure has the 48 bytes it says and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(drop)
}

/// Sets the memory policy of the calling thread: `MPOL_*` with its mode flags, and the nodes as a bit mask.
///
/// # Errors
/// The kernel's.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    // The kernel takes the number of bits plus one.
    let bits = if nodes.is_empty() {
        0
    } else {
        nodes.len() * 64 + 1
    };
    let mask = if nodes.is_empty() {
        std::ptr::null()
    } else {
        nodes.as_ptr()
    };
    // SAFETY: the mask has the bits told (the kernel reads one less than `bits`) and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}
