//! Parts of a container's file system as a tar: `docker cp` out of it and `docker export`.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::{Error, PathStat, Written};

/// Writes all of `rootfs` to `out`, names relative to it; for `docker export`.
///
/// # Errors
/// When something can't be read, or `out` fails.
pub fn export(rootfs: BorrowedFd<'_>, out: impl Write) -> Result<Written, Error> {
    let _ = (rootfs, out);
    todo!()
}

/// Writes `path` of `rootfs` to `out` as `GET /containers/{id}/archive` does.
///
/// `path` is Docker's: symbolic links are followed inside the root in all components but the last; a last component
/// followed by `/` or `/.` is followed too. The names in the archive begin with the last component of `path` (a `.` if
/// that is what it ends with).
///
/// # Errors
/// When the path does not exist, something can't be read, or `out` fails.
pub fn pack(rootfs: BorrowedFd<'_>, path: &Path, out: impl Write) -> Result<PathStat, Error> {
    let _ = (rootfs, path, out);
    todo!()
}
