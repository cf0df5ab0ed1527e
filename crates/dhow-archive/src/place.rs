//! Places in a root to mount something on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, mknodat};
use rustix::io::Errno;

use crate::Error;
use crate::at::{open_in_root, open_parent};
use crate::dirs::Directories;
use crate::names::{follow, split};

/// Opens `path` of `root` as a place (`O_PATH`), symbolic links followed inside the root; `None` when it is missing.
///
/// # Errors
/// When the kernel refuses.
pub fn find_place(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>, Error> {
    let clean = follow(b"", path.as_os_str().as_bytes());
    match open_in_root(root, &clean, OFlags::PATH) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(Error::file("open", path, e)),
    }
}

/// Opens `path` of `root` as a place, after making it where it is missing: a directory, or an empty file.
///
/// # Errors
/// When the kernel refuses.
pub fn make_place(root: BorrowedFd<'_>, path: &Path, directory: bool) -> Result<OwnedFd, Error> {
    if let Some(place) = find_place(root, path)? {
        return Ok(place);
    }
    let failed = |e| Error::file("make", path, e);
    let clean = follow(b"", path.as_os_str().as_bytes());
    let (parent, name) = split(&clean);
    let mut directories = Directories::new(open_parent(root, b"").map_err(failed)?, false);
    if directory {
        directories.ensure(&clean)?;
    } else {
        let parent = directories.ensure(parent)?;
        let mode = Mode::from_raw_mode(0o755);
        match mknodat(parent.as_fd(), name, FileType::RegularFile, mode, 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    find_place(root, path)?.ok_or_else(|| failed(Errno::NOENT))
}
