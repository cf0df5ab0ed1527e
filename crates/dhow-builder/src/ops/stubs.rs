//! The empty directories and files that are made for something to be mounted on: they must not be in the layer.

use std::os::fd::{AsFd, OwnedFd};

use dhow_archive::fd::{
    follow, is_dir, is_opaque, names, open_dir, open_in_root, open_parent, resolve, split, stat,
    stat_if_there, untouched,
};
use dhow_snapshot::Draft;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, unlinkat};
use rustix::io::Errno;

use crate::copy::failed;
use crate::error::Error;

/// The paths that were missing before, the deepest first.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    missing: Vec<Vec<u8>>,
    /// The directories that the first missing ones would be made in, as they were.
    parents: Vec<(Vec<u8>, Stat)>,
}

/// Finds which mount points and directories above them are missing in the root of a draft. Blocking.
///
/// # Errors
/// When the root can't be looked at.
pub(crate) fn find(draft: &Draft, targets: &[String]) -> Result<Stubs, Error> {
    let mut stubs = Stubs::default();
    if targets.is_empty() {
        return Ok(stubs);
    }
    let root = draft.container_mounts().image().mount()?;
    for target in targets {
        stubs.look(&root, target.as_bytes())?;
    }
    stubs
        .missing
        .sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    stubs.missing.dedup();
    Ok(stubs)
}

impl Stubs {
    fn look(&mut self, root: &OwnedFd, target: &[u8]) -> Result<(), Error> {
        let clean = follow(b"", target);
        let mut path = resolve(root.as_fd(), &clean).map_err(failed("look at", target))?;
        let mut missing = false;
        while !path.is_empty() {
            match open_in_root(root, &path, OFlags::PATH | OFlags::NOFOLLOW) {
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(e) => return Err(failed("look at", target)(e)),
                Ok(found) => {
                    if missing {
                        let stat = fstat(&found).map_err(failed("look at", target))?;
                        self.parents.push((path, stat));
                    }
                    break;
                }
            }
            missing = true;
            let parent = split(&path).0.to_vec();
            self.missing.push(std::mem::replace(&mut path, parent));
        }
        Ok(())
    }

    /// Removes what is still empty of them, and directories that are in the layer for nothing else. Blocking.
    ///
    /// # Errors
    /// When the draft can't be written.
    pub(crate) fn remove(&self, draft: &Draft) -> Result<(), Error> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let upper = open_dir(
            rustix::fs::CWD,
            draft.upper().as_os_str().as_encoded_bytes(),
        )
        .map_err(|e| Error::file("open", "layer", e))?;
        for path in &self.missing {
            remove_empty(&upper, path).map_err(failed("remove", path))?;
        }
        for (path, before) in &self.parents {
            forget_untouched(&upper, path, before).map_err(failed("remove", path))?;
        }
        Ok(())
    }
}

/// Opens a directory of the upper directory itself; `None` when there is none.
fn directory(upper: &OwnedFd, path: &[u8]) -> Result<Option<OwnedFd>, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(upper, path, flags, Mode::empty(), resolve) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(e) => Err(e),
    }
}

fn remove_empty(upper: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
    let (parent, name) = split(path);
    let Some(parent) = directory(upper, parent)? else {
        return Ok(());
    };
    let Some(found) = stat_if_there(&parent, name)? else {
        return Ok(());
    };
    let flags = match is_dir(&found) {
        true => AtFlags::REMOVEDIR,
        false if found.st_size == 0 && found.st_rdev == 0 => AtFlags::empty(),
        false => return Ok(()),
    };
    match untouched(&parent, || unlinkat(&parent, name, flags)) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        result => result,
    }
}

/// A directory that came into the layer only because something was made in it goes, and those above it likewise.
fn forget_untouched(upper: &OwnedFd, path: &[u8], before: &Stat) -> Result<(), Errno> {
    let Some(found) = directory(upper, path)? else {
        return Ok(());
    };
    if path.is_empty() {
        return Ok(());
    }
    let now = fstat(&found)?;
    let same =
        (now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid);
    if !same || is_opaque(&found) || !names(found.as_fd())?.is_empty() {
        return Ok(());
    }
    let (parent, name) = split(path);
    let parent_fd = open_parent(upper, parent)?;
    stat(&parent_fd, name)?;
    untouched(&parent_fd, || {
        unlinkat(&parent_fd, name, AtFlags::REMOVEDIR)
    })
}
