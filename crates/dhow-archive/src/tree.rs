//! A file tree into a tar.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, major, minor, openat, openat2,
    readlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::Error;
use crate::at::{is_whiteout, mtime, stat_if_there, untouched};
use crate::names::{as_path, join, split, to_path};
use crate::tar::{Header, Kind, Mtime, Sink, Writer};
use crate::walk::{Entry, walk};
use crate::xattrs::{self, Target};

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// The entries.
    pub entries: u64,
    /// The bytes of the files' contents, as the sum of their sizes.
    pub bytes: u64,
}

/// Writes trees into one archive.
pub(crate) struct TreeWriter<'a, W> {
    writer: Writer<W>,
    /// Whether overlayfs' marks are turned into those of a layer's tar.
    layer: bool,
    /// What is below a layer that is being made; whiteouts of nothing are removed then.
    below: Option<Option<BorrowedFd<'a>>>,
    /// The files with several names that have been written, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    written: Written,
}

impl<'a, W: Sink> TreeWriter<'a, W> {
    pub(crate) fn new(out: W, layer: bool) -> Self {
        Self {
            writer: Writer::new(out),
            layer,
            below: None,
            links: HashMap::new(),
            written: Written::default(),
        }
    }

    /// The same for a layer on top of `lower`.
    pub(crate) fn over(mut self, lower: Option<BorrowedFd<'a>>) -> Self {
        self.below = Some(lower);
        self
    }

    /// Writes all that is in the directory `top`; names begin with `prefix`.
    pub(crate) fn contents(&mut self, top: &OwnedFd, prefix: &[u8]) -> Result<(), Error> {
        walk(top, &mut |entry| {
            let name = [prefix, entry.path].concat();
            self.entry(entry, &name)
        })
    }

    /// Writes one file, or the directory without what is in it, as `name`.
    pub(crate) fn entry(&mut self, entry: &Entry<'_>, name: &[u8]) -> Result<(), Error> {
        let stat = entry.stat;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice if self.layer && is_whiteout(stat) => {
                return self.whiteout(entry, name);
            }
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Fifo => Kind::Fifo,
            // A socket is nothing without its process.
            FileType::Socket | FileType::Unknown => return Ok(()),
        };
        let mut header = header(name, kind, stat);
        if kind != Kind::Directory && stat.st_nlink > 1 {
            let first = self.links.entry((stat.st_dev, stat.st_ino));
            match first {
                std::collections::hash_map::Entry::Occupied(first) => {
                    header.kind = Kind::Hardlink;
                    header.link.clone_from(first.get());
                    return self.put(&header);
                }
                std::collections::hash_map::Entry::Vacant(first) => {
                    first.insert(to_path(name));
                }
            }
        }
        match kind {
            Kind::File => self.file(entry, header),
            Kind::Directory => self.directory(entry, header),
            _ => self.other(entry, header),
        }
    }

    pub(crate) fn finish(self) -> Result<(W, Written), Error> {
        Ok((self.writer.finish()?, self.written))
    }

    fn put(&mut self, header: &Header) -> Result<(), Error> {
        self.written.entries += 1;
        self.writer.entry(header)
    }

    fn file(&mut self, entry: &Entry<'_>, mut header: Header) -> Result<(), Error> {
        let failed = |step| move |e: Errno| Error::file(step, as_path(entry.path), e);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(entry.parent, entry.name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
            Err(e) => return Err(failed("open")(e)),
        };
        let stat = fstat(&file).map_err(failed("look at"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(()); // replaced while the tree was walked
        }
        header.size = u64::try_from(stat.st_size).unwrap_or(0);
        header.xattrs =
            xattrs::read(Target::File(file.as_fd())).map_err(failed("read attributes of"))?;
        self.written.entries += 1;
        self.written.bytes += header.size;
        self.writer.file(&header, File::from(file))
    }

    fn directory(&mut self, entry: &Entry<'_>, mut header: Header) -> Result<(), Error> {
        let Some(directory) = entry.directory else {
            return Ok(());
        };
        header.xattrs = xattrs::read(Target::File(directory))
            .map_err(|e| Error::file("read attributes of", as_path(entry.path), e))?;
        self.put(&header)?;
        if self.layer && xattrs::is_opaque(directory) {
            let name = join(header.path.as_os_str().as_bytes(), b".wh..wh..opq");
            let mark = Header {
                mtime: header.mtime,
                ..Header::file(to_path(&name), 0o600, 0)
            };
            self.put(&mark)?;
        }
        Ok(())
    }

    fn other(&mut self, entry: &Entry<'_>, mut header: Header) -> Result<(), Error> {
        let failed = |step| move |e: Errno| Error::file(step, as_path(entry.path), e);
        if header.kind == Kind::Symlink {
            let target = match readlinkat(entry.parent, entry.name, Vec::new()) {
                Ok(target) => target,
                Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
                Err(e) => return Err(failed("read link")(e)),
            };
            header.link = PathBuf::from(OsStr::from_bytes(target.to_bytes()));
        }
        header.xattrs = match xattrs::read(Target::Name(entry.parent, entry.name)) {
            Err(Errno::NOENT) => return Ok(()),
            result => result.map_err(failed("read attributes of"))?,
        };
        self.put(&header)
    }

    fn whiteout(&mut self, entry: &Entry<'_>, name: &[u8]) -> Result<(), Error> {
        if let Some(below) = self.below
            && !below.is_some_and(|below| is_there(below, entry.path))
        {
            return untouched(entry.parent, || {
                unlinkat(entry.parent, entry.name, AtFlags::empty())
            })
            .map_err(|e| Error::file("remove", as_path(entry.path), e));
        }
        let parent = &name[..name.len() - entry.name.len()];
        let name = [parent, b".wh.", entry.name].concat();
        let mtime = seconds(entry.stat);
        self.put(&Header {
            mtime,
            ..Header::file(to_path(&name), 0o600, 0)
        })
    }
}

/// Whether there is anything at this path, which leads through directories only.
fn is_there(root: BorrowedFd<'_>, path: &[u8]) -> bool {
    let (parent, name) = split(path);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let parent = match parent {
        b"" => b".",
        parent => parent,
    };
    openat2(root, parent, flags, Mode::empty(), resolve)
        .and_then(|parent| stat_if_there(parent, name))
        .is_ok_and(|found| found.is_some())
}

/// What a tar says about a file; times in whole seconds, as Docker writes them.
fn header(name: &[u8], kind: Kind, stat: &Stat) -> Header {
    let device = match kind {
        Kind::CharDevice | Kind::BlockDevice => (major(stat.st_rdev), minor(stat.st_rdev)),
        _ => (0, 0),
    };
    Header {
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: seconds(stat),
        ..Header::node(to_path(name), kind, stat.st_mode & 0o7777, device)
    }
}

fn seconds(stat: &Stat) -> Mtime {
    Mtime {
        nanoseconds: 0,
        ..mtime(stat)
    }
}
