//! Who a process is: what `rustix` lacks about users, capabilities and keys.

use std::ffi::CStr;
use std::io;

use crate::call::check;

/// Joins a new session keyring called `name`, and gives its serial number.
///
/// # Errors
/// The kernel's: `ENOSYS` where it has no keys.
pub fn join_session_keyring(name: &CStr) -> io::Result<i64> {
    // SAFETY: KEYCTL_JOIN_SESSION_KEYRING (1) with a C string that outlives the call.
    check(unsafe { libc::syscall(libc::SYS_keyctl, 1, name.as_ptr(), 0, 0, 0) })
}
