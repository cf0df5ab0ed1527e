//! What `docker cp` asks about a path before it copies (`X-Docker-Container-Path-Stat`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::Error;
use crate::at::{mtime, open_parent, stat as stat_at};
use crate::names::{as_path, split};
use crate::resolve::{Asked, resolve};
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
    Located::find(rootfs, path)?.describe(rootfs)
}

/// A path that was found.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) asked: Asked,
    /// The directory it is in, or itself, if `name` is empty.
    pub(crate) parent: OwnedFd,
    pub(crate) name: Vec<u8>,
    pub(crate) stat: Stat,
}

impl Located {
    pub(crate) fn find(rootfs: BorrowedFd<'_>, path: &Path) -> Result<Self, Error> {
        let asked = Asked::new(path.as_os_str().as_bytes());
        let failed = |e| match e {
            Errno::NOENT => Error::NotFound {
                path: path.to_owned(),
            },
            e => Error::file("lstat", path, e),
        };
        let (parent, name) = match asked.directory {
            true => (asked.path.as_slice(), b"".as_slice()),
            false => split(&asked.path),
        };
        let parent = open_parent(rootfs, parent).map_err(failed)?;
        let stat = stat_at(&parent, if name.is_empty() { b"." } else { name }).map_err(failed)?;
        let name = name.to_vec();
        Ok(Self {
            asked,
            parent,
            name,
            stat,
        })
    }

    pub(crate) fn describe(&self, rootfs: BorrowedFd<'_>) -> Result<PathStat, Error> {
        let link = FileType::from_raw_mode(self.stat.st_mode) == FileType::Symlink;
        let link_target = match link {
            false => String::new(),
            true => {
                let target =
                    resolve(rootfs.as_fd(), &self.asked.path).map_err(|e| self.unresolved(e))?;
                format!("/{}", String::from_utf8_lossy(&target))
            }
        };
        Ok(PathStat {
            name: String::from_utf8_lossy(&self.asked.base).into_owned(),
            size: u64::try_from(self.stat.st_size).unwrap_or(0),
            mode: go_mode(self.stat.st_mode),
            mtime: mtime(&self.stat),
            link_target,
        })
    }

    fn unresolved(&self, error: Errno) -> Error {
        match error {
            Errno::LOOP => Error::Loop {
                action: "evalSymlinksInScope",
                path: format!(" in /{}", as_path(&self.asked.path).display()),
            },
            error => Error::file("lstat", as_path(&self.asked.path), error),
        }
    }
}

/// A mode in the bits of Go's `os.FileMode`.
fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        FileType::RegularFile => 0,
        FileType::Unknown => 1 << 19,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let set = special
        .into_iter()
        .filter(|(bit, _)| mode & bit != 0)
        .map(|(_, go)| go);
    kind | (mode & 0o777) | set.sum::<u32>()
}

#[cfg(test)]
mod tests {
    use super::go_mode;

    #[test]
    fn modes_are_gos() {
        for (mode, expected) in [
            (0o100_644, 0o644),
            (0o040_755, 0x8000_01ed),
            (0o041_777, 0x8010_01ff),
            (0o104_755, 0x0080_01ed),
            (0o120_777, 0x0800_01ff),
            (0o020_666, 0x0420_01b6),
        ] {
            assert_eq!(go_mode(mode), expected, "{mode:o}");
        }
    }
}
