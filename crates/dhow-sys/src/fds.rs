//! Descriptors: inheriting them by number, sweeping them before `execve`, passing them over unix sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::call::check;

/// The most descriptors one message carries.
pub const MAX_PASSED: usize = 16;

/// Takes over the descriptor `fd`, inherited by number (`LISTEN_FDS`, `--ready-fd`), and makes it close-on-exec.
///
/// Call it at most once for each number, early, and only for numbers that were handed over: the descriptor is closed
/// when the result is dropped.
///
/// # Errors
/// `EBADF` where it is not open, `EINVAL` for the standard streams.
pub fn inherit(fd: RawFd) -> io::Result<OwnedFd> {
    if fd <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: only looked at; a number that is not open gives EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and by the contract above nobody else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// How much memory holds what was sent on a unix stream socket and not read on its other side; 0 when all was read.
///
/// # Errors
/// The kernel's.
pub fn unread(socket: impl AsFd) -> io::Result<libc::c_int> {
    use std::os::fd::AsRawFd;
    let mut bytes: libc::c_int = 0;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: SIOCOUTQ, which is the same number, writes one int to where it is told, and that lives longer.
    check(unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut bytes) }.into())?;
    Ok(bytes)
}

/// Marks every descriptor from `first` on close-on-exec (Linux 5.11).
///
/// # Errors
/// The kernel's.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    let (last, cloexec) = (u32::MAX, 1u32 << 2);
    // SAFETY: no memory is passed, and no descriptor is closed now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, cloexec) }).map(drop)
}

/// Closes every descriptor from 3 on that is not in `keep`: for the child of a clone, which must not hold its parent's
/// files and sockets open. Nothing that owns one of the others may be used in this process any more.
///
/// # Errors
/// The kernel's.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let mut keep: Vec<u32> = keep
        .iter()
        .map(|fd| fd.as_raw_fd().unsigned_abs())
        .collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > first {
            // SAFETY: no memory is passed; by the contract above the owners of these descriptors are not used again.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) })?;
        }
        first = first.max(fd.saturating_add(1));
    }
    Ok(())
}

/// Makes `stdin`, `stdout` and `stderr` the standard streams of the process.
///
/// # Errors
/// The kernel's.
pub fn set_stdio(
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> io::Result<()> {
    // A source that is itself one of 0..=2 would be overwritten by an earlier step: move all of them out of the way.
    let out_of_way = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3);
    let (stdin, stdout, stderr) = (out_of_way(stdin)?, out_of_way(stdout)?, out_of_way(stderr)?);
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    Ok(())
}

/// Sends `data` (at least one byte) with descriptors over a unix socket in one message.
///
/// # Errors
/// The kernel's; `EINVAL` where there are more than [`MAX_PASSED`] descriptors.
pub fn send_with_fds(socket: impl AsFd, data: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let sent = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(data)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(sent)
}

/// Receives up to `buffer.len()` bytes and the descriptors sent along, which are close-on-exec; 0 bytes mean that the
/// other side has closed.
///
/// # Errors
/// The kernel's.
pub fn receive_with_fds(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PASSED))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            fds.extend(passed);
        }
    }
    Ok((received.bytes, fds))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn descriptors_travel_with_their_message() {
        let (left, right) = UnixStream::pair().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        send_with_fds(&left, b"here", &[writer.as_fd()]).unwrap();
        drop(writer);
        let mut buffer = [0; 16];
        let (count, mut fds) = receive_with_fds(&right, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"here");
        let fd = fds.pop().unwrap();
        rustix::io::write(&fd, b"through").unwrap();
        drop(fd);
        let mut text = String::new();
        { reader }.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }
}
