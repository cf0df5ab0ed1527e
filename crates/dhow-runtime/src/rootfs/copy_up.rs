//! Copying what an image has at a place into the tmpfs mounted over it (`tmpcopyup`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chmodat, chownat, fchmod, fchown, fstat,
    mkdirat, mknodat, openat, readlinkat, statat, symlinkat,
};

/// Copies everything below the directory `from` into the directory `to`, with owners and modes.
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let stat = fstat(from)?;
    fchown(
        to,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    fchmod(to, Mode::from(stat.st_mode & 0o7777))?;
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        copy_entry(from, to, name)?;
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mode = Mode::from(stat.st_mode & 0o7777);
    let owner = (
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    );
    let reading = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match kind {
        FileType::Directory => {
            mkdirat(to, name, Mode::from(0o700))?;
            let flags = reading | OFlags::DIRECTORY;
            let from = openat(from, name, flags, Mode::empty())?;
            let to = openat(to, name, flags, Mode::empty())?;
            return copy(from.as_fd(), to.as_fd());
        }
        FileType::RegularFile => {
            let mut from = std::fs::File::from(openat(from, name, reading, Mode::empty())?);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut to = std::fs::File::from(openat(to, name, flags, Mode::from(0o600))?);
            io::copy(&mut from, &mut to)?;
        }
        FileType::Symlink => {
            let target = readlinkat(from, name, Vec::new())?;
            symlinkat(&target, to, name)?;
        }
        _ => mknodat(to, name, kind, mode, stat.st_rdev)?,
    }
    chownat(to, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    if kind != FileType::Symlink {
        chmodat(to, name, mode, AtFlags::empty())?;
    }
    Ok(())
}
