//! A tree whose files are those of another one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, Stat, fchmod, fstat, futimens, linkat, mkdirat};
use rustix::io::Errno;

use crate::at::{mtime, open_dir, open_parent, times};
use crate::names::{as_path, split};
use crate::walk::{Entry, walk};
use crate::xattrs::{self, Target};
use crate::{Error, attributes};

/// Fills the empty directory `to` with what is in `from`: directories are made anew, with all attributes, and everything
/// else gets a second name. Both must be on one file system, and neither may change any more.
///
/// # Errors
/// When something can't be read, linked or made.
pub fn clone_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Error> {
    let top = open_dir(from, b"").map_err(|e| Error::file("open", as_path(b""), e))?;
    let mut directories: Vec<(Vec<u8>, Stat)> = Vec::new();
    walk(&top, &mut |entry| {
        if entry.directory.is_some() {
            directories.push((entry.path.to_vec(), *entry.stat));
        }
        clone(to, entry).map_err(|e| Error::file("link", as_path(entry.path), e))
    })?;
    // Now that everything is in them.
    for (path, stat) in directories.iter().rev() {
        open_directory(to, path)
            .and_then(|directory| futimens(directory, &times(mtime(stat))))
            .map_err(|e| Error::file("set times of", as_path(path), e))?;
    }
    let finish = || {
        let to = open_dir(to, b"")?;
        copy_attributes(&top, &to, &fstat(&top)?)
    };
    finish().map_err(|e| Error::file("set attributes of", as_path(b""), e))
}

fn clone(to: BorrowedFd<'_>, entry: &Entry<'_>) -> Result<(), Errno> {
    let (parent, name) = split(entry.path);
    let parent = open_parent(to, parent)?;
    let Some(directory) = entry.directory else {
        return linkat(entry.parent, entry.name, &parent, name, AtFlags::empty());
    };
    mkdirat(&parent, name, Mode::from_raw_mode(0o700))?;
    let made = open_dir(&parent, name)?;
    let found = xattrs::read(Target::File(directory))?;
    xattrs::apply(Target::File(made.as_fd()), &found)?;
    if xattrs::is_opaque(directory) {
        xattrs::set_opaque(&made)?;
    }
    attributes::chown(&made, (entry.stat.st_uid, entry.stat.st_gid))?;
    fchmod(&made, Mode::from_raw_mode(entry.stat.st_mode & 0o7777))
}

fn copy_attributes(from: &OwnedFd, to: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
    let found = xattrs::read(Target::File(from.as_fd()))?;
    xattrs::apply(Target::File(to.as_fd()), &found)?;
    attributes::chown(to, (stat.st_uid, stat.st_gid))?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    futimens(to, &times(mtime(stat)))
}

fn open_directory(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let (parent, name) = split(path);
    open_dir(open_parent(root, parent)?, name)
}
