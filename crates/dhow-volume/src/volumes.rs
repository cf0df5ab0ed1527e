//! The handle for everything about volumes.
//!
//! What is on record comes first, what is on disk second, so that whatever a crash cuts short is known: a volume on
//! record whose directory is missing gets it, a removal on record is finished ([`Removal`]), a copy on record is done
//! again ([`Filling`]). A directory that is on no record is left alone; it may be all that is left of a lost database.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dhow_metadata::{Database, Record, Transaction};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::populate::is_empty;
use crate::record::ANONYMOUS_LABEL;
use crate::{CreateVolume, Error, Pruned, VolumeRecord, name, options, populate, usage};

/// All volumes of one instance.
#[derive(Clone)]
pub struct Volumes {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    db: Database,
    /// Held while directories or mounts are changed; records have the database's own lock.
    changing: Mutex<()>,
}

/// That a container refers to a volume; the key is `<volume>/<container>`.
#[derive(Debug, Serialize, Deserialize)]
struct Use {
    /// Whether it has the volume mounted, that is, whether it runs.
    mounted: bool,
}

impl Record for Use {
    const COLLECTION: &'static str = "volume_uses";
}

/// That a volume's directory is being removed; the key is the volume's name.
#[derive(Debug, Serialize, Deserialize)]
struct Removal {}

impl Record for Removal {
    const COLLECTION: &'static str = "volume_removals";
}

/// That an image's content is being copied into a volume; the key is the volume's name.
#[derive(Debug, Serialize, Deserialize)]
struct Filling {}

impl Record for Filling {
    const COLLECTION: &'static str = "volume_fillings";
}

impl Volumes {
    /// Opens the volumes under `root` (`<data-root>/volumes`); finishes or undoes what was under way when the daemon
    /// died.
    ///
    /// # Errors
    /// When the root can't be made or read.
    pub fn open(root: &Path, db: Database) -> Result<Self, Error> {
        make_directory(root, 0o701)?;
        let root = fs::canonicalize(root).map_err(io_error("resolve", root))?;
        let volumes = Self {
            inner: Arc::new(Inner {
                root,
                db,
                changing: Mutex::new(()),
            }),
        };
        for (name, _) in volumes.db().list::<Removal>()? {
            volumes.finish_removal(&name)?;
        }
        for volume in volumes.list()? {
            volumes.make_directories(&volume.name)?;
        }
        Ok(volumes)
    }

    /// Makes a volume, or returns the one that has the name already, as it is.
    ///
    /// # Errors
    /// Names, drivers and options that can't be.
    pub fn create(&self, request: CreateVolume) -> Result<VolumeRecord, Error> {
        let anonymous = request.name.as_deref().is_none_or(str::is_empty);
        let name = match request.name {
            Some(name) if !anonymous => name,
            _ => name::anonymous(&random()),
        };
        if !matches!(request.driver.as_str(), "" | "local") {
            return Err(Error::NoDriver {
                name,
                driver: request.driver,
            });
        }
        let _guard = self.changing();
        if let Some(existing) = self.db().get::<VolumeRecord>(&name)? {
            // As it is, whatever options and labels are given now.
            return Ok(existing);
        }
        if !name::is_valid(&name) {
            return Err(if name.len() == 1 {
                Error::ShortName(name)
            } else {
                Error::InvalidName(name)
            });
        }
        options::validate(&name, &request.options)?;
        if self.db().get::<Removal>(&name)?.is_some() {
            self.finish_removal(&name)?;
        }
        let mut labels = request.labels;
        if anonymous {
            labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
        }
        let some = |map: BTreeMap<String, String>| Some(map).filter(|map| !map.is_empty());
        let volume = VolumeRecord {
            driver: "local".to_owned(),
            mountpoint: self.mountpoint(&name),
            created: Timestamp::now(),
            labels: some(labels),
            options: some(request.options),
            scope: "local".to_owned(),
            name,
        };
        self.db().put(&volume.name, &volume)?;
        if let Err(error) = self.make_directories(&volume.name) {
            self.db().delete::<VolumeRecord>(&volume.name)?;
            return Err(error);
        }
        Ok(volume)
    }

