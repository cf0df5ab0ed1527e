//! The digest of what is taken of a tree: names, kinds, permissions, owners, attributes, targets of links and content; no
//! times. A file that is only touched, or a tree that is cloned anew, is the same.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_archive::fd::{
    Target, is_dir, join, names, open_dir, open_in_root, open_parent, split, stat, xattrs,
};
use dhow_dockerfile::IgnorePatterns;
use dhow_oci::{Digest, Hasher};
use rustix::fs::{FileType, Mode, OFlags, Stat, openat, readlinkat};
use rustix::io::Errno;

use crate::client::Tree;
use crate::copy::{Cancelled, DEEPEST, Selected, Selection, failed};
use crate::error::Error;
use crate::key::KeyWriter;

const BUFFER: usize = 256 << 10;

/// Digests what is selected of one tree.
pub(crate) struct Digester<'a> {
    /// The tree's root.
    pub(crate) root: BorrowedFd<'a>,
    /// Tells what files hold, if it is known.
    pub(crate) known: Option<&'a dyn Tree>,
    /// Whether owners mean something.
    pub(crate) owners: bool,
    /// Whether to go on.
    pub(crate) cancelled: &'a Cancelled,
    buffer: Vec<u8>,
}

/// A directory on the way.
struct Level {
    directory: OwnedFd,
    path: Vec<u8>,
    names: std::vec::IntoIter<Vec<u8>>,
}

impl<'a> Digester<'a> {
    pub(crate) fn new(
        root: BorrowedFd<'a>,
        known: Option<&'a dyn Tree>,
        owners: bool,
        cancelled: &'a Cancelled,
    ) -> Self {
        Self {
            root,
            known,
            owners,
            cancelled,
            buffer: Vec::new(),
        }
    }

    /// The digest of all of a selection.
    ///
    /// # Errors
    /// Something can't be read.
    pub(crate) fn selection(&mut self, selection: &Selection) -> Result<Digest, Error> {
        let mut key = KeyWriter::new("selection");
        for selected in &selection.sources {
            // A directory's own name means nothing: what is in it is copied.
            match is_dir(&selected.stat) {
                true => key.number(1),
                false => key.number(0).bytes(split(&selected.name).1),
            };
            self.selected(selected, &selection.exclude, &mut key)?;
        }
        Ok(key.finish())
    }

    fn selected(
        &mut self,
        selected: &Selected,
        exclude: &IgnorePatterns,
        key: &mut KeyWriter,
    ) -> Result<(), Error> {
        let unreadable = failed("open", &selected.path);
        if !is_dir(&selected.stat) {
            let (parent, name) = split(&selected.path);
            let parent = open_parent(self.root, parent).map_err(unreadable)?;
            return self.one(&parent, name, &selected.path, &selected.stat, key);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let top = open_in_root(self.root, &selected.path, flags).map_err(unreadable)?;
        let mut levels = vec![Level {
            names: names(top.as_fd()).map_err(unreadable)?.into_iter(),
            directory: top,
            path: Vec::new(),
        }];
        let include = selected.include.as_ref();
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            self.cancelled.check()?;
            let path = join(&level.path, &name);
            let found = stat(&level.directory, &name).map_err(failed("look at", &path))?;
            let (skip, descend) = wanted(&path, is_dir(&found), exclude, include);
            if !skip {
                let full = join(&selected.path, &path);
                key.number(levels.len() as u64).bytes(&path);
                let level = levels.last().expect("not popped");
                self.one(&level.directory, &name, &full, &found, key)?;
            }
            if descend {
                if levels.len() >= DEEPEST {
                    return Err(failed("enter", &path)(Errno::NAMETOOLONG));
                }
                let level = levels.last().expect("not popped");
                let directory = open_dir(&level.directory, &name).map_err(failed("open", &path))?;
                levels.push(Level {
                    names: names(directory.as_fd())
                        .map_err(failed("list", &path))?
                        .into_iter(),
                    directory,
                    path,
                });
            }
        }
        Ok(())
    }

    /// One file, or a directory without what is in it.
    fn one(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        path: &[u8],
        found: &Stat,
        key: &mut KeyWriter,
    ) -> Result<(), Error> {
        let unreadable = failed("read", path);
        key.number(found.st_mode.into());
        if self.owners {
            key.number(found.st_uid.into()).number(found.st_gid.into());
        }
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {
                let digest = self.file(parent, name, path)?;
                key.digest(&digest);
            }
            FileType::Symlink => {
                let target = readlinkat(parent, name, Vec::new()).map_err(unreadable)?;
                key.bytes(target.to_bytes());
            }
            FileType::BlockDevice | FileType::CharacterDevice => {
                key.number(found.st_rdev);
            }
            _ => {}
        }
        // The client's files come without any but in rare cases; asking costs as much as all the rest.
        if self.owners || self.known.is_none() {
            let attributes = xattrs(Target::Name(parent.as_fd(), name)).map_err(unreadable)?;
            for attribute in attributes {
                key.bytes(&attribute.name).bytes(&attribute.value);
            }
        }
        Ok(())
    }

    fn file(&mut self, parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Digest, Error> {
        use std::os::unix::ffi::OsStrExt;
        let as_path = Path::new(std::ffi::OsStr::from_bytes(path));
        if let Some(digest) = self.known.and_then(|tree| tree.digest(as_path)) {
            return Ok(digest);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file =
            File::from(openat(parent, name, flags, Mode::empty()).map_err(failed("open", path))?);
        self.buffer.resize(BUFFER, 0);
        let mut hasher = Hasher::new();
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(length) => hasher.update(&self.buffer[..length]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::file("read", crate::copy::shown(path), e)),
            }
            self.cancelled.check()?;
        }
    }
}

/// Whether a path is left out, and whether what is below it may be taken.
fn wanted(
    path: &[u8],
    directory: bool,
    exclude: &IgnorePatterns,
    include: Option<&IgnorePatterns>,
) -> (bool, bool) {
    if exclude.is_empty() && include.is_none() {
        return (false, directory);
    }
    let text = String::from_utf8_lossy(path);
    let excluded = !exclude.is_empty() && exclude.excludes(&text);
    let included = include.is_none_or(|include| include.excludes(&text));
    let closed = excluded && exclude.excludes_all_below(&text);
    (excluded || !included, directory && !closed)
}
