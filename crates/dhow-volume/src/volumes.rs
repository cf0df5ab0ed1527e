//! The handle for everything about volumes.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use dhow_metadata::Database;

use crate::{CreateVolume, Error, Pruned, VolumeRecord};

/// All volumes of one instance.
#[derive(Clone)]
pub struct Volumes {}

impl Volumes {
    /// Opens the volumes under `root` (`<data-root>/volumes`); finishes or undoes what was under way when the daemon
    /// died.
    ///
    /// # Errors
    /// When the root can't be made or read.
    pub fn open(root: &Path, db: Database) -> Result<Self, Error> {
        let _ = (root, db);
        todo!()
    }

    /// Makes a volume, or returns the one that has the name already.
    ///
    /// # Errors
    /// Names, drivers and options that can't be; [`Error::Conflict`] when it exists with other options.
    pub fn create(&self, request: CreateVolume) -> Result<VolumeRecord, Error> {
        let _ = request;
        todo!()
    }

    /// The volume with this name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get(&self, name: &str) -> Result<VolumeRecord, Error> {
        let _ = name;
        todo!()
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn list(&self) -> Result<Vec<VolumeRecord>, Error> {
        todo!()
    }

    /// Removes a volume and what is in it. With `force`, a volume that does not exist is no error.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`].
    pub fn remove(&self, name: &str, force: bool) -> Result<(), Error> {
        let _ = (name, force);
        todo!()
    }

    /// Records that a container (its full id) refers to the volume, from its creation to its removal.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn acquire(&self, name: &str, container: &str) -> Result<VolumeRecord, Error> {
        let _ = (name, container);
        todo!()
    }

    /// Takes [`Volumes::acquire`] back; unmounts the volume when it was the last user's. No error when there was none.
    ///
    /// # Errors
    /// When the records can't be written or the kernel refuses.
    pub fn release(&self, name: &str, container: &str) -> Result<(), Error> {
        let _ = (name, container);
        todo!()
    }

    /// The containers that refer to the volume.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn users(&self, name: &str) -> Result<Vec<String>, Error> {
        let _ = name;
        todo!()
    }

    /// The directory to bind into a starting container; a volume with mount options is mounted there first.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Mount`].
    pub fn mount(&self, name: &str, container: &str) -> Result<PathBuf, Error> {
        let _ = (name, container);
        todo!()
    }

    /// Takes [`Volumes::mount`] back when the container has stopped. No error when it was not mounted.
    ///
    /// # Errors
    /// When the records can't be written or the kernel refuses.
    pub fn unmount(&self, name: &str, container: &str) -> Result<(), Error> {
        let _ = (name, container);
        todo!()
    }

    /// Copies an image directory's content (a descriptor of it) into the volume if the volume has never been filled
    /// and is empty. Returns whether anything was copied. A copy that was cut is done again next time.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Populate`].
    pub fn populate(&self, name: &str, source: BorrowedFd<'_>) -> Result<bool, Error> {
        let _ = (name, source);
        todo!()
    }

    /// Removes the volumes without users for which `filter` holds: the anonymous ones, or `all`.
    ///
    /// # Errors
    /// When the records can't be read or written; goes on after a volume that can't be removed.
    pub fn prune(
        &self,
        all: bool,
        filter: impl Fn(&VolumeRecord) -> bool,
    ) -> Result<Pruned, Error> {
        let _ = (all, &filter);
        todo!()
    }

    /// The bytes in the volume, for `docker system df`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn size(&self, name: &str) -> Result<u64, Error> {
        let _ = name;
        todo!()
    }

    /// Forgets users and mounts of containers that are not in `active` (all existing containers' ids).
    ///
    /// # Errors
    /// When the records can't be written.
    pub fn reconcile(&self, existing: &[String]) -> Result<(), Error> {
        let _ = existing;
        todo!()
    }
}
