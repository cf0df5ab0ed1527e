//! Walking a tree by descriptors, in the order of the names.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::vec::IntoIter;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, Stat, openat2};
use rustix::io::Errno;

use crate::Error;
use crate::at::{is_dir, open_dir, stat_if_there};
use crate::names::{as_path, join};

/// How many directories of the path to the current one are kept open.
const OPEN: usize = 32;

/// One file of a tree.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) parent: BorrowedFd<'a>,
    pub(crate) name: &'a [u8],
    /// The path from the top.
    pub(crate) path: &'a [u8],
    pub(crate) stat: &'a Stat,
    /// The file itself, opened for reading, if it is a directory.
    pub(crate) directory: Option<BorrowedFd<'a>>,
}

/// Calls `visit` for all that is below `top`, a directory before what is in it. What disappears meanwhile is left out.
pub(crate) fn walk(
    top: &OwnedFd,
    visit: &mut dyn FnMut(&Entry<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut frames = vec![Frame::new(None, top, Vec::new())?];
    while let Some(frame) = frames.last_mut() {
        let Some(name) = frame.names.next() else {
            frames.pop();
            continue;
        };
        let path = join(&frame.path, &name);
        let failed = |e| Error::file("look at", as_path(&path), e);
        if frame.directory.is_none() && !frame.path.is_empty() {
            frame.directory = Some(reopen(top, &frame.path).map_err(failed)?);
        }
        let parent = frame.directory.as_ref().unwrap_or(top);
        let Some(stat) = stat_if_there(parent, &name).map_err(failed)? else {
            continue;
        };
        let directory = match is_dir(&stat) {
            false => None,
            true => match open_dir(parent, &name) {
                Ok(directory) => Some(directory),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(e) => return Err(failed(e)),
            },
        };
        visit(&Entry {
            parent: parent.as_fd(),
            name: &name,
            path: &path,
            stat: &stat,
            directory: directory.as_ref().map(AsFd::as_fd),
        })?;
        if let Some(directory) = directory {
            frames.push(Frame::new(Some(directory), top, path)?);
            let count = frames.len();
            if count > OPEN {
                frames[count - OPEN].directory = None;
            }
        }
    }
    Ok(())
}

/// A directory on the way, and what is still to be visited in it.
struct Frame {
    /// `None`: the top, or closed for the time being.
    directory: Option<OwnedFd>,
    names: IntoIter<Vec<u8>>,
    path: Vec<u8>,
}

impl Frame {
    fn new(directory: Option<OwnedFd>, top: &OwnedFd, path: Vec<u8>) -> Result<Self, Error> {
        let names = names(directory.as_ref().unwrap_or(top).as_fd())
            .map_err(|e| Error::file("list", as_path(&path), e))?;
        Ok(Self {
            directory,
            names: names.into_iter(),
            path,
        })
    }
}

/// The names in a directory, sorted.
pub fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn reopen(top: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(
        top,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    )
}
