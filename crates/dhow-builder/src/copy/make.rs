//! Making directories and files.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dhow_archive::fd::{open_parent, resolve, set_mode, split, times, untouched};
use dhow_archive::tar::Mtime;
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Timestamps, Uid, chownat, fstat, mkdirat, openat, statat,
    unlinkat, utimensat,
};
use rustix::io::Errno;

use super::failed;
use super::select::clean;
use crate::error::Error;

/// What is made where nothing has a time: the first day that every archive can tell.
const EARLIEST: i64 = 315_532_800;

/// What something that is made gets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MakeOptions {
    /// Its permissions.
    pub(crate) mode: u32,
    /// Its owner; root if not said.
    pub(crate) owner: Option<(u32, u32)>,
    /// Its time; that of the directory it is made in if not said.
    pub(crate) epoch: Option<i64>,
}

/// Makes the directory `path` of `root`, and those above it; one that is there stays as it is.
///
/// # Errors
/// Something on the way is no directory.
pub(crate) fn make_directory(
    root: BorrowedFd<'_>,
    path: &[u8],
    options: MakeOptions,
) -> Result<OwnedFd, Error> {
    let path = clean(path);
    let real = resolve(root, &path).map_err(failed("look at", &path))?;
    let mut directory = open_parent(root, b"").map_err(failed("open", &path))?;
    let components = || real.split(|byte| *byte == b'/').filter(|c| !c.is_empty());
    let last = components().count();
    for (n, name) in components().enumerate() {
        let mode = if n + 1 == last { options.mode } else { 0o755 };
        let options = MakeOptions { mode, ..options };
        directory = enter(&directory, name, options).map_err(|e| match e {
            Errno::NOTDIR | Errno::LOOP => failed("mkdir", &path)(Errno::NOTDIR),
            e => failed("mkdir", &path)(e),
        })?;
    }
    Ok(directory)
}

/// Opens a directory in another one, making it if need be.
fn enter(parent: &OwnedFd, name: &[u8], options: MakeOptions) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let time = time_within(parent.as_fd(), options.epoch)?;
    untouched(parent, || mkdirat(parent, name, Mode::from_raw_mode(0o755)))?;
    let made = openat(parent, name, flags, Mode::empty())?;
    finish(parent.as_fd(), name, options, &time)?;
    Ok(made)
}

/// Makes a file with this content, and the directories above it, in place of what was there.
///
/// # Errors
/// There is a directory of that name.
pub(crate) fn make_file(
    root: BorrowedFd<'_>,
    path: &[u8],
    content: &[u8],
    options: MakeOptions,
) -> Result<(), Error> {
    let clean = clean(path);
    let (parent, name) = split(&clean);
    let above = MakeOptions {
        mode: 0o755,
        ..options
    };
    let parent = make_directory(root, parent, above)?;
    let write = || {
        let time = time_within(parent.as_fd(), options.epoch)?;
        untouched(&parent, || {
            match unlinkat(&parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?;
            std::fs::File::from(file)
                .write_all(content)
                .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
        })?;
        finish(parent.as_fd(), name, options, &time)
    };
    write().map_err(failed("write", path))
}

fn finish(
    parent: BorrowedFd<'_>,
    name: &[u8],
    options: MakeOptions,
    time: &Timestamps,
) -> Result<(), Errno> {
    if let Some(owner) = options.owner {
        set_owner(parent, name, owner)?;
    }
    set_mode(parent, name, options.mode)?;
    utimensat(parent, name, time, AtFlags::SYMLINK_NOFOLLOW)
}

/// Sets the owner of a name that is not followed.
pub(super) fn set_owner(
    parent: BorrowedFd<'_>,
    name: &[u8],
    (uid, gid): (u32, u32),
) -> Result<(), Errno> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    chownat(
        parent,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    )
}

/// The time of what is made in a directory.
pub(super) fn time_within(
    directory: BorrowedFd<'_>,
    epoch: Option<i64>,
) -> Result<Timestamps, Errno> {
    let seconds = match epoch {
        Some(epoch) => epoch,
        None => whole_seconds(&statat(directory, ".", AtFlags::empty())?),
    };
    Ok(at(seconds))
}

/// The time, to the second, of a directory; what was made just now has none yet.
fn whole_seconds(stat: &Stat) -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    // The root of an empty image is as old as the build itself.
    match stat.st_mtime + 600 > now {
        true => EARLIEST,
        false => stat.st_mtime,
    }
}

/// These seconds since 1970.
pub(super) fn at(seconds: i64) -> Timestamps {
    times(Mtime {
        seconds,
        nanoseconds: 0,
    })
}

/// What a directory's times are now, to be set again after something was put into it.
pub(super) fn times_of(directory: impl AsFd) -> Result<Timestamps, Errno> {
    Ok(times(dhow_archive::fd::mtime(&fstat(directory)?)))
}