    /// The volume with this name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get(&self, name: &str) -> Result<VolumeRecord, Error> {
        self.db()
            .get(name)?
            .ok_or_else(|| Error::NotFound(name.to_owned()))
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn list(&self) -> Result<Vec<VolumeRecord>, Error> {
        let mut volumes: Vec<VolumeRecord> = self
            .db()
            .list()?
            .into_iter()
            .map(|(_, volume)| volume)
            .collect();
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// Removes a volume and what is in it. With `force`, a volume that does not exist is no error.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`].
    pub fn remove(&self, name: &str, force: bool) -> Result<(), Error> {
        let _guard = self.changing();
        let removed = self.db().write(|tx| {
            let users = users(tx, name)?;
            if !users.is_empty() {
                return Err(Error::InUse {
                    name: name.to_owned(),
                    containers: users.join(", "),
                });
            }
            if !tx.delete::<VolumeRecord>(name)? {
                return Ok(false);
            }
            tx.put(name, &Removal {})?;
            Ok(true)
        })?;
        match removed {
            true => self.finish_removal(name),
            false if force => Ok(()),
            false => Err(Error::NotFound(name.to_owned())),
        }
    }

    /// Records that a container (its full id) refers to the volume, from its creation to its removal.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn acquire(&self, name: &str, container: &str) -> Result<VolumeRecord, Error> {
        self.db().write(|tx| {
            let volume = tx
                .get(name)?
                .ok_or_else(|| Error::NotFound(name.to_owned()))?;
            if tx.get::<Use>(&key(name, container))?.is_none() {
                tx.put(&key(name, container), &Use { mounted: false })?;
            }
            Ok(volume)
        })
    }

    /// Takes [`Volumes::acquire`] back; unmounts the volume when it was the last user's. No error when there was none.
    ///
    /// # Errors
    /// When the records can't be written or the kernel refuses.
    pub fn release(&self, name: &str, container: &str) -> Result<(), Error> {
        self.unmount(name, container)?;
        self.db().delete::<Use>(&key(name, container))?;
        Ok(())
    }

    /// The containers that refer to the volume.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn users(&self, name: &str) -> Result<Vec<String>, Error> {
        self.db().read(|tx| users(tx, name))
    }

    /// The directory to bind into a starting container; a volume with mount options is mounted there first.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Mount`].
    pub fn mount(&self, name: &str, container: &str) -> Result<PathBuf, Error> {
        let volume = self.get(name)?;
        let _guard = self.changing();
        self.make_directories(name)?;
        if !options::needs_mount(volume.options.as_ref()) {
            return Ok(volume.mountpoint);
        }
        self.db()
            .put(&key(name, container), &Use { mounted: true })?;
        let target = &volume.mountpoint;
        // Asked of the kernel, not of the records: after the host's restart nothing is mounted.
        if !options::is_mounted(target).map_err(io_error("look at", target))?
            && let Err(error) = mount_volume(&volume)
        {
            self.db()
                .put(&key(name, container), &Use { mounted: false })?;
            return Err(error);
        }
        Ok(volume.mountpoint)
    }

    /// Takes [`Volumes::mount`] back when the container has stopped. No error when it was not mounted.
    ///
    /// # Errors
    /// When the records can't be written or the kernel refuses.
    pub fn unmount(&self, name: &str, container: &str) -> Result<(), Error> {
        let key = key(name, container);
        if !self
            .db()
            .get::<Use>(&key)?
            .is_some_and(|usage| usage.mounted)
        {
            return Ok(());
        }
        let _guard = self.changing();
        let uses = self
            .db()
            .read(|tx| tx.list_prefix::<Use>(&format!("{name}/")))?;
        if !uses
            .iter()
            .any(|(other, usage)| *other != key && usage.mounted)
        {
            let target = self.mountpoint(name);
            options::unmount(&target).map_err(io_error("unmount", &target))?;
        }
        Ok(self.db().put(&key, &Use { mounted: false })?)
    }

    /// Copies an image directory's content (a descriptor of it) into the volume when that is empty. Returns whether it
    /// was. A copy that was cut is done again next time. A volume with mount options is mounted meanwhile.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Mount`], [`Error::Populate`].
    pub fn populate(&self, name: &str, source: BorrowedFd<'_>) -> Result<bool, Error> {
        let volume = self.get(name)?;
        let target = &volume.mountpoint;
        let _guard = self.changing();
        let needs_mount = options::needs_mount(volume.options.as_ref());
        if !needs_mount || options::is_mounted(target).map_err(io_error("look at", target))? {
            return self.fill(name, target, source);
        }
        mount_volume(&volume)?;
        let outcome = self.fill(name, target, source);
        options::unmount(target).map_err(io_error("unmount", target))?;
        outcome
    }

    fn fill(&self, name: &str, target: &Path, source: BorrowedFd<'_>) -> Result<bool, Error> {
        if self.db().get::<Filling>(name)?.is_some() {
            clear(target)?;
        }
        let directory = File::open(target).map_err(io_error("open", target))?;
        if !is_empty(directory.as_fd()).map_err(|errno| io_error("read", target)(errno.into()))? {
            return Ok(false);
        }
        self.db().put(name, &Filling {})?;
        let copied = populate(source, directory.as_fd());
        let copied = copied.map_err(|source| Error::Populate {
            name: name.to_owned(),
            source,
        })?;
        self.db().delete::<Filling>(name)?;
        Ok(copied)
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
        let mut pruned = Pruned::default();
        let mut failure = None;
        for volume in self.list()? {
            if !(all || volume.is_anonymous())
                || !filter(&volume)
                || !self.users(&volume.name)?.is_empty()
            {
                continue;
            }
            let size = self.size(&volume.name).unwrap_or(0);
            match self.remove(&volume.name, true) {
                Ok(()) => {
                    pruned.reclaimed += size;
                    pruned.volumes.push(volume);
                }
                // Someone began to use it in between.
                Err(Error::InUse { .. }) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if pruned.volumes.is_empty() => Err(error),
            _ => Ok(pruned),
        }
    }

    /// The bytes in the volume, for `docker system df`.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn size(&self, name: &str) -> Result<u64, Error> {
        let volume = self.get(name)?;
        let directory =
            File::open(&volume.mountpoint).map_err(io_error("open", &volume.mountpoint))?;
        usage::bytes(directory.as_fd()).map_err(io_error("read", &volume.mountpoint))
    }

    /// Forgets users and mounts of containers that are not in `existing` (all containers' full ids).
    ///
    /// # Errors
    /// When the records can't be written.
    pub fn reconcile(&self, existing: &[String]) -> Result<(), Error> {
        let existing: HashSet<&str> = existing.iter().map(String::as_str).collect();
        for (key, _) in self.db().list::<Use>()? {
            if let Some((volume, container)) = key.split_once('/')
                && !existing.contains(container)
            {
                self.release(volume, container)?;
            }
        }
        Ok(())
    }

    fn db(&self) -> &Database {
        &self.inner.db
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.inner
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.inner.root.join(name)
    }

    fn mountpoint(&self, name: &str) -> PathBuf {
        self.directory(name).join("_data")
    }

    fn make_directories(&self, name: &str) -> Result<(), Error> {
        make_directory(&self.directory(name), 0o701)?;
        make_directory(&self.mountpoint(name), 0o755)
    }

    /// Removes the directory of a volume that is off the records already.
    fn finish_removal(&self, name: &str) -> Result<(), Error> {
        let mountpoint = self.mountpoint(name);
        options::unmount(&mountpoint).map_err(io_error("unmount", &mountpoint))?;
        let directory = self.directory(name);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &directory)(error));
            }
            _ => {}
        }
        self.db().write(|tx| {
            tx.delete::<Filling>(name)?;
            tx.delete::<Removal>(name).map(drop)
        })?;
        Ok(())
    }
}

