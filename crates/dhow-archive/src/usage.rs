//! How much a tree holds.

use std::collections::HashSet;
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;

use crate::Error;
use crate::at::open_dir;
use crate::names::as_path;
use crate::walk::walk;

/// The bytes of all regular files in the directory `root`, one with several names counted once.
///
/// # Errors
/// When a directory can't be read.
pub fn usage(root: BorrowedFd<'_>) -> Result<u64, Error> {
    let top = open_dir(root, b"").map_err(|e| Error::file("open", as_path(b""), e))?;
    let mut seen = HashSet::new();
    let mut bytes = 0_u64;
    walk(&top, &mut |entry| {
        let stat = entry.stat;
        let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if file && (stat.st_nlink == 1 || seen.insert((stat.st_dev, stat.st_ino))) {
            bytes = bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        }
        Ok(())
    })?;
    Ok(bytes)
}
