//! A tar into a directory of a container, for `docker cp` and `docker import`.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::{Error, Limits};

/// How an archive is unpacked.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnpackOptions {
    /// Refuse to replace a directory by something else, and the other way round (`noOverwriteDirNonDir`).
    pub no_overwrite_dir_non_dir: bool,
    /// Give everything to this user and group instead of the archive's (`copyUIDGID`).
    pub owner: Option<(u32, u32)>,
    /// How much the archive may contain.
    pub limits: Limits,
}

/// Unpacks `tar` into the directory `path` of `rootfs` as `PUT /containers/{id}/archive` does.
///
/// # Errors
/// When `path` is not a directory in `rootfs`, the stream is no tar, or the file system refuses; what was unpacked until
/// then stays.
pub fn unpack(
    tar: impl Read,
    rootfs: BorrowedFd<'_>,
    path: &Path,
    options: &UnpackOptions,
) -> Result<(), Error> {
    let _ = (tar, rootfs, path, options);
    todo!()
}
