//! What an overlay upper directory changes, for `docker diff`.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;

use crate::Error;
use crate::at::{is_dir, is_whiteout, open_dir};
use crate::names::{as_path, join, split, to_path};
use crate::walk::{Entry, names, walk};
use crate::xattrs::is_opaque;

/// The kind of a change; the numbers are Docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Exists below as well.
    Modified = 0,
    /// Does not exist below.
    Added = 1,
    /// Exists below only.
    Deleted = 2,
}

/// A path that differs from what is below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The absolute path in the container.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// Lists what `upper` changes over `lower`, the merged view of everything below it (`None`: nothing is below); sorted
/// by path, directories that contain a change included.
///
/// # Errors
/// When a directory can't be read.
pub fn changes(upper: BorrowedFd<'_>, lower: Option<BorrowedFd<'_>>) -> Result<Vec<Change>, Error> {
    let top = open_dir(upper, b"").map_err(|e| Error::file("open", as_path(b""), e))?;
    let mut comparison = Comparison {
        lower,
        found: BTreeMap::new(),
    };
    walk(&top, &mut |entry| {
        comparison
            .entry(entry)
            .map_err(|e| Error::file("compare", as_path(entry.path), e))
    })?;
    let change = |(path, kind): (Vec<u8>, _)| Change {
        path: to_path(&path),
        kind,
    };
    Ok(comparison.found.into_iter().map(change).collect())
}

struct Comparison<'a> {
    lower: Option<BorrowedFd<'a>>,
    found: BTreeMap<Vec<u8>, ChangeKind>,
}

impl Comparison<'_> {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Errno> {
        let below = self.below(entry.path)?;
        let kind = match (&below, is_whiteout(entry.stat)) {
            (_, true) => ChangeKind::Deleted,
            (None, _) => ChangeKind::Added,
            (Some(below), _) if is_dir(below) && same_directory(below, entry.stat) => {
                return self.hidden(entry);
            }
            (Some(_), _) => ChangeKind::Modified,
        };
        self.add(entry.path, kind);
        match below {
            Some(_) => self.hidden(entry),
            None => Ok(()),
        }
    }

    /// What an opaque directory hides is deleted.
    fn hidden(&mut self, entry: &Entry<'_>) -> Result<(), Errno> {
        let Some(directory) = entry.directory.filter(|directory| is_opaque(directory)) else {
            return Ok(());
        };
        let (Some(lower), here) = (self.lower, names(directory)?) else {
            return Ok(());
        };
        let below = match beneath(lower, entry.path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(below) => names(below.as_fd())?,
            Err(Errno::NOTDIR) => Vec::new(),
            Err(e) => return Err(e),
        };
        for name in below
            .iter()
            .filter(|name| here.binary_search(name).is_err())
        {
            self.add(&join(entry.path, name), ChangeKind::Deleted);
        }
        Ok(())
    }

    fn add(&mut self, path: &[u8], kind: ChangeKind) {
        let mut parent = split(path).0;
        while !parent.is_empty() {
            self.found
                .entry([b"/", parent].concat())
                .or_insert(ChangeKind::Modified);
            parent = split(parent).0;
        }
        self.found.insert([b"/", path].concat(), kind);
    }

    /// What is at this very path below, no symbolic link in between.
    fn below(&self, path: &[u8]) -> Result<Option<Stat>, Errno> {
        let Some(lower) = self.lower else {
            return Ok(None);
        };
        match beneath(lower, path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(file) => fstat(file).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn beneath(lower: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(lower, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Whether a directory was only copied up because of something in it.
fn same_directory(below: &Stat, here: &Stat) -> bool {
    let key = |stat: &Stat| {
        (
            stat.st_mode,
            stat.st_uid,
            stat.st_gid,
            stat.st_mtime,
            stat.st_mtime_nsec,
        )
    };
    key(below) == key(here)
}
