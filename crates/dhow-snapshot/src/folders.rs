//! The directories on the disk.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use dhow_archive::remove_tree;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::{ChainId, Error, skeleton};

/// The folders of a store.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(crate) root: PathBuf,
    /// The lowest layer of every container.
    pub(crate) skeleton: PathBuf,
    next: AtomicU64,
}

impl Folders {
    /// Makes the folders where they are missing.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        for folder in ["layers", "active", "staging", "trash"] {
            let folder = root.join(folder);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|e| Error::file("create folder", folder, e))?;
        }
        spread(&root.join("staging"));
        Ok(Self {
            skeleton: skeleton::make(root)?,
            root: root.to_owned(),
            next: AtomicU64::new(0),
        })
    }

    /// Where the layer is, or would be.
    pub(crate) fn layer(&self, id: &ChainId) -> PathBuf {
        self.root.join("layers").join(id.hex())
    }

    /// Where a container's directories are, or would be.
    pub(crate) fn active(&self, key: &str) -> Result<PathBuf, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        match key.chars().all(plain) && !key.is_empty() && key.len() <= 128 && !key.starts_with('.')
        {
            true => Ok(self.root.join("active").join(key)),
            false => Err(Error::InvalidKey(key.to_owned())),
        }
    }

    /// A path that isn't in use in `staging` or `trash`; both are emptied when the store is opened.
    pub(crate) fn fresh(&self, folder: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.root
            .join(folder)
            .join(format!("{}-{number}", std::process::id()))
    }

    /// Makes one directory with exactly this mode.
    pub(crate) fn make(path: &Path, mode: u32) -> Result<(), Error> {
        DirBuilder::new()
            .mode(mode)
            .create(path)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
            .map_err(|e| Error::file("create directory", path, e))
    }

    /// Makes a container's directories, or none; what a crash left in their place goes away.
    ///
    /// The upper directory is the root the container sees: it gets owner and mode of `top`, the topmost layer.
    pub(crate) fn make_container(&self, folder: &Path, top: Option<&Path>) -> Result<(), Error> {
        Self::rename_if_there(folder, &self.fresh("trash"))?;
        let made = Self::make(folder, 0o700).and_then(|()| Self::make_writable(folder, top));
        made.inspect_err(|_| {
            // The first error tells more; what is left is removed at the next start.
            let _ = Self::remove_dir(folder);
        })
    }

    /// Makes the upper and the work directory in `folder`; see [`Folders::make_container`].
    pub(crate) fn make_writable(folder: &Path, top: Option<&Path>) -> Result<(), Error> {
        make_upper(&folder.join("upper"), top)?;
        Self::make(&folder.join("work"), 0o700)
    }

    /// Gives a finished directory its final name; what a crash left there goes away.
    pub(crate) fn place(&self, from: &Path, to: &Path) -> Result<(), Error> {
        Self::rename_if_there(to, &self.fresh("trash"))?;
        fs::rename(from, to).map_err(|e| Error::file("commit", to, e))
    }

    /// Renames what may be there.
    pub(crate) fn rename_if_there(from: &Path, to: &Path) -> Result<(), Error> {
        match fs::rename(from, to) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", from, e)),
            _ => Ok(()),
        }
    }

    /// Removes a directory with all in it; it may be missing.
    pub(crate) fn remove_dir(path: &Path) -> Result<(), Error> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let folder = open_dir(parent)?;
        remove_tree(folder.as_fd(), name.as_ref()).map_err(|source| Error::Tree {
            step: "remove",
            key: name.display().to_string(),
            source,
        })
    }

    /// Throws away what is in a folder and not in `known`.
    pub(crate) fn discard_unknown(
        &self,
        folder: &str,
        known: &HashSet<String>,
    ) -> Result<(), Error> {
        for name in self.names(folder)? {
            if !known.contains(&name) {
                let path = self.root.join(folder).join(&name);
                Self::rename_if_there(&path, &self.fresh("trash"))?;
            }
        }
        Ok(())
    }

    /// Removes all that is in a folder.
    pub(crate) fn empty(&self, folder: &str) -> Result<(), Error> {
        self.names(folder)?
            .iter()
            .try_for_each(|name| Self::remove_dir(&self.root.join(folder).join(name)))
    }

    fn names(&self, folder: &str) -> Result<Vec<String>, Error> {
        let path = self.root.join(folder);
        let failed = |e| Error::file("list", &path, e);
        let entries = fs::read_dir(&path).map_err(failed)?;
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect::<Result<_, _>>().map_err(failed)
    }
}

/// Tells ext4 that what is made in the folder has nothing in common: layers that are unpacked at the same time don't get
/// in each other's way then, nor in that of what was removed a moment ago (chattr(1), `T`).
fn spread(folder: &Path) {
    let Ok(folder) = open_dir(folder) else {
        return;
    };
    let flags = ioctl_getflags(&folder).unwrap_or(IFlags::TOPDIR);
    if !flags.contains(IFlags::TOPDIR) {
        // Other file systems have no such flag, and no need of it.
        let _ = ioctl_setflags(&folder, flags | IFlags::TOPDIR);
    }
}

fn make_upper(path: &Path, top: Option<&Path>) -> Result<(), Error> {
    let Some(top) = top else {
        return Folders::make(path, 0o755);
    };
    Folders::make(path, 0o755)?;
    adopt_root(path, top)
}

/// Gives the root of a layer owner and mode of that of the layer below.
pub(crate) fn adopt_root(path: &Path, below: &Path) -> Result<(), Error> {
    let root = fs::metadata(below).map_err(|e| Error::file("look at", below, e))?;
    if (root.uid(), root.gid()) != (0, 0) {
        std::os::unix::fs::chown(path, Some(root.uid()), Some(root.gid()))
            .map_err(|e| Error::file("set owner of", path, e))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(root.mode() & 0o7777))
        .map_err(|e| Error::file("set mode of", path, e))
}

/// Opens a directory.
pub(crate) fn open_dir(path: &Path) -> Result<File, Error> {
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW;
    File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|e| Error::file("open", path, e))
}
