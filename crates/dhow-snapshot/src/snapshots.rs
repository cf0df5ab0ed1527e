//! The store of layers and snapshots.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_archive::{Change, Written};
use dhow_metadata::{Database, Transaction};
use dhow_sys::mount::{MountAttributes, attr, set_attributes};

use crate::folders::{Folders, open_dir};
use crate::record::{LayerRecord, SnapshotRecord};
use crate::{ChainId, Error, Mounts};

/// The layers of all images and the snapshots of all containers; a clone is the same store.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub(crate) folders: Arc<Folders>,
    pub(crate) db: Database,
}

impl Snapshots {
    /// Opens the store in the folder `root`, making it if need be, and clears up what a crash left.
    ///
    /// # Errors
    /// When the folder can't be made or read, or the records not be read.
    pub fn open(root: &Path, db: Database) -> Result<Self, Error> {
        let snapshots = Self {
            folders: Arc::new(Folders::open(root)?),
            db,
        };
        snapshots.recover()?;
        Ok(snapshots)
    }

    /// Makes the snapshot `key` of a container on top of `parent` (`None`: on nothing).
    ///
    /// # Errors
    /// [`Error::SnapshotExists`], [`Error::NoLayer`], [`Error::InvalidKey`]; nothing of it is left then.
    pub fn prepare(&self, key: &str, parent: Option<&ChainId>) -> Result<Mounts, Error> {
        let folder = self.folders.active(key)?;
        self.db.write(|tx| {
            if tx.get::<SnapshotRecord>(key)?.is_some() {
                return Err(Error::SnapshotExists(key.to_owned()));
            }
            let lower = self.ancestors(tx, parent)?;
            let top = lower.first().map(PathBuf::as_path);
            self.folders.make_container(&folder, top)?;
            tx.put(
                key,
                &SnapshotRecord {
                    parent: parent.copied(),
                },
            )?;
            Ok(self.container_mounts(&folder, lower))
        })
    }

    /// The device number of the file system the layers are on, and how many bytes it has room for.
    ///
    /// # Errors
    /// When the file system can't be asked.
    pub fn room(&self) -> Result<(u64, u64), Error> {
        let folder = &self.folders.root;
        let failed = |e: rustix::io::Errno| Error::file("look at", folder, e);
        let device = rustix::fs::stat(folder).map_err(failed)?.st_dev;
        let system = rustix::fs::statvfs(folder).map_err(failed)?;
        let blocks = match rustix::process::geteuid().is_root() {
            true => system.f_bfree,
            false => system.f_bavail,
        };
        Ok((device, blocks.saturating_mul(system.f_frsize)))
    }

    /// What to mount for the snapshot `key`.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`].
    pub fn mounts(&self, key: &str) -> Result<Mounts, Error> {
        let folder = self.folders.active(key)?;
        let lower = self
            .db
            .read(|tx| self.ancestors(tx, self.record(tx, key)?.parent.as_ref()))?;
        Ok(self.container_mounts(&folder, lower))
    }

    /// Removes the snapshot `key` with all that was written to it; nothing of that name is fine.
    ///
    /// # Errors
    /// When files can't be removed (they are at the next start).
    pub fn remove(&self, key: &str) -> Result<(), Error> {
        let folder = self.folders.active(key)?;
        let trash = self.folders.fresh("trash");
        self.db.write(|tx| {
            tx.delete::<SnapshotRecord>(key)?;
            Folders::rename_if_there(&folder, &trash)
        })?;
        Self::free_quota(&trash);
        Folders::remove_dir(&trash)
    }

    /// The bytes of the files a container has written.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], or when a directory can't be read.
    pub fn usage(&self, key: &str) -> Result<u64, Error> {
        let upper = open_dir(&self.upper(key)?)?;
        dhow_archive::usage(upper.as_fd()).map_err(tree("measure", key))
    }

    /// The directory a container's changes are in.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`].
    pub fn upper(&self, key: &str) -> Result<PathBuf, Error> {
        let folder = self.folders.active(key)?;
        self.db.read(|tx| self.record(tx, key).map(|_| ()))?;
        Ok(folder.join("upper"))
    }

    /// The keys of all snapshots.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        let records = self.db.list::<SnapshotRecord>()?;
        Ok(records.into_iter().map(|(key, _)| key).collect())
    }

    /// What a container has changed, for `docker diff`.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], or when a directory can't be read.
    pub fn changes(&self, key: &str) -> Result<Vec<Change>, Error> {
        let mounts = self.mounts(key)?;
        let upper = open_dir(&self.upper(key)?)?;
        let lower = mounts.image().mount()?;
        dhow_archive::changes(upper.as_fd(), Some(lower.as_fd())).map_err(tree("compare", key))
    }

    /// Whether a container has changed nothing at all.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], or when the directory can't be read.
    pub fn is_unchanged(&self, key: &str) -> Result<bool, Error> {
        let upper = self.upper(key)?;
        let mut names = std::fs::read_dir(&upper).map_err(|e| Error::file("list", &upper, e))?;
        Ok(names.next().is_none())
    }

    /// Writes what a container has changed as a layer's tar.
    ///
    /// It may go on changing it: its files are read by way of a mount in which no device can be opened.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], or when something can't be read or written.
    pub fn diff(&self, key: &str, out: impl Write) -> Result<Written, Error> {
        let only = Mounts {
            lower: vec![self.upper(key)?],
            read_only: true,
            ..Mounts::default()
        };
        let upper = only.mount()?;
        let attributes = MountAttributes {
            set: attr::NODEV | attr::NOEXEC | attr::NOSUID,
            ..MountAttributes::default()
        };
        set_attributes(upper.as_fd(), c"", false, &attributes)
            .map_err(|e| Error::file("restrict", &only.lower[0], e))?;
        dhow_archive::diff(upper.as_fd(), out).map_err(tree("read", key))
    }

    fn container_mounts(&self, folder: &Path, mut lower: Vec<PathBuf>) -> Mounts {
        lower.push(self.folders.skeleton.clone());
        Mounts {
            lower,
            upper: Some(folder.join("upper")),
            work: Some(folder.join("work")),
            read_only: false,
            volatile: false,
        }
    }

    fn record(&self, tx: &Transaction<'_>, key: &str) -> Result<SnapshotRecord, Error> {
        tx.get::<SnapshotRecord>(key)?
            .ok_or_else(|| Error::NoSnapshot(key.to_owned()))
    }

    /// The directories of `top` and all layers below it, topmost first.
    pub(crate) fn ancestors(
        &self,
        tx: &Transaction<'_>,
        top: Option<&ChainId>,
    ) -> Result<Vec<PathBuf>, Error> {
        let mut folders = Vec::new();
        let mut next = top.copied();
        while let Some(id) = next {
            let record = tx
                .get::<LayerRecord>(&id.to_string())?
                .ok_or(Error::NoLayer(id))?;
            folders.push(self.folders.layer(&id));
            next = record.parent;
        }
        Ok(folders)
    }
}

fn tree(step: &'static str, key: &str) -> impl FnOnce(dhow_archive::Error) -> Error {
    move |source| Error::Tree {
        step,
        key: key.to_owned(),
        source,
    }
}
