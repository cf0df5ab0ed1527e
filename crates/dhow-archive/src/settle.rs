//! What a layer needs from the layers below it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, futimens, linkat, mkdirat, mknodat,
    renameat, unlinkat,
};
use rustix::io::Errno;

use crate::at::{
    is_dir, is_whiteout, mtime, open_dir, open_in_root, open_parent, stat_if_there, times,
    untouched,
};
use crate::copy::copy;
use crate::names::{as_path, join, split};
use crate::resolve::resolve;
use crate::walk::names;
use crate::xattrs::{self, Target};
use crate::{Applied, Error, ForeignLink, attributes, remove_tree};

/// Puts right in `layer` what [`crate::apply`] could not know without the layers below, whose merged view is `lower`
/// (`None`: there are none).
///
/// Implicit directories get owner, mode, times and attributes of the directory below; where a symbolic link to a
/// directory is below, their contents move to where it leads. Hard links to files below get a copy of the file, as
/// overlayfs makes it. Whiteouts of what isn't below are removed.
///
/// # Errors
/// When a hard link's target does not exist, or the file system refuses.
pub fn settle(
    layer: BorrowedFd<'_>,
    lower: Option<BorrowedFd<'_>>,
    applied: &Applied,
) -> Result<(), Error> {
    let mut settling = Settling {
        layer,
        lower,
        moved: Vec::new(),
    };
    for path in &applied.implicit_dirs {
        let path = settling.now_at(path);
        settling.step("settle directory", &path, Settling::directory)?;
    }
    for link in &applied.foreign_hardlinks {
        settling.link(link)?;
    }
    for path in &applied.whiteouts {
        let path = settling.now_at(path);
        settling.step("settle whiteout", &path, Settling::whiteout)?;
    }
    match applied.opaque_root {
        true => settling.step("hide what is below", b"", |settling, _| settling.hide_all()),
        false => Ok(()),
    }
}

