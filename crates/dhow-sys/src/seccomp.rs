//! Loading a compiled seccomp filter.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::call::check;

/// One instruction of classic BPF (`struct sock_filter`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// Instructions to skip where the comparison holds.
    pub jump_true: u8,
    /// Instructions to skip where it does not.
    pub jump_false: u8,
    /// The operand.
    pub k: u32,
}

/// `SECCOMP_FILTER_FLAG_*`.
pub mod flag {
    /// All the threads.
    pub const TSYNC: u32 = 1;
    /// Actions but `allow` are logged.
    pub const LOG: u32 = 2;
    /// No speculative store bypass mitigation.
    pub const SPEC_ALLOW: u32 = 4;
    /// Give a descriptor for notifications.
    pub const NEW_LISTENER: u32 = 8;
    /// A notified process waits killable only.
    pub const WAIT_KILLABLE_RECV: u32 = 32;
}

#[repr(C)]
struct Program {
    length: u16,
    filter: *const Instruction,
}

/// Loads `program` as a filter of the calling thread; gives the listener where [`flag::NEW_LISTENER`] asks for it.
///
/// # Errors
/// The kernel's: `EACCES` without `CAP_SYS_ADMIN` and without `no_new_privs`; `EINVAL` for a broken program.
pub fn load(program: &[Instruction], flags: u32) -> io::Result<Option<OwnedFd>> {
    let length =
        u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program {
        length,
        filter: program.as_ptr(),
    };
    // SAFETY: SECCOMP_SET_MODE_FILTER (1) reads `length` instructions, which outlive the call.
    let result = check(unsafe { libc::syscall(libc::SYS_seccomp, 1, flags, &raw const program) })?;
    if flags & flag::NEW_LISTENER == 0 {
        return Ok(None);
    }
    let fd = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: with NEW_LISTENER the result is a new descriptor nobody else knows.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}
