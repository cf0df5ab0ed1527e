//! Owner and permissions.

use std::os::fd::AsFd;

use rustix::fs::{Gid, Uid, fchown};
use rustix::io::Errno;

/// The user and group new files belong to.
pub(crate) fn own_ids() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

/// Sets owner and group.
pub(crate) fn chown(file: impl AsFd, owner: (u32, u32)) -> Result<(), Errno> {
    fchown(file, uid(owner)?, gid(owner)?)
}

/// The user; the largest number means "leave it" to the kernel and is refused.
pub(crate) fn uid((uid, _): (u32, u32)) -> Result<Option<Uid>, Errno> {
    (uid != u32::MAX)
        .then(|| Some(Uid::from_raw(uid)))
        .ok_or(Errno::INVAL)
}

/// The group, likewise.
pub(crate) fn gid((_, gid): (u32, u32)) -> Result<Option<Gid>, Errno> {
    (gid != u32::MAX)
        .then(|| Some(Gid::from_raw(gid)))
        .ok_or(Errno::INVAL)
}

/// The permissions this process's new files lack; all, if that can't be found out.
pub(crate) fn umask() -> u32 {
    // Asking the kernel means changing it, for all threads.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let digits = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    digits
        .and_then(|digits| u32::from_str_radix(digits.trim(), 8).ok())
        .unwrap_or(0o777)
}
