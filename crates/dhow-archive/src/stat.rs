//! What `docker cp` asks about a path before it copies (`X-Docker-Container-Path-Stat`).

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::Error;
use crate::tar::Mtime;

/// What a path in a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// The last component of the path asked for.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// Type and permissions in the bits of Go's `os.FileMode`, as Docker's clients expect.
    pub mode: u32,
    /// When the content changed last.
    pub mtime: Mtime,
    /// Where a symbolic link leads inside the root, absolute; else empty.
    pub link_target: String,
}

/// Looks at `path` in `rootfs`; the path is treated as by [`crate::pack`].
///
/// # Errors
/// When the path does not exist or can't be looked at.
pub fn stat(rootfs: BorrowedFd<'_>, path: &Path) -> Result<PathStat, Error> {
    let _ = (rootfs, path);
    todo!()
}
