//! Leaving and joining namespaces.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::call::check_int;

/// `CLONE_NEWTIME`, `CLONE_NEWNS`, ... as `clone3`, `unshare` and `setns` take them.
pub mod kind {
    /// Time.
    pub const TIME: u64 = 0x80;
    /// Mounts.
    pub const MOUNT: u64 = 0x2_0000;
    /// The root of the cgroups shown.
    pub const CGROUP: u64 = 0x200_0000;
    /// Host and domain name.
    pub const UTS: u64 = 0x400_0000;
    /// System V IPC and POSIX message queues.
    pub const IPC: u64 = 0x800_0000;
    /// Users, groups and capabilities.
    pub const USER: u64 = 0x1000_0000;
    /// Process ids.
    pub const PID: u64 = 0x2000_0000;
    /// Networking.
    pub const NET: u64 = 0x4000_0000;
}

/// Moves the calling thread into new namespaces; a new pid namespace holds its next children.
///
/// # Errors
/// The kernel's.
pub fn unshare(kinds: u64) -> io::Result<()> {
    let flags = libc::c_int::try_from(kinds).map_err(io::Error::other)?;
    // SAFETY: only CLONE_NEW* bits are passed, so no memory or descriptor table is touched.
    check_int(unsafe { libc::unshare(flags & NAMESPACES) }).map(drop)
}

/// Moves the calling thread into the namespaces `kinds` of `fd`: a `/proc/<pid>/ns/*` file, or a pidfd (Linux 5.8).
///
/// # Errors
/// The kernel's.
pub fn join(fd: BorrowedFd<'_>, kinds: u64) -> io::Result<()> {
    let flags = libc::c_int::try_from(kinds).map_err(io::Error::other)?;
    // SAFETY: no memory is passed.
    check_int(unsafe { libc::setns(fd.as_raw_fd(), flags) }).map(drop)
}

/// Brings up the loopback interface of the network namespace the caller is in.
///
/// # Errors
/// The kernel's.
pub fn bring_loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::try_from(*from).unwrap_or_default();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
    // SAFETY: SIOCSIFFLAGS reads the name and the flags of the request, which outlives the call.
    check_int(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
        .map(drop)
}

const NAMESPACES: libc::c_int = 0x7e02_0080;
