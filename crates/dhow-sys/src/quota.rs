//! Project quotas: limits of what directory trees take, on file systems that are mounted with them.
//!
//! A *project* is a number that files have; a directory may hand its own on to whatever is made in it. The kernel counts
//! the bytes of each project's files and refuses more than its limit. See `quotactl(2)` and `ioctl_xfs_fsgetxattr(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::call::{check, check_int};

/// `quotactl_fd(2)`; the same number on all architectures.
const QUOTACTL_FD: libc::c_long = 443;
/// The kind of quotas, `PRJQUOTA`.
const PROJECT: u32 = 2;
const Q_GETQUOTA: u32 = 0x0080_0007;
const Q_SETQUOTA: u32 = 0x0080_0008;
/// The limits of blocks are meant, `QIF_BLIMITS`.
const BLOCK_LIMITS: u32 = 1;
/// The kernel's unit of limits, in bytes.
const BLOCK: u64 = 1024;

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR`.
const GET_ATTRIBUTES: u32 = 0x801c_581f;
const SET_ATTRIBUTES: u32 = 0x401c_5820;
/// Files made in the directory have its project, `FS_XFLAG_PROJINHERIT`.
const INHERIT: u32 = 0x200;

/// `struct if_dqblk`.
#[repr(C)]
#[derive(Default)]
struct Limits {
    hard: u64,
    soft: u64,
    used: u64,
    files_hard: u64,
    files_soft: u64,
    files: u64,
    block_time: u64,
    file_time: u64,
    valid: u32,
}

/// `struct fsxattr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

/// What a project takes and may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes at most; 0 for no limit.
    pub limit: u64,
    /// Bytes now.
    pub used: u64,
    /// Files now.
    pub files: u64,
}

/// What a project takes on the file system of `at`.
///
/// # Errors
/// The kernel's: `ESRCH`, `EINVAL`, `ENOSYS` or `ENOTSUP` where the file system has no project quotas.
pub fn usage(at: BorrowedFd<'_>, project: u32) -> io::Result<Usage> {
    let mut limits = Limits::default();
    call(at, Q_GETQUOTA, project, &mut limits)?;
    Ok(Usage {
        limit: limits.hard.saturating_mul(BLOCK),
        used: limits.used,
        files: limits.files,
    })
}

/// Limits a project on the file system of `at` to so many bytes; 0 takes the limit away.
///
/// # Errors
/// As [`usage`], `EPERM` without privileges.
pub fn limit(at: BorrowedFd<'_>, project: u32, bytes: u64) -> io::Result<()> {
    let blocks = bytes.div_ceil(BLOCK);
    let mut limits = Limits {
        hard: blocks,
        soft: blocks,
        valid: BLOCK_LIMITS,
        ..Limits::default()
    };
    call(at, Q_SETQUOTA, project, &mut limits)
}

fn call(at: BorrowedFd<'_>, command: u32, project: u32, limits: &mut Limits) -> io::Result<()> {
    // SAFETY: the call reads or writes one `struct if_dqblk`, which `limits` is and which outlives it.
    check(unsafe {
        libc::syscall(
            QUOTACTL_FD,
            at.as_raw_fd(),
            command << 8 | PROJECT,
            project,
            &raw mut *limits,
        )
    })
    .map(drop)
}

/// The project of a directory.
///
/// # Errors
/// The kernel's: `ENOTTY` where the file system knows no projects.
pub fn project(directory: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(attributes(directory)?.project)
}

/// Makes a directory part of a project, with whatever is made in it from now on.
///
/// # Errors
/// As [`project`], `EPERM` without privileges.
pub fn set_project(directory: BorrowedFd<'_>, project: u32) -> io::Result<()> {
    let mut attributes = attributes(directory)?;
    attributes.project = project;
    attributes.flags |= INHERIT;
    // SAFETY: the call reads one `struct fsxattr`, which outlives it.
    check_int(unsafe {
        libc::ioctl(
            directory.as_raw_fd(),
            SET_ATTRIBUTES.into(),
            &raw const attributes,
        )
    })
    .map(drop)
}

fn attributes(directory: BorrowedFd<'_>) -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the call writes one `struct fsxattr`, which outlives it.
    check_int(unsafe {
        libc::ioctl(
            directory.as_raw_fd(),
            GET_ATTRIBUTES.into(),
            &raw mut attributes,
        )
    })?;
    Ok(attributes)
}
