//! Parts of a container's file system as a tar: `docker cp` out of it and `docker export`.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use crate::at::{is_dir, open_dir};
use crate::names::as_path;
use crate::stat::Located;
use crate::tree::TreeWriter;
use crate::walk::Entry;
use crate::{Error, PathStat, Written};

/// Writes all of `rootfs` to `out`, names relative to it; for `docker export`.
///
/// # Errors
/// When something can't be read, or `out` fails.
pub fn export(rootfs: BorrowedFd<'_>, out: impl Write) -> Result<Written, Error> {
    let top = open_dir(rootfs, b"").map_err(|e| Error::file("open", as_path(b""), e))?;
    let mut tree = TreeWriter::new(out, false);
    tree.contents(&top, b"")?;
    Ok(tree.finish()?.1)
}

/// Writes `path` of `rootfs` to `out` as `GET /containers/{id}/archive` does.
///
/// `path` is Docker's: symbolic links are followed inside the root in all components but the last; a last component
/// followed by `/` or `/.` is followed too. The names in the archive begin with the last component of `path` (a `.` if
/// that is what it ends with, nothing before the slash for the root).
///
/// # Errors
/// When the path does not exist, something can't be read, or `out` fails.
pub fn pack(rootfs: BorrowedFd<'_>, path: &Path, out: impl Write) -> Result<PathStat, Error> {
    let located = Located::find(rootfs, path)?;
    let described = located.describe(rootfs)?;
    let mut tree = TreeWriter::new(out, false);
    let directory = match is_dir(&located.stat) {
        true => Some(
            open_dir(&located.parent, &located.name).map_err(|e| Error::file("open", path, e))?,
        ),
        false => None,
    };
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
    tree.finish()?;
    Ok(described)
}
