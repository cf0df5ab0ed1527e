//! Copying an image's content into a new volume.
//!
//! Both trees are only ever reached through directory descriptors: neither an image nor a container that has the
//! volume open can lead the copy elsewhere with symbolic links.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;

/// Deeper trees are refused; each level holds two descriptors.
const DEPTH: usize = 256;

/// A failed step of the copy.
#[derive(Debug, thiserror::Error)]
#[error("{step} {}", path.display())]
pub struct PopulateError {
    step: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Copies the tree under the directory `source` into the directory `target` when `target` is empty, with owners,
/// modes, times, xattrs, symbolic links, hard links and device nodes, and gives `target` the owner, mode and times of
/// `source`. Returns whether the target was empty.
///
/// # Errors
/// The first file that could not be copied. The target is not empty then.
pub fn populate(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<bool, PopulateError> {
    let root = Path::new(".");
    let open = |fd, step| {
        rustix::fs::openat(fd, c".", DIRECTORY, Mode::empty())
            .map_err(|errno| failure(step, root, errno))
    };
    let (from, to) = (
        open(source, "open image directory")?,
        open(target, "open volume")?,
    );
    if !is_empty(to.as_fd()).map_err(|errno| failure("read volume", root, errno))? {
        return Ok(false);
    }
    let stat = rustix::fs::fstat(&from).map_err(|errno| failure("look at", root, errno))?;
    let mut copy = Copy {
        target: to.as_fd(),
        links: HashMap::new(),
        path: PathBuf::new(),
    };
    copy.directory(from.as_fd(), to.as_fd())?;
    copy.finish(from.as_fd(), to.as_fd(), &stat)?;
    Ok(true)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

fn failure(step: &'static str, path: &Path, source: impl Into<io::Error>) -> PopulateError {
    PopulateError {
        step,
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Whether a directory has no entries.
pub(crate) fn is_empty(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A copy under way.
struct Copy<'a> {
    target: BorrowedFd<'a>,
    /// Where a file with several names has been copied to, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    /// Where the copy is, relative to both roots.
    path: PathBuf,
}

impl Copy<'_> {
    /// Copies what is in one directory into another.
    fn directory(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), PopulateError> {
        if self.path.components().count() > DEPTH {
            return Err(self.failed("descend into")(Errno::NAMETOOLONG));
        }
        let entries = Dir::read_from(from).map_err(self.failed("read directory"))?;
        for entry in entries {
            let entry = entry.map_err(self.failed("read directory"))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.path.push(std::ffi::OsStr::from_bytes(name.to_bytes()));
            self.entry(from, to, name)?;
            self.path.pop();
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<(), PopulateError> {
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.failed("look at"))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                return self.link(first, to, name).map_err(self.failed("link"));
            }
            self.links
                .insert((stat.st_dev, stat.st_ino), self.path.clone());
        }
        match kind {
            FileType::Directory => {
                let source = rustix::fs::openat(from, name, DIRECTORY, Mode::empty())
                    .map_err(self.failed("open"))?;
                rustix::fs::mkdirat(to, name, Mode::RWXU).map_err(self.failed("make directory"))?;
                let made = rustix::fs::openat(to, name, DIRECTORY, Mode::empty())
                    .map_err(self.failed("open"))?;
                self.directory(source.as_fd(), made.as_fd())?;
                self.finish(source.as_fd(), made.as_fd(), &stat)
            }
            FileType::RegularFile => self.file(from, to, name, &stat),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())
                    .map_err(self.failed("read link"))?;
                rustix::fs::symlinkat(&target, to, name).map_err(self.failed("make link"))?;
                self.own_by_name(to, name, &stat)
            }
            _ => {
                let mode = Mode::from_raw_mode(stat.st_mode);
                rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)
                    .map_err(self.failed("make node"))?;
                self.own_by_name(to, name, &stat)?;
                // Nobody but root can have replaced it: the directory it is in is still the copy's own.
                rustix::fs::chmodat(to, name, mode, AtFlags::empty())
                    .map_err(self.failed("set the mode of"))
            }
        }
    }

    fn file(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
    ) -> Result<(), PopulateError> {
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let write =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source =
            rustix::fs::openat(from, name, read, Mode::empty()).map_err(self.failed("open"))?;
        let made = rustix::fs::openat(to, name, write, Mode::RUSR | Mode::WUSR)
            .map_err(self.failed("create"))?;
        let (mut source, mut made) = (File::from(source), File::from(made));
        copy_data(
            &mut source,
            &mut made,
            u64::try_from(stat.st_size).unwrap_or(0),
        )
        .map_err(|error| failure("copy", &self.path, error))?;
        self.finish(source.as_fd(), made.as_fd(), stat)
    }

    /// Makes a further name for a file that is there already.
    fn link(&self, first: &Path, to: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let parent = first
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let parent: OwnedFd = rustix::fs::openat2(
            self.target,
            parent,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )?;
        rustix::fs::linkat(
            parent,
            first.file_name().unwrap_or_default(),
            to,
            name,
            AtFlags::empty(),
        )
    }

    /// Gives what was copied its owner, mode, xattrs and times; in this order, since each step undoes later ones.
    fn finish(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        stat: &Stat,
    ) -> Result<(), PopulateError> {
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(to, Some(owner), Some(group))
            .map_err(self.failed("set the owner of"))?;
        rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))
            .map_err(self.failed("set the mode of"))?;
        copy_xattrs(from, to).map_err(self.failed("set the attributes of"))?;
        rustix::fs::futimens(to, &times(stat)).map_err(self.failed("set the times of"))
    }

    fn own_by_name(
        &self,
        to: BorrowedFd<'_>,
        name: &CStr,
        stat: &Stat,
    ) -> Result<(), PopulateError> {
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(
            to,
            name,
            Some(owner),
            Some(group),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(self.failed("set the owner of"))?;
        rustix::fs::utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.failed("set the times of"))
    }

    fn failed(&self, step: &'static str) -> impl Fn(Errno) -> PopulateError + use<'_> {
        move |errno| failure(step, &self.path, errno)
    }
}

#[allow(
    clippy::useless_conversion,
    reason = "the fields' types differ between architectures"
)]
fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime.into(), stat.st_atime_nsec.into()),
        last_modification: time(stat.st_mtime.into(), stat.st_mtime_nsec.into()),
    }
}

/// Copies `length` bytes, but not the holes among them.
fn copy_data(source: &mut File, target: &mut File, length: u64) -> io::Result<()> {
    let mut position = 0;
    while position < length {
        let start = match rustix::fs::seek(&*source, rustix::fs::SeekFrom::Data(position)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => position,
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(&*source, rustix::fs::SeekFrom::Hole(start))
            .unwrap_or(length)
            .min(length);
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        // `io::copy` lets the kernel do it (copy_file_range) where that is possible.
        let copied = io::copy(
            &mut io::Read::take(&mut *source, end.saturating_sub(start)),
            target,
        )?;
        if copied == 0 {
            break;
        }
        position = start + copied;
    }
    target.set_len(length)
}

/// Copies extended attributes but those that make an overlay of its layers.
fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut names = vec![0; 64 * 1024];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    for name in names[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let Ok(name) = CString::new(name) else {
            continue;
        };
        let mut value = vec![0; 64 * 1024];
        let length = match rustix::fs::fgetxattr(from, &name, &mut value[..]) {
            Ok(length) => length,
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(errno),
        };
        match rustix::fs::fsetxattr(to, &name, &value[..length], XattrFlags::empty()) {
            // The volume's file system may know none, or the host's policy may forbid labels.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