fn key(volume: &str, container: &str) -> String {
    format!("{volume}/{container}")
}

fn users(tx: &Transaction<'_>, volume: &str) -> Result<Vec<String>, Error> {
    let prefix = format!("{volume}/");
    let uses = tx.list_prefix::<Use>(&prefix)?;
    Ok(uses
        .into_iter()
        .filter_map(|(key, _)| key.strip_prefix(&prefix).map(str::to_owned))
        .collect())
}

/// Makes a directory with this mode whatever the umask; one that exists is left as it is.
fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            let exactly = fs::Permissions::from_mode(mode);
            fs::set_permissions(path, exactly).map_err(io_error("set the mode of", path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error("create", path)(error)),
    }
}

/// Mounts what the volume's options say.
fn mount_volume(volume: &VolumeRecord) -> Result<(), Error> {
    let none = BTreeMap::new();
    let wish = volume.options.as_ref().unwrap_or(&none);
    options::mount(wish, &volume.mountpoint).map_err(|source| Error::Mount {
        device: wish.get("device").cloned().unwrap_or_default(),
        path: volume.mountpoint.clone(),
        source,
    })
}

/// Removes everything in a directory.
fn clear(path: &Path) -> Result<(), Error> {
    let failed = |error| io_error("clear", path)(error);
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_directory = entry.file_type().map_err(failed)?.is_dir();
        let removed = if is_directory {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        removed.map_err(failed)?;
    }
    Ok(())
}

fn io_error(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { step, path, source }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        // Only an interrupted call gives less than was asked for; early boot is long over.
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
                .unwrap_or(0);
    }
    bytes
}

#[cfg(test)]
mod tests;
