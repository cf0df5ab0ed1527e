//! Copying one source with all that is in it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dhow_archive::fd::{
    Target, is_dir, is_whiteout, join, mtime, names, open_dir, open_in_root, open_parent, set_mode,
    set_xattrs, split, stat, times, untouched, xattrs,
};
use dhow_dockerfile::IgnorePatterns;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timestamps, fchmod, fchown, fstat, ftruncate, futimens,
    linkat, mkdirat, mknodat, openat, readlinkat, symlinkat, unlinkat, utimensat,
};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;

use super::make::{MakeOptions, at, make_directory, set_owner, times_of};
use super::select::{clean, stat_of};
use super::{Cancelled, DEEPEST, Modes, Selected, failed, shown};
use crate::error::Error;

/// How things are copied.
pub(crate) struct Copying<'a> {
    /// The root that is copied to.
    pub(crate) root: BorrowedFd<'a>,
    /// The owner of everything, in place of its own.
    pub(crate) owner: Option<(u32, u32)>,
    /// What permissions become.
    pub(crate) mode: Option<Modes>,
    /// The time of everything, in place of its own.
    pub(crate) epoch: Option<i64>,
    /// What is left out.
    pub(crate) exclude: &'a IgnorePatterns,
    /// Whether owners mean nothing where things are copied from.
    pub(crate) foreign: bool,
    /// Whether archives are unpacked.
    pub(crate) unpack: bool,
    /// Whether to go on.
    pub(crate) cancelled: &'a Cancelled,
    /// The files with several names that have been copied, by device and inode: where to.
    pub(crate) links: HashMap<(u64, u64), Vec<u8>>,
}

/// Copies what was selected in `from` to `destination`, which is a directory if it ends in a slash or is one.
///
/// # Errors
/// Something can't be read or written, or a directory and something else are in each other's way.
pub(crate) fn copy(
    from: BorrowedFd<'_>,
    selected: &Selected,
    destination: &str,
    copying: &mut Copying<'_>,
) -> Result<(), Error> {
    let path = clean(destination.as_bytes());
    let above = copying.made();
    if copying.unpack && super::archive::unpack(from, selected, &path, copying)? {
        return Ok(());
    }
    if is_dir(&selected.stat) {
        let target = make_directory(copying.root, &path, above)?;
        return copying.contents(from, selected, &target, &path);
    }
    let to_directory = destination.ends_with('/') || destination.ends_with("/.") || path.is_empty();
    let existing = open_in_root(copying.root, &path, OFlags::PATH)
        .and_then(fstat)
        .is_ok_and(|stat| is_dir(&stat));
    let path = match to_directory || existing {
        true => {
            make_directory(copying.root, &path, above)?;
            join(&path, split(&selected.name).1)
        }
        false => path,
    };
    // The last component's links are followed too: what they lead to is replaced.
    let real = dhow_archive::fd::resolve(copying.root, &path).map_err(failed("look at", &path))?;
    let (parent, name) = split(&real);
    let parent = make_directory(copying.root, parent, above)?;
    let (source_parent, source_name) = split(&selected.path);
    let source = open_parent(from, source_parent).map_err(failed("open", &selected.path))?;
    let place = Place {
        parent: parent.as_fd(),
        name,
        path: &real,
    };
    untouched_by(&parent, &real, || {
        copying.one(source.as_fd(), source_name, &selected.stat, &place)
    })
}

/// Where something is copied to.
struct Place<'a> {
    parent: BorrowedFd<'a>,
    name: &'a [u8],
    path: &'a [u8],
}

/// A directory on the way.
struct Level {
    from: OwnedFd,
    stat: Stat,
    /// The path from where the copy began.
    path: Vec<u8>,
    /// Opened when something is copied into it.
    to: Option<OwnedFd>,
    names: std::vec::IntoIter<Vec<u8>>,
    /// What its times become at the end.
    times: Option<Timestamps>,
}

