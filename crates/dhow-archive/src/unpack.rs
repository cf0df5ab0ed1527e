//! A tar into a directory of a container, for `docker cp` and `docker import`.

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use crate::at::open_parent;
use crate::extract::{Form, extract};
use crate::resolve::Asked;
use crate::{Error, Limits};

/// How an archive is unpacked.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnpackOptions {
    /// Refuse to replace a directory by something else, and the other way round (`noOverwriteDirNonDir`).
    pub no_overwrite_dir_non_dir: bool,
    /// Give everything to this user and group instead of the archive's (`copyUIDGID`).
    pub owner: Option<(u32, u32)>,
    /// How much the archive may contain.
    pub limits: Limits,
}

/// Unpacks `tar` into the directory `path` of `rootfs` as `PUT /containers/{id}/archive` does.
///
/// # Errors
/// When `path` is not a directory in `rootfs`, the stream is no tar, or the file system refuses; what was unpacked until
/// then stays.
pub fn unpack(
    tar: impl Read,
    rootfs: BorrowedFd<'_>,
    path: &Path,
    options: &UnpackOptions,
) -> Result<(), Error> {
    let asked = Asked::new(path.as_os_str().as_bytes());
    match open_parent(rootfs, &asked.path) {
        Ok(_) => {}
        Err(Errno::NOENT) => {
            return Err(Error::NotFound {
                path: path.to_owned(),
            });
        }
        Err(Errno::NOTDIR) => return Err(Error::NotADirectory),
        Err(e) => return Err(Error::file("open", path, e)),
    }
    let root = open_parent(rootfs, b"").map_err(|e| Error::file("open", Path::new("/"), e))?;
    let form = Form {
        layer: false,
        base: asked.path,
        owner: options.owner,
        keep_kind: options.no_overwrite_dir_non_dir,
    };
    extract(tar, root, form, &options.limits).map(drop)
}
