//! Removing trees by descriptors.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, renameat, unlinkat};
use rustix::io::Errno;

use crate::Error;
use crate::names::{as_path, join};

/// How deep directories are entered; what is deeper is moved up first.
const DEPTH: usize = 48;

/// Removes `name` in the directory `parent`, whatever it is, with all that is in it; nothing there is fine.
///
/// No symbolic link is followed and no other file system entered; the depth of the tree costs neither stack nor
/// descriptors.
///
/// # Errors
/// When something can't be removed; the rest has been removed as far as possible.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &Path) -> Result<(), Error> {
    let name = name.as_os_str().as_bytes();
    let failed = |e| Error::file("remove", as_path(name), e);
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(failed(e)),
    }
    let top = match open(parent, name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    let mut removal = Removal {
        top: &top,
        moved: 0,
        first_error: None,
    };
    loop {
        let moved = removal.moved;
        removal.empty(&top, name, 1);
        if removal.moved == moved || removal.first_error.is_some() {
            break;
        }
    }
    match removal.first_error {
        Some(error) => Err(error),
        None => match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(failed(e)),
        },
    }
}

struct Removal<'a> {
    top: &'a OwnedFd,
    /// How many directories were moved up to `top`, and the number in the next one's name.
    moved: u64,
    first_error: Option<Error>,
}

impl Removal<'_> {
    /// Removes all that is in `directory`, whose path is `path` for messages.
    fn empty(&mut self, directory: &OwnedFd, path: &[u8], depth: usize) {
        // Entries may go while they are listed, but not all file systems then list the rest: begin again until the
        // directory is empty, or nothing more can be done.
        loop {
            let (found, removed) = self.sweep(directory, path, depth);
            if found == removed || removed == 0 {
                return;
            }
        }
    }

    /// Goes once through `directory`: how many entries there were, and how many are gone.
    fn sweep(&mut self, directory: &OwnedFd, path: &[u8], depth: usize) -> (u64, u64) {
        let entries = match Dir::read_from(directory) {
            Ok(entries) => entries,
            Err(e) => {
                self.failed(path, e);
                return (0, 0);
            }
        };
        let (mut found, mut removed) = (0, 0);
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    self.failed(path, e);
                    break;
                }
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            found += 1;
            let path = join(path, name);
            let is_dir = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            match self.entry(directory, name, &path, is_dir, depth) {
                Ok(()) | Err(Errno::NOENT) => removed += 1,
                Err(e) => self.failed(&path, e),
            }
        }
        (found, removed)
    }

    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &[u8],
        is_dir: bool,
        depth: usize,
    ) -> Result<(), Errno> {
        if !is_dir {
            return unlinkat(directory, name, AtFlags::empty());
        }
        if unlinkat(directory, name, AtFlags::REMOVEDIR).is_ok() {
            return Ok(());
        }
        let child = match open(directory.as_fd(), name) {
            Ok(child) => child,
            Err(Errno::NOTDIR | Errno::LOOP) => return unlinkat(directory, name, AtFlags::empty()),
            Err(e) => return Err(e),
        };
        if depth >= DEPTH && self.move_up(directory, name).is_ok() {
            return Ok(());
        }
        self.empty(&child, path, depth + 1);
        unlinkat(directory, name, AtFlags::REMOVEDIR)
    }

    /// Moves a directory that is too deep to the top, where it is found again.
    fn move_up(&mut self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        self.moved += 1;
        renameat(
            directory,
            name,
            self.top,
            format!(".dhow-removed-{}", self.moved),
        )
    }

    fn failed(&mut self, path: &[u8], error: Errno) {
        self.first_error
            .get_or_insert_with(|| Error::file("remove", as_path(path), error));
    }
}

/// Opens the directory `name` itself, on the same file system.
fn open(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    openat2(parent, name, flags, Mode::empty(), resolve)
}
