//! A tar into a directory of a container, for `docker cp` and `docker import`.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::at::open_parent;
use crate::extract::{Form, extract};
use crate::names::{clean, to_path};
use crate::resolve::{Asked, resolve};
use crate::{Error, Limits};

/// How an archive is unpacked.
#[derive(Debug, Clone, Default)]
pub struct UnpackOptions {
    /// Refuse to replace a directory by something else, and the other way round (`noOverwriteDirNonDir`).
    pub no_overwrite_dir_non_dir: bool,
    /// Give everything to this user and group instead of the archive's (`copyUIDGID`).
    pub owner: Option<(u32, u32)>,
    /// The beginning of the archive's names that is replaced by another one; an empty one stands before all names.
    pub rebase: Option<(PathBuf, PathBuf)>,
    /// How much the archive may contain.
    pub limits: Limits,
}

/// The directory that an archive is unpacked into. Nothing the archive says leads out of it.
#[derive(Debug)]
pub struct Destination {
    directory: OwnedFd,
    shown: PathBuf,
}

impl Destination {
    /// The directory that `path` of `rootfs` leads to, through symbolic links too.
    ///
    /// # Errors
    /// When `path` does not exist, or is not a directory.
    pub fn find(rootfs: BorrowedFd<'_>, path: &Path) -> Result<Self, Error> {
        let asked = Asked::new(path.as_os_str().as_bytes());
        let directory = open_parent(rootfs, &asked.path).map_err(|error| match error {
            Errno::NOENT => Error::NotFound {
                path: path.to_owned(),
            },
            Errno::NOTDIR if !asked.directory && open_any(rootfs, &asked.path) => {
                Error::NotADirectory
            }
            Errno::LOOP => Error::Loop {
                action: "EvalSymlinks",
                path: String::new(),
            },
            error => Error::file("lstat", path, error),
        })?;
        let shown = resolve(rootfs, &asked.path).unwrap_or(asked.path);
        Ok(Self {
            directory,
            shown: to_path(&[b"/", shown.as_slice()].concat()),
        })
    }

    /// The directory itself.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Whether there is something, of whatever kind.
fn open_any(rootfs: BorrowedFd<'_>, path: &[u8]) -> bool {
    crate::at::open_in_root(rootfs, path, rustix::fs::OFlags::PATH).is_ok()
}

/// Unpacks `tar` as `PUT /containers/{id}/archive` does. Symbolic links on the way to an entry are followed with the
/// destination as the root.
///
/// # Errors
/// When the stream is no tar, or the file system refuses; what was unpacked until then stays.
pub fn unpack(tar: impl Read, into: &Destination, options: &UnpackOptions) -> Result<(), Error> {
    let root =
        open_parent(&into.directory, b"").map_err(|e| Error::file("open", Path::new("/"), e))?;
    let rebase = options.rebase.as_ref();
    let form = Form {
        layer: false,
        shown: into.shown.clone(),
        rebase: rebase
            .map(|(old, new)| Ok::<_, Error>((clean(old)?, clean(new)?)))
            .transpose()?,
        owner: options.owner,
        keep_kind: options.no_overwrite_dir_non_dir,
    };
    extract(tar, root, form, &options.limits).map(drop)
}
