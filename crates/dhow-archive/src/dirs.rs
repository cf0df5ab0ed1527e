//! The directories of a tree being unpacked: kept open for their next entry, and completed at the end.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, futimens, mkdirat, readlinkat, unlinkat};
use rustix::io::Errno;

use crate::at::{is_dir, is_whiteout, open_in_root, open_parent, stat, times};
use crate::names::{as_path, follow, split};
use crate::tar::{Header, Mtime, Xattr};
use crate::xattrs::{self, Target};
use crate::{Error, attributes};

/// How many directories are kept open.
const OPEN: usize = 32;

/// How many symbolic links may lead on from one to the other; the kernel's number.
const MOST_LINKS: usize = 40;

/// The mode of a directory until its own is set, and of those nobody mentions.
pub(crate) const NEW: u32 = 0o755;

/// The directories below one root.
#[derive(Debug)]
pub(crate) struct Directories {
    pub(crate) root: Rc<OwnedFd>,
    open: HashMap<Vec<u8>, Rc<OwnedFd>>,
    made: BTreeMap<Vec<u8>, Made>,
    /// Whether a parent that is a whiteout becomes an opaque directory.
    layer: bool,
}

/// A directory that was made or mentioned.
#[derive(Debug, Clone)]
struct Made {
    /// Made here, so it has the mode [`NEW`] and the owner of this process.
    fresh: bool,
    /// What the archive says about it; `None` if it doesn't.
    attributes: Option<Attributes>,
}

/// What a directory gets when everything is in it.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: Mtime,
    pub(crate) xattrs: Vec<Xattr>,
}

impl Attributes {
    pub(crate) fn of(header: &Header, owner: (u32, u32)) -> Self {
        Self {
            mode: header.mode,
            owner,
            mtime: header.mtime,
            xattrs: header.xattrs.clone(),
        }
    }
}

impl Directories {
    pub(crate) fn new(root: OwnedFd, layer: bool) -> Self {
        let root = Rc::new(root);
        Self {
            root,
            open: HashMap::new(),
            made: BTreeMap::new(),
            layer,
        }
    }

