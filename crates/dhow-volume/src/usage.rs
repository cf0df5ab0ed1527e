//! How much is in a volume.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

/// Deeper trees are counted only so far.
const DEPTH: usize = 256;

/// The bytes of all files in a directory, each counted once however many names it has. What vanishes meanwhile is not
/// counted: containers go on working.
pub(crate) fn bytes(directory: BorrowedFd<'_>) -> io::Result<u64> {
    let mut seen = HashSet::new();
    let mut total = 0;
    count(directory, DEPTH, &mut seen, &mut total)?;
    Ok(total)
}

fn count(
    directory: BorrowedFd<'_>,
    depth: usize,
    seen: &mut HashSet<(u64, u64)>,
    total: &mut u64,
) -> io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if depth > 0 => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(child) = rustix::fs::openat(directory, name, flags, Mode::empty()) {
                    count(child.as_fd(), depth - 1, seen, total)?;
                }
            }
            FileType::RegularFile
                if stat.st_nlink == 1 || seen.insert((stat.st_dev, stat.st_ino)) =>
            {
                *total += u64::try_from(stat.st_size).unwrap_or(0);
            }
            _ => {}
        }
    }
    Ok(())
}
