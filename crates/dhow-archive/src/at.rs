//! Files by directory descriptor and name.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, chmodat,
    openat, openat2, statat, utimensat,
};
use rustix::io::Errno;

use crate::tar::Mtime;

/// Opens `path` below `root`, symbolic links followed as if `root` were `/`; the empty path is the root itself.
pub fn open_in_root(root: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(
            root.as_fd(),
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        ) {
            // Something was renamed while the kernel went up: it can't tell whether it left the root.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

/// Opens the directory `path` below `root` to use it as the parent of something.
pub fn open_parent(root: impl AsFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    open_in_root(root, path, OFlags::PATH | OFlags::DIRECTORY)
}

/// Opens the directory `name` itself, for reading.
pub fn open_dir(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(
        parent,
        if name.is_empty() { b"." } else { name },
        flags,
        Mode::empty(),
    )
}

/// What `name` is, without following it.
pub fn stat(parent: impl AsFd, name: &[u8]) -> Result<Stat, Errno> {
    statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// The same, `None` where there is nothing.
pub fn stat_if_there(parent: impl AsFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match stat(parent, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether this is a directory.
pub fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Whether this is overlayfs' mark for a deleted name.
pub fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Sets the permissions of what has no descriptor of its own; `name` must not be a symbolic link.
pub fn set_mode(parent: impl AsFd, name: &[u8], mode: u32) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(
        parent,
        if name.is_empty() { b"." } else { name },
        flags,
        Mode::empty(),
    )?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())
}

/// The times to set for a time of modification.
pub fn times(mtime: Mtime) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: i64::from(mtime.nanoseconds),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Does something in a directory and sets its times back after it.
pub fn untouched<T>(
    directory: impl AsFd,
    act: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let before = statat(&directory, ".", AtFlags::empty())?;
    let done = act()?;
    utimensat(&directory, ".", &times(mtime(&before)), AtFlags::empty())?;
    Ok(done)
}

/// When the file was modified.
pub fn mtime(stat: &Stat) -> Mtime {
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    Mtime {
        seconds: stat.st_mtime,
        nanoseconds,
    }
}