    /// The directory `path`; made, with its parents, where it is missing.
    pub(crate) fn ensure(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, Error> {
        self.ensure_through(path, 0)
    }

    /// The directory `path` if it is there.
    pub(crate) fn find(&mut self, path: &[u8]) -> Result<Option<Rc<OwnedFd>>, Error> {
        if let Some(directory) = self.cached(path) {
            return Ok(Some(directory));
        }
        match open_parent(&*self.root, path) {
            Ok(directory) => Ok(Some(self.keep(path, directory))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(Error::file("open", as_path(path), e)),
        }
    }

    /// The archive mentions the directory `path`; `fresh` if it was made for that. Where it does so again, the last word
    /// counts, but extended attributes come together.
    pub(crate) fn mention(&mut self, path: &[u8], fresh: bool, mut attributes: Attributes) {
        let before = self.made.remove(path);
        let fresh = fresh || before.as_ref().is_some_and(|made| made.fresh);
        for xattr in before
            .and_then(|made| made.attributes)
            .map(|a| a.xattrs)
            .into_iter()
            .flatten()
        {
            if attributes
                .xattrs
                .iter()
                .all(|known| known.name != xattr.name)
            {
                attributes.xattrs.push(xattr);
            }
        }
        let attributes = Some(attributes);
        self.made.insert(path.to_vec(), Made { fresh, attributes });
    }

    /// Whether `path` is a directory that was made or mentioned.
    pub(crate) fn knows(&self, path: &[u8]) -> bool {
        self.made.contains_key(path)
    }

    /// What was at `path` is no more: neither are the directories below it.
    pub(crate) fn forget(&mut self, path: &[u8]) {
        self.open.clear();
        self.made.remove(path);
        let start = [path, b"/"].concat();
        let end = [path, b"0"].concat(); // the character after the slash
        let below: Vec<Vec<u8>> = self
            .made
            .range(start..end)
            .map(|(path, _)| path.clone())
            .collect();
        for path in below {
            self.made.remove(&path);
        }
    }

    /// Sets what the archive says about its directories; returns those it says nothing about, parents first.
    pub(crate) fn complete(self, umask: u32) -> Result<Vec<Vec<u8>>, Error> {
        let mut implicit = Vec::new();
        for (path, made) in self.made {
            let Some(attributes) = made.attributes else {
                implicit.push(path);
                continue;
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let directory = match open_in_root(&*self.root, &path, flags) {
                Ok(directory) => directory,
                // Replaced by a later entry, under another name of its parent.
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                Err(e) => return Err(Error::file("open", as_path(&path), e)),
            };
            let as_new = made.fresh && umask & NEW == 0;
            set(&directory, &attributes, as_new)
                .map_err(|(step, e)| Error::file(step, as_path(&path), e))?;
        }
        Ok(implicit)
    }

    fn cached(&self, path: &[u8]) -> Option<Rc<OwnedFd>> {
        match path.is_empty() {
            true => Some(Rc::clone(&self.root)),
            false => self.open.get(path).map(Rc::clone),
        }
    }

    fn keep(&mut self, path: &[u8], directory: OwnedFd) -> Rc<OwnedFd> {
        if self.open.len() == OPEN {
            self.open.clear();
        }
        let directory = Rc::new(directory);
        self.open.insert(path.to_vec(), Rc::clone(&directory));
        directory
    }

    fn ensure_through(&mut self, path: &[u8], links: usize) -> Result<Rc<OwnedFd>, Error> {
        let mut there = path;
        let mut directory = loop {
            if let Some(directory) = self.existing(there)? {
                break directory;
            }
            there = split(there).0; // the root exists, so this ends
        };
        while there.len() < path.len() {
            let start = if there.is_empty() { 0 } else { there.len() + 1 };
            let length = path[start..].iter().position(|byte| *byte == b'/');
            let (parent, next) = (
                there,
                &path[..length.map_or(path.len(), |length| start + length)],
            );
            directory = self.make(&directory, parent, next, links)?;
            there = next;
        }
        Ok(directory)
    }

    /// The directory if it can be opened; `None` if it, or something above, must be made first.
    fn existing(&mut self, path: &[u8]) -> Result<Option<Rc<OwnedFd>>, Error> {
        if let Some(directory) = self.cached(path) {
            return Ok(Some(directory));
        }
        match open_parent(&*self.root, path) {
            Ok(directory) => Ok(Some(self.keep(path, directory))),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR) if self.layer => Ok(None),
            Err(e) => Err(Error::file("make directory", as_path(path), e)),
        }
    }

    /// Makes the directory `path`, which nobody mentioned so far, in its parent.
    fn make(
        &mut self,
        parent_dir: &Rc<OwnedFd>,
        parent: &[u8],
        path: &[u8],
        links: usize,
    ) -> Result<Rc<OwnedFd>, Error> {
        let failed = |e| Error::file("make directory", as_path(path), e);
        let name = split(path).1;
        match mkdirat(&**parent_dir, name, Mode::from_raw_mode(NEW)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                if let Ok(target) = readlinkat(&**parent_dir, name, Vec::new()) {
                    // A link to what is not in this tree, but may be in a layer below: it is made here as well.
                    if links == MOST_LINKS {
                        return Err(failed(Errno::LOOP));
                    }
                    let target = follow(parent, target.to_bytes());
                    let directory = self.ensure_through(&target, links + 1)?;
                    self.open.insert(path.to_vec(), Rc::clone(&directory));
                    return Ok(directory);
                }
                let there = stat(&**parent_dir, name).map_err(failed)?;
                match is_dir(&there) {
                    true => {}
                    false if self.layer && is_whiteout(&there) => {
                        self.replace_whiteout(parent_dir, name).map_err(failed)?;
                    }
                    false => return Err(failed(Errno::NOTDIR)),
                }
            }
            Err(e) => return Err(failed(e)),
        }
        self.made.insert(
            path.to_vec(),
            Made {
                fresh: true,
                attributes: None,
            },
        );
        let directory = open_parent(&**parent_dir, name).map_err(failed)?;
        Ok(self.keep(path, directory))
    }

    /// Something below is deleted and a directory put in its place: nothing of what is below shines through.
    pub(crate) fn replace_whiteout(&self, parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        unlinkat(parent, name, AtFlags::empty())?;
        mkdirat(parent, name, Mode::from_raw_mode(NEW))?;
        xattrs::set_opaque(open_parent(parent, name)?)
    }
}

fn set(
    directory: &OwnedFd,
    attributes: &Attributes,
    as_new: bool,
) -> Result<(), (&'static str, Errno)> {
    let at = |step| move |e| (step, e);
    let own = attributes::own_ids();
    if !as_new || attributes.owner != own {
        attributes::chown(directory, attributes.owner).map_err(at("set owner of"))?;
    }
    if !as_new || attributes.mode != NEW {
        fchmod(directory, Mode::from_raw_mode(attributes.mode)).map_err(at("set mode of"))?;
    }
    if !attributes.xattrs.is_empty() {
        let target = Target::File(std::os::fd::AsFd::as_fd(directory));
        xattrs::apply(target, &attributes.xattrs).map_err(at("set attributes of"))?;
    }
    futimens(directory, &times(attributes.mtime)).map_err(at("set times of"))
}