impl Copying<'_> {
    /// What directories get that are made for something to be copied into.
    fn made(&self) -> MakeOptions {
        MakeOptions {
            mode: 0o755,
            owner: self.owner,
            epoch: self.epoch,
        }
    }

    /// Copies what is in a directory into the directory `target`, which is at `path` of the root.
    fn contents(
        &mut self,
        from: BorrowedFd<'_>,
        selected: &Selected,
        target: &OwnedFd,
        path: &[u8],
    ) -> Result<(), Error> {
        let real = dhow_archive::fd::resolve(self.root, path).map_err(failed("look at", path))?;
        let top = open_in_root(from, &selected.path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(failed("open", &selected.path))?;
        let before = times_of(target).map_err(failed("look at", path))?;
        let target = target
            .try_clone()
            .map_err(|e| Error::file("open", shown(path), e))?;
        let mut levels = vec![Level {
            names: names(top.as_fd())
                .map_err(failed("list", &selected.path))?
                .into_iter(),
            from: top,
            stat: selected.stat,
            path: Vec::new(),
            to: Some(target),
            times: Some(before),
        }];
        let include = selected.include.as_ref();
        while let Some(level) = levels.last_mut() {
            self.cancelled.check()?;
            match level.names.next() {
                Some(name) => self.entry(&mut levels, &name, &real, include)?,
                None => {
                    let level = levels.pop().expect("it was there just now");
                    self.leave(level)?;
                }
            }
        }
        Ok(())
    }

    /// A directory is done: its times are set, as they have changed with every file.
    fn leave(&self, level: Level) -> Result<(), Error> {
        let (Some(to), Some(times)) = (&level.to, &level.times) else {
            return Ok(());
        };
        utimensat(to, ".", times, AtFlags::empty()).map_err(failed("set times of", &level.path))
    }

    fn entry(
        &mut self,
        levels: &mut Vec<Level>,
        name: &[u8],
        base: &[u8],
        include: Option<&IgnorePatterns>,
    ) -> Result<(), Error> {
        let level = levels.last().expect("called with a level");
        let path = join(&level.path, name);
        let found = match stat(&level.from, name) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(failed("look at", &path)(e)),
        };
        let text = String::from_utf8_lossy(&path);
        let excluded = !self.exclude.is_empty() && self.exclude.excludes(&text);
        let included = include.is_none_or(|include| include.excludes(&text));
        if !is_dir(&found) {
            if excluded || !included {
                return Ok(());
            }
            let last = levels.len() - 1;
            self.open_target(levels, last, base)?;
            let level = &levels[last];
            let target = join(base, &path);
            let place = Place {
                parent: level.to.as_ref().expect("opened just now").as_fd(),
                name,
                path: &target,
            };
            return self.one(level.from.as_fd(), name, &found, &place);
        }
        if excluded && self.exclude.excludes_all_below(&text) {
            return Ok(());
        }
        if levels.len() >= DEEPEST {
            return Err(Error::invalid(format!(
                "{text}: more than {DEEPEST} directories within each other"
            )));
        }
        let from = open_dir(&level.from, name).map_err(failed("open", &path))?;
        levels.push(Level {
            names: names(from.as_fd())
                .map_err(failed("list", &path))?
                .into_iter(),
            from,
            stat: found,
            path,
            to: None,
            times: None,
        });
        match excluded || !included {
            true => Ok(()),
            false => {
                let last = levels.len() - 1;
                self.open_target(levels, last, base)
            }
        }
    }

    /// Has the directory of a level there, and those above it, with the attributes of what they are copied from.
    fn open_target(&self, levels: &mut [Level], last: usize, base: &[u8]) -> Result<(), Error> {
        let first = levels[..=last].iter().position(|level| level.to.is_none());
        let Some(first) = first else {
            return Ok(());
        };
        for n in first..=last {
            let parent = levels[n - 1].to.as_ref().expect("the top is open");
            let level = &levels[n];
            let name = split(&level.path).1;
            let target = join(base, &level.path);
            let to = self.directory(parent, name, level, &target)?;
            let times = self.times(&level.stat);
            levels[n].to = Some(to);
            levels[n].times = Some(times);
        }
        Ok(())
    }

    fn directory(
        &self,
        parent: &OwnedFd,
        name: &[u8],
        level: &Level,
        target: &[u8],
    ) -> Result<OwnedFd, Error> {
        match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let there = stat(parent, name).map_err(failed("look at", target))?;
                if !is_dir(&there) {
                    return Err(Error::invalid(format!(
                        "cannot copy to non-directory: {}",
                        shown(target)
                    )));
                }
            }
            Err(e) => return Err(failed("mkdir", target)(e)),
        }
        let finish = || {
            let to = open_dir(parent, name)?;
            let owner = self.owner_of(&level.stat);
            fchown(
                &to,
                Some(Uid::from_raw(owner.0)),
                Some(Gid::from_raw(owner.1)),
            )?;
            fchmod(&to, Mode::from_raw_mode(self.mode_of(&level.stat)))?;
            let found = xattrs(Target::File(level.from.as_fd()))?;
            set_xattrs(Target::File(to.as_fd()), &found)?;
            Ok(to)
        };
        finish().map_err(failed("set attributes of", target))
    }

    /// Copies something that is no directory.
    fn one(
        &mut self,
        source: BorrowedFd<'_>,
        name: &[u8],
        found: &Stat,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        self.cancelled.check()?;
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind == FileType::Socket || is_whiteout(found) {
            return Ok(());
        }
        if let Some(there) = stat_of_name(place).map_err(failed("look at", place.path))? {
            if is_dir(&there) {
                return Err(Error::invalid(format!(
                    "cannot replace to directory {} with file",
                    shown(place.path)
                )));
            }
            unlinkat(place.parent, place.name, AtFlags::empty())
                .map_err(failed("replace", place.path))?;
        }
        if self.link(found, place)? {
            return Ok(());
        }
        match kind {
            FileType::RegularFile => self.file(source, name, place),
            _ => self.other(source, name, found, place),
        }
        .map_err(|e| Error::file("copy", shown(place.path), e))?;
        if found.st_nlink > 1 {
            let id = (found.st_dev, found.st_ino);
            self.links.insert(id, place.path.to_vec());
        }
        Ok(())
    }

    /// Makes another name of a file that has been copied already, if it was.
    fn link(&self, found: &Stat, place: &Place<'_>) -> Result<bool, Error> {
        if found.st_nlink < 2 {
            return Ok(false);
        }
        let Some(first) = self.links.get(&(found.st_dev, found.st_ino)) else {
            return Ok(false);
        };
        let (parent, name) = split(first);
        let linked = open_parent(self.root, parent)
            .and_then(|parent| linkat(&parent, name, place.parent, place.name, AtFlags::empty()));
        match linked {
            Ok(()) => Ok(true),
            // Replaced since by something else of the same copy.
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(failed("link", place.path)(e)),
        }
    }

    fn file(&self, source: BorrowedFd<'_>, name: &[u8], place: &Place<'_>) -> io::Result<()> {
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut from = File::from(openat(source, name, read, Mode::empty())?);
        let stat = fstat(&from)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::INVAL.into()); // replaced meanwhile
        }
        let mut to = File::from(openat(
            place.parent,
            place.name,
            write,
            Mode::RUSR | Mode::WUSR,
        )?);
        copy_bytes(&mut from, &mut to, &stat)?;
        let owner = self.owner_of(&stat);
        if owner != (0, 0) {
            fchown(
                &to,
                Some(Uid::from_raw(owner.0)),
                Some(Gid::from_raw(owner.1)),
            )?;
        }
        fchmod(&to, Mode::from_raw_mode(self.mode_of(&stat)))?;
        let found = xattrs(Target::File(from.as_fd()))?;
        if !found.is_empty() {
            set_xattrs(Target::File(to.as_fd()), &found)?;
        }
        Ok(futimens(&to, &self.times(&stat))?)
    }

    fn other(
        &self,
        source: BorrowedFd<'_>,
        name: &[u8],
        found: &Stat,
        place: &Place<'_>,
    ) -> io::Result<()> {
        let kind = FileType::from_raw_mode(found.st_mode);
        match kind {
            FileType::Symlink => {
                let target = readlinkat(source, name, Vec::new())?;
                symlinkat(target, place.parent, place.name)?;
            }
            kind => {
                let mode = Mode::from_raw_mode(0o600);
                mknodat(place.parent, place.name, kind, mode, found.st_rdev)?;
            }
        }
        set_owner(place.parent, place.name, self.owner_of(found))?;
        if kind != FileType::Symlink {
            set_mode(place.parent, place.name, self.mode_of(found))?;
        }
        let attributes = xattrs(Target::Name(source, name))?;
        if !attributes.is_empty() {
            set_xattrs(Target::Name(place.parent, place.name), &attributes)?;
        }
        let times = self.times(found);
        Ok(utimensat(
            place.parent,
            place.name,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    fn owner_of(&self, stat: &Stat) -> (u32, u32) {
        let own = match self.foreign {
            true => (0, 0),
            false => (stat.st_uid, stat.st_gid),
        };
        self.owner.unwrap_or(own)
    }

    fn mode_of(&self, stat: &Stat) -> u32 {
        let mode = stat.st_mode & 0o7777;
        match &self.mode {
            Some(modes) => modes.apply(mode, is_dir(stat)),
            None => mode,
        }
    }

    fn times(&self, stat: &Stat) -> Timestamps {
        match self.epoch {
            Some(epoch) => at(epoch),
            None => times(mtime(stat)),
        }
    }
}

fn stat_of_name(place: &Place<'_>) -> Result<Option<Stat>, Errno> {
    stat_of(place.parent, place.name)
}

fn untouched_by(
    directory: &OwnedFd,
    path: &[u8],
    act: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let mut result = Ok(());
    untouched(directory, || {
        result = act();
        Ok(())
    })
    .map_err(failed("set times of", path))?;
    result
}

/// Copies a file's bytes, and leaves out what is a hole.
fn copy_bytes(from: &mut File, to: &mut File, stat: &Stat) -> io::Result<()> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let stored = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    if stored >= size {
        io::copy(from, to)?;
        return Ok(());
    }
    let mut position = 0;
    while position < size {
        let start = match rustix::fs::seek(&*from, rustix::fs::SeekFrom::Data(position)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(e) => return Err(e.into()),
        };
        let end = rustix::fs::seek(&*from, rustix::fs::SeekFrom::Hole(start))?;
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        let piece = &mut io::Read::take(&mut *from, end - start);
        io::copy(piece, to)?;
        position = end;
    }
    to.flush()?;
    Ok(ftruncate(&*to, size)?)
}
