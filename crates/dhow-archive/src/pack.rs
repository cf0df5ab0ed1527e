//! Parts of a container's file system as a tar: `docker cp` out of it and `docker export`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::at::{is_dir, open_dir};
use crate::names::as_path;
use crate::stat::Located;
use crate::tar::Sink;
use crate::tree::TreeWriter;
use crate::walk::Entry;
use crate::{Error, PathStat, Written};

/// Writes all of `rootfs` to `out`, names relative to it; for `docker export`.
///
/// # Errors
/// When something can't be read, or `out` fails.
pub fn export(rootfs: BorrowedFd<'_>, out: impl Sink) -> Result<Written, Error> {
    let top = open_dir(rootfs, b"").map_err(|e| Error::file("open", as_path(b""), e))?;
    let mut tree = TreeWriter::new(out, false);
    tree.contents(&top, b"")?;
    Ok(tree.finish()?.1)
}

/// Writes `path` of `rootfs` to `out` as `GET /containers/{id}/archive` does; see [`Packing`].
///
/// # Errors
/// When the path does not exist, something can't be read, or `out` fails.
pub fn pack(rootfs: BorrowedFd<'_>, path: &Path, out: impl Sink) -> Result<PathStat, Error> {
    let packing = Packing::find(rootfs, path)?;
    let described = packing.stat.clone();
    packing.write(out)?;
    Ok(described)
}

/// Something in a container that was found, to be written as an archive.
#[derive(Debug)]
pub struct Packing {
    /// What it is.
    pub stat: PathStat,
    located: Located,
    /// Opened, if it is one.
    directory: Option<OwnedFd>,
}

impl Packing {
    /// Finds `path` in `rootfs`.
    ///
    /// `path` is Docker's: symbolic links are followed inside the root in all components but the last; a last component
    /// followed by `/` or `/.` is followed too. The names in the archive begin with the last component of `path` (a `.` if
    /// that is what it ends with, nothing before the slash for the root).
    ///
    /// # Errors
    /// When the path does not exist, or can't be read.
    pub fn find(rootfs: BorrowedFd<'_>, path: &Path) -> Result<Self, Error> {
        let located = Located::find(rootfs, path)?;
        let stat = located.describe(rootfs)?;
        let directory = match is_dir(&located.stat) {
            true => Some(
                open_dir(&located.parent, &located.name)
                    .map_err(|e| Error::file("open", path, e))?,
            ),
            false => None,
        };
        Ok(Self {
            stat,
            located,
            directory,
        })
    }

    /// The same, with `base` in place of what the names in the archive begin with.
    #[must_use]
    pub fn named(mut self, base: &Path) -> Self {
        self.located.asked.base = base.as_os_str().as_bytes().to_vec();
        self
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When something can't be read, or `out` fails.
    pub fn write(self, out: impl Sink) -> Result<Written, Error> {
        let Self {
            located, directory, ..
        } = self;
        let mut tree = TreeWriter::new(out, false);
        let entry = Entry {
            parent: located.parent.as_fd(),
            name: &located.name,
            path: &located.asked.path,
            stat: &located.stat,
            directory: directory.as_ref().map(AsFd::as_fd),
        };
        tree.entry(&entry, &located.asked.base)?;
        if let Some(directory) = &directory {
            let prefix = match located.asked.base.as_slice() {
                b"/" => b"/".to_vec(),
                base => [base, b"/"].concat(),
            };
            tree.contents(directory, &prefix)?;
        }
        Ok(tree.finish()?.1)
    }
}