struct Settling<'a> {
    layer: BorrowedFd<'a>,
    lower: Option<BorrowedFd<'a>>,
    /// Directories whose contents went elsewhere: from and to.
    moved: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Settling<'_> {
    fn step(
        &mut self,
        step: &'static str,
        path: &[u8],
        act: impl FnOnce(&mut Self, &[u8]) -> Result<(), Errno>,
    ) -> Result<(), Error> {
        act(self, path).map_err(|e| Error::file(step, as_path(path), e))
    }

    /// Where a path of the archive is after the moves so far.
    fn now_at(&self, path: &Path) -> Vec<u8> {
        let mut path = path.as_os_str().as_bytes().to_vec();
        for (from, to) in &self.moved {
            if let Some(rest) = path.strip_prefix(from.as_slice()) {
                match rest {
                    [] => path.clone_from(to),
                    [b'/', rest @ ..] => path = join(to, rest),
                    _ => {}
                }
            }
        }
        path
    }

    /// What is below at this path, its parents' links followed.
    fn below(&self, path: &[u8]) -> Result<Option<(OwnedFd, Stat)>, Errno> {
        let Some(lower) = self.lower else {
            return Ok(None);
        };
        let (parent, name) = split(path);
        let parent = match open_parent(lower, parent) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(e) => return Err(e),
        };
        let stat = stat_if_there(&parent, if name.is_empty() { b"." } else { name })?;
        Ok(stat.map(|stat| (parent, stat)))
    }

    /// A directory that the archive doesn't describe.
    fn directory(&mut self, path: &[u8]) -> Result<(), Errno> {
        match self.below(path)? {
            Some((_, stat)) if is_dir(&stat) => self.adopt(path),
            Some((_, stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                self.relocate(path)
            }
            _ => Ok(()),
        }
    }

    /// Gives the layer's directory the attributes of the one below.
    fn adopt(&mut self, path: &[u8]) -> Result<(), Errno> {
        let Some(lower) = self.lower else {
            return Ok(());
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let to = match open_in_root(self.layer, path, flags) {
            Ok(to) => to,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()), // replaced later in the archive
            Err(e) => return Err(e),
        };
        let from = open_in_root(lower, path, flags)?;
        let stat = fstat(&from)?;
        attributes::chown(&to, (stat.st_uid, stat.st_gid))?;
        fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        xattrs::apply(
            Target::File(to.as_fd()),
            &xattrs::read(Target::File(from.as_fd()))?,
        )?;
        futimens(&to, &times(mtime(&stat)))
    }

    /// There is a link below where the layer has a directory nobody asked for: what is in it belongs where the link
    /// leads, if that is a directory.
    fn relocate(&mut self, path: &[u8]) -> Result<(), Errno> {
        let Some(lower) = self.lower else {
            return Ok(());
        };
        let target = resolve(lower, path)?;
        let leads_to_dir = self.below(&target)?.is_some_and(|(_, stat)| is_dir(&stat));
        if !leads_to_dir || target.starts_with(&[path, b"/"].concat()) {
            return Ok(());
        }
        let (parent, name) = split(path);
        let parent = open_parent(self.layer, parent)?;
        let from = match open_dir(&parent, name) {
            Ok(from) => from,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(e) => return Err(e),
        };
        let to = self.ensure(&target)?;
        merge(&from, &to)?;
        unlinkat(&parent, name, AtFlags::REMOVEDIR)?;
        self.moved.push((path.to_vec(), target));
        Ok(())
    }

    /// The layer's directory `path`; made like the one below where it is missing.
    fn ensure(&mut self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match open_in_root(self.layer, path, flags) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
        let (parent, name) = split(path);
        let parent = self.ensure(parent)?;
        let mode = Mode::from_raw_mode(crate::dirs::NEW);
        untouched(&parent, || mkdirat(&parent, name, mode))?;
        if self.below(path)?.is_some_and(|(_, stat)| is_dir(&stat)) {
            self.adopt(path)?;
        }
        open_in_root(self.layer, path, flags)
    }

    /// A hard link to something that was not in the layer when the archive came to it.
    fn link(&mut self, link: &ForeignLink) -> Result<(), Error> {
        let (path, target) = (self.now_at(&link.path), self.now_at(&link.target));
        let linked = self
            .try_link(&path, &target)
            .map_err(|e| Error::file("link", as_path(&path), e))?;
        match linked {
            true => Ok(()),
            false => Err(Error::LinkTarget {
                path: link.path.clone(),
                target: link.target.clone(),
            }),
        }
    }

    /// Says whether there was something to link to.
    fn try_link(&mut self, path: &[u8], target: &[u8]) -> Result<bool, Errno> {
        let (parent, name) = split(path);
        let here = self.ensure(parent)?;
        if stat_if_there(&here, name)?.is_some() {
            return Ok(true); // a later entry of the archive took its place
        }
        let (target_parent, target_name) = split(target);
        let there = open_parent(self.layer, target_parent).ok();
        let existing = match &there {
            Some(there) => stat_if_there(there, target_name)?,
            None => None,
        };
        match existing {
            Some(stat) if !is_whiteout(&stat) => {
                let there = there.ok_or(Errno::NOENT)?;
                untouched(&here, || {
                    linkat(&there, target_name, &here, name, AtFlags::empty())
                })?;
                return Ok(true);
            }
            _ => {}
        }
        let Some((below, stat)) = self.below(target)?.filter(|(_, stat)| !is_dir(stat)) else {
            return Ok(false);
        };
        untouched(&here, || {
            copy((below.as_fd(), target_name), (here.as_fd(), name), &stat)
        })?;
        // As overlayfs does it, both names are the new file's, unless the layer deletes the old one.
        if existing.is_none() {
            let there = self.ensure(target_parent)?;
            untouched(&there, || {
                linkat(&here, name, &there, target_name, AtFlags::empty())
            })?;
        }
        Ok(true)
    }

    /// A whiteout of something that isn't there would be seen as a device.
    fn whiteout(&mut self, path: &[u8]) -> Result<(), Errno> {
        if self.below(path)?.is_some() {
            return Ok(());
        }
        let (parent, name) = split(path);
        let parent = match open_parent(self.layer, parent) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(e) => return Err(e),
        };
        match stat_if_there(&parent, name)? {
            Some(stat) if is_whiteout(&stat) => {
                untouched(&parent, || unlinkat(&parent, name, AtFlags::empty()))
            }
            _ => Ok(()),
        }
    }

    /// Hides everything below, name by name.
    fn hide_all(&mut self) -> Result<(), Errno> {
        let Some(lower) = self.lower else {
            return Ok(());
        };
        for name in names(open_dir(lower, b"")?.as_fd())? {
            match mknodat(
                self.layer,
                &*name,
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            ) {
                Ok(()) => {}
                Err(Errno::EXIST) => match open_dir(self.layer, &name) {
                    Ok(directory) => xattrs::set_opaque(directory)?,
                    Err(Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => {}
                    Err(e) => return Err(e),
                },
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Moves all that is in `from` to `to`; where both have a directory these are merged, else what comes wins.
fn merge(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    for name in names(from.as_fd())? {
        let name = name.as_slice();
        if let (Ok(inner_from), Ok(inner_to)) = (open_dir(from, name), open_dir(to, name)) {
            merge(&inner_from, &inner_to)?;
            unlinkat(from, name, AtFlags::REMOVEDIR)?;
            continue;
        }
        remove_tree(to.as_fd(), as_path(name)).map_err(|_| Errno::NOTEMPTY)?;
        renameat(from, name, to, name)?;
    }
    Ok(())
}
