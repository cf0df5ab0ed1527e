//! Changes a synced folder, by descriptors and without ever following a link.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags, chmodat, chownat, fsetxattr, linkat, mkdirat, mknodat, openat2, renameat,
    symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::index::Entry;
use crate::path;
use crate::stat::{self, Kind};
use crate::{Error, Stat};

/// The files of a synced folder, while they are changed.
pub(crate) struct Files {
    root: OwnedFd,
    /// Where files are written before they get their names.
    beside: OwnedFd,
    /// The directory that was used last; most of what follows is in the same.
    last: Option<(String, OwnedFd)>,
    /// Directories whose times changed with what was done in them.
    touched: BTreeSet<String>,
    number: u64,
}

/// A file that has no name yet.
pub(crate) struct Unnamed {
    name: String,
    pub(crate) file: File,
}

impl Files {
    /// Opens a folder and the one beside it for what is unfinished; both are made if they are not there.
    pub(crate) fn open(folder: &Path, beside: &Path) -> Result<Self, Error> {
        let open = |path: &Path| {
            std::fs::create_dir_all(path)
                .and_then(|()| File::open(path))
                .map(OwnedFd::from)
                .map_err(|error| Error::file("open", path.to_string_lossy(), error))
        };
        Ok(Self {
            root: open(folder)?,
            beside: open(beside)?,
            last: None,
            touched: BTreeSet::new(),
            number: 0,
        })
    }

