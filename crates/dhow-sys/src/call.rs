//! Turning what libc returns into `io::Result`.

use std::io;

/// The value of a system call, or the error in `errno` where it is negative.
pub(crate) fn check(value: libc::c_long) -> io::Result<libc::c_long> {
    if value < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}

/// The same for the calls libc wraps, which return an `int`.
pub(crate) fn check_int(value: libc::c_int) -> io::Result<libc::c_int> {
    if value < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}
