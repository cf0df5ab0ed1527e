//! Paths that a container must not see or not change.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_sys::mount::attr;
use rustix::fs::OFlags;

use super::options::{Change, Recursive};
use super::plan::RootfsPlan;
use super::{paths, tree};
use crate::failure::{Step, StepContext};

/// Hides the masked paths and makes the read-only ones so; what is not there needs neither.
pub(crate) fn apply(root: BorrowedFd<'_>, plan: &RootfsPlan) -> Step {
    for path in &plan.read_only_paths {
        protect(root, path).step(|| format!("cannot make {} read-only", path.display()))?;
    }
    let mut covers = Covers::default();
    for path in &plan.masked {
        covers
            .hide(root, path)
            .step(|| format!("can't mask path {:?}", path.display()))?;
    }
    Ok(())
}

fn protect(root: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let Some(place) = there(root, path)? else {
        return Ok(());
    };
    let tree = tree::clone_at(place.as_fd(), Recursive::Yes)?;
    let change = Change {
        set: attr::RDONLY,
        clear: 0,
    };
    tree::change(tree.as_fd(), change, Recursive::No)?;
    tree::attach(tree.as_fd(), place.as_fd())
}

/// What lies over masked paths: one empty directory for all of them, and the null device.
#[derive(Default)]
struct Covers {
    directory: Option<OwnedFd>,
}

impl Covers {
    fn hide(&mut self, root: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        let Some(place) = there(root, path)? else {
            return Ok(());
        };
        let tree = if paths::is_directory(place.as_fd())? {
            self.directory()?
        } else {
            // The host's null device: one from the image could be anything.
            tree::clone_host(Path::new("/dev/null"), Recursive::No)?
        };
        tree::attach(tree.as_fd(), place.as_fd())
    }

    fn directory(&mut self) -> io::Result<OwnedFd> {
        if let Some(directory) = &self.directory {
            return tree::clone_at(directory.as_fd(), Recursive::No);
        }
        let attributes = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
        let options = ["mode=755"];
        let empty = tree::new("tmpfs", Path::new("tmpfs"), &options, attributes)?;
        let copy = tree::clone_at(empty.as_fd(), Recursive::No)?;
        self.directory = Some(empty);
        Ok(copy)
    }
}

fn there(root: BorrowedFd<'_>, path: &Path) -> io::Result<Option<OwnedFd>> {
    match paths::open(root, path, OFlags::PATH) {
        Ok(place) => Ok(Some(place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    }
}