    /// Removes what has that name, if anything.
    pub(crate) fn remove(&mut self, entry: &Stat) -> Result<(), Error> {
        let (parent, name) = path::split(&entry.path);
        let (parent, name) = (parent.to_owned(), name.to_owned());
        let directory = stat::kind(entry.mode) == Kind::Directory;
        if directory {
            self.last = None;
        }
        let dir = match self.directory(&parent) {
            Ok(dir) => dir,
            // What it was in is gone already.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(Error::file("open", parent, error)),
        };
        let removed = match directory {
            true => dhow_archive::remove_tree(dir, Path::new(&name)).map_err(io::Error::other),
            false => unlinkat(dir, &name, AtFlags::empty()).map_err(io::Error::from),
        };
        self.touched.insert(parent);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", &*entry.path, error))
            }
            _ => Ok(()),
        }
    }

    /// Makes what is no regular file with content: a directory, a link, a pipe.
    pub(crate) fn make(&mut self, entry: &Stat) -> Result<(), Error> {
        let fail = |error: Errno| Error::file("make", &*entry.path, error);
        let (parent, name) = path::split(&entry.path);
        self.touched.insert(parent.to_owned());
        if stat::kind(entry.mode) == Kind::Directory {
            self.touched.insert(entry.path.clone());
        }
        let dir = self.directory(parent).map_err(fail)?;
        let mode = stat::permissions(entry.mode);
        match stat::kind(entry.mode) {
            Kind::Directory => {
                match mkdirat(dir, name, mode) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(fail(error)),
                }
                chmodat(dir, name, mode, AtFlags::empty()).map_err(fail)?;
            }
            Kind::Symlink => symlinkat(&*entry.linkname, dir, name).map_err(fail)?,
            Kind::Fifo => {
                mknodat(dir, name, FileType::Fifo, mode, 0).map_err(fail)?;
                chmodat(dir, name, mode, AtFlags::empty()).map_err(fail)?;
            }
            Kind::File | Kind::Other => return Err(fail(Errno::INVAL)),
        }
        own(dir, name, entry).map_err(fail)?;
        stamp(dir, name, entry.mod_time).map_err(fail)
    }

    /// Gives a file that is in the folder one more name.
    pub(crate) fn link(&mut self, entry: &Stat) -> Result<(), Error> {
        let fail = |error: Errno| Error::file("link", &*entry.path, error);
        let (from, old) = path::split(&entry.linkname);
        let (to, new) = path::split(&entry.path);
        self.touched.insert(to.to_owned());
        let from = self.open_directory(from).map_err(fail)?;
        let to = self.directory(to).map_err(fail)?;
        linkat(&from, old, to, new, AtFlags::empty()).map_err(fail)
    }

    /// Begins a regular file, without a name.
    pub(crate) fn create(&mut self, entry: &Stat) -> Result<Unnamed, Error> {
        self.number += 1;
        let name = self.number.to_string();
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let mode = Mode::from_raw_mode(0o600);
        let file = openat2(&self.beside, &*name, flags, mode, resolve)
            .map_err(|error| Error::file("create", &*entry.path, error))?;
        Ok(Unnamed {
            name,
            file: file.into(),
        })
    }

    /// Gives a finished file its metadata and its name, in place of what had it.
    pub(crate) fn name(&mut self, file: &Unnamed, entry: &Stat) -> Result<(), Error> {
        let fail = |error: Errno| Error::file("write", &*entry.path, error);
        let (parent, name) = path::split(&entry.path);
        self.touched.insert(parent.to_owned());
        let beside = self.beside.try_clone();
        let beside = beside.map_err(|error| Error::file("open", &*entry.path, error))?;
        let temporary = &*file.name;
        own(beside.as_fd(), temporary, entry).map_err(fail)?;
        for (name, value) in &entry.xattrs {
            // Whatever else there is means something to the client's system only, or to overlays.
            if name.starts_with("user.") || name == "security.capability" {
                match fsetxattr(&file.file, &**name, value, XattrFlags::empty()) {
                    Ok(()) | Err(Errno::OPNOTSUPP | Errno::INVAL) => {}
                    Err(error) => return Err(fail(error)),
                }
            }
        }
        let mode = stat::permissions(entry.mode);
        chmodat(&beside, temporary, mode, AtFlags::empty()).map_err(fail)?;
        stamp(beside.as_fd(), temporary, entry.mod_time).map_err(fail)?;
        let dir = self.directory(parent).map_err(fail)?;
        renameat(&beside, temporary, dir, name).map_err(fail)
    }

    /// Forgets a file that will not get a name.
    pub(crate) fn forget(&self, file: &Unnamed) {
        let _ = unlinkat(&self.beside, &*file.name, AtFlags::empty());
    }

    /// Gives the directories in which something was done their times again.
    pub(crate) fn restamp(&mut self, entries: &[Entry]) -> Result<(), Error> {
        for touched in std::mem::take(&mut self.touched) {
            let found = entries.binary_search_by(|entry| path::compare(&entry.stat.path, &touched));
            let Some(entry) = found.ok().and_then(|at| entries.get(at)) else {
                continue;
            };
            let (parent, name) = path::split(&entry.stat.path);
            if stat::kind(entry.stat.mode) == Kind::Directory {
                self.directory(parent)
                    .and_then(|dir| stamp(dir, name, entry.stat.mod_time))
                    .map_err(|error| Error::file("stamp", &*entry.stat.path, error))?;
            }
        }
        Ok(())
    }

    /// Makes this folder, which is empty, the same as `source`, which has `entries`: regular files are shared, as they never
    /// change but are replaced.
    pub(crate) fn clone_from(&mut self, source: &mut Self, entries: &[Entry]) -> Result<(), Error> {
        for entry in entries {
            let stat = &entry.stat;
            if stat::kind(stat.mode) != Kind::File {
                self.make(stat)?;
                continue;
            }
            let fail = |error: Errno| Error::file("link", &*stat.path, error);
            let (parent, name) = path::split(&stat.path);
            let from = source.open_directory(parent).map_err(fail)?;
            let to = self.directory(parent).map_err(fail)?;
            linkat(&from, name, to, name, AtFlags::empty()).map_err(fail)?;
            self.touched.insert(parent.to_owned());
        }
        self.restamp(entries)
    }

    /// The free bytes on the disk.
    pub(crate) fn free(&self) -> Result<u64, Error> {
        let stat = rustix::fs::fstatvfs(&self.root)
            .map_err(|error| Error::file("measure", "the disk", error))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// A directory of the folder, remembered.
    fn directory(&mut self, path: &str) -> Result<BorrowedFd<'_>, Errno> {
        if path.is_empty() {
            return Ok(self.root.as_fd());
        }
        let known = self.last.as_ref().is_some_and(|(last, _)| last == path);
        if !known {
            let opened = self.open_directory(path)?;
            self.last = Some((path.to_owned(), opened));
        }
        match &self.last {
            Some((_, dir)) => Ok(dir.as_fd()),
            None => Err(Errno::NOENT),
        }
    }

    fn open_directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let path = if path.is_empty() { "." } else { path };
        openat2(&self.root, path, flags, Mode::empty(), resolve)
    }
}

fn own(dir: BorrowedFd<'_>, name: &str, entry: &Stat) -> Result<(), Errno> {
    if (entry.uid, entry.gid) == (0, 0) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    chownat(
        dir,
        name,
        Some(user),
        Some(group),
        AtFlags::SYMLINK_NOFOLLOW,
    )
}

/// Sets the time of the last change, in nanoseconds since 1970.
fn stamp(dir: BorrowedFd<'_>, name: &str, nanoseconds: i64) -> Result<(), Errno> {
    const SECOND: i64 = 1_000_000_000;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: nanoseconds.div_euclid(SECOND),
            tv_nsec: nanoseconds.rem_euclid(SECOND),
        },
    };
    utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}
