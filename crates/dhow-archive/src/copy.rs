//! Copying one file with all its attributes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, chownat, fchmod, futimens, mknodat, openat, readlinkat,
    symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::at::{mtime, set_mode, times};
use crate::attributes;
use crate::xattrs::{self, Target};

/// A name in a directory.
type Name<'a> = (BorrowedFd<'a>, &'a [u8]);

/// Copies what is `from`, and no directory, to the new name `to`.
pub(crate) fn copy(from: Name<'_>, to: Name<'_>, stat: &Stat) -> Result<(), Errno> {
    let owner = (stat.st_uid, stat.st_gid);
    let mode = stat.st_mode & 0o7777;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::RegularFile {
        return copy_file(from, to, stat);
    }
    match kind {
        FileType::Symlink => symlinkat(readlinkat(from.0, from.1, Vec::new())?, to.0, to.1)?,
        kind => mknodat(to.0, to.1, kind, Mode::from_raw_mode(mode), stat.st_rdev)?,
    }
    let (uid, gid) = (attributes::uid(owner)?, attributes::gid(owner)?);
    chownat(to.0, to.1, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    if kind != FileType::Symlink {
        set_mode(to.0, to.1, mode)?;
    }
    let found = xattrs::read(Target::Name(from.0, from.1))?;
    xattrs::apply(Target::Name(to.0, to.1), &found)?;
    utimensat(to.0, to.1, &times(mtime(stat)), AtFlags::SYMLINK_NOFOLLOW)
}

fn copy_file(from: Name<'_>, to: Name<'_>, stat: &Stat) -> Result<(), Errno> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut source = File::from(openat(from.0, from.1, read, Mode::empty())?);
    let mut target = File::from(openat(to.0, to.1, write, Mode::RUSR | Mode::WUSR)?);
    io::copy(&mut source, &mut target)
        .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    attributes::chown(&target, (stat.st_uid, stat.st_gid))?;
    fchmod(&target, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let found = xattrs::read(Target::File(source.as_fd()))?;
    xattrs::apply(Target::File(target.as_fd()), &found)?;
    futimens(&target, &times(mtime(stat)))
}
