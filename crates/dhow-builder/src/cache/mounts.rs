//! The directories of cache mounts: they outlive builds, and several commands may share one. Repositories that were
//! fetched are kept in the same way.

use std::collections::HashMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dhow_archive::remove_tree;
use dhow_dockerfile::MountSharing;
use dhow_image::Finding;
use dhow_metadata::Database;
use dhow_oci::Digest;
use jiff::Timestamp;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::record::MountRecord;
use crate::builder::BuilderConfig;
use crate::error::Error;

/// All cache mounts of a builder; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct CacheMounts {
    folder: PathBuf,
    trash: PathBuf,
    db: Database,
    state: Arc<Mutex<HashMap<String, Directory>>>,
}

#[derive(Debug, Clone)]
struct Directory {
    record: MountRecord,
    lock: Arc<RwLock<()>>,
}

/// Which directory is wanted, and how it begins.
#[derive(Debug, Clone)]
pub(crate) struct MountWanted {
    /// The mount's id, or a repository's address.
    pub(crate) id: String,
    /// Whether it is for a git repository.
    pub(crate) git: bool,
    /// What it begins with: the digest of a root and a path.
    pub(crate) origin: Option<Digest>,
    /// How others share it.
    pub(crate) sharing: MountSharing,
    /// Permissions, owner and group when it is made.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A directory that a command uses, for as long as this lives.
#[derive(Debug)]
pub(crate) struct MountLease {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether it was made just now, and is empty.
    pub(crate) fresh: bool,
    name: String,
    mounts: CacheMounts,
    _guard: Guard,
}

#[derive(Debug)]
enum Guard {
    Shared(#[expect(dead_code, reason = "its end is what matters")] OwnedRwLockReadGuard<()>),
    Alone(#[expect(dead_code, reason = "its end is what matters")] OwnedRwLockWriteGuard<()>),
}

impl CacheMounts {
    pub(super) fn open(config: &BuilderConfig) -> Result<Self, Error> {
        let mounts = Self {
            folder: config.folder.join("mounts"),
            trash: config.folder.join("trash"),
            db: config.db.clone(),
            state: Arc::default(),
        };
        for folder in [&mounts.folder, &mounts.trash] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|e| Error::file("make", folder.display().to_string(), e))?;
        }
        mounts.load()?;
        Ok(mounts)
    }

    /// Reads the records; what has no record or no directory goes.
    fn load(&self) -> Result<(), Error> {
        let mut state = self.lock();
        for (name, record) in self.db.list::<MountRecord>()? {
            if self.folder.join(&name).is_dir() {
                let lock = Arc::default();
                state.insert(name, Directory { record, lock });
            } else {
                self.db.delete::<MountRecord>(&name)?;
            }
        }
        let unreadable = |e| Error::file("list", self.folder.display().to_string(), e);
        for entry in std::fs::read_dir(&self.folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let name = name.to_string_lossy().into_owned();
            if !state.contains_key(&name) {
                self.discard(&name)?;
            }
        }
        self.empty_trash();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Directory>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a directory and gives it.
    ///
    /// # Errors
    /// When it can't be made.
    pub(crate) async fn acquire(&self, wanted: &MountWanted) -> Result<MountLease, Error> {
        let mut number = 0;
        loop {
            let name = name_of(wanted, number);
            let (lock, fresh) = self.ensure(&name, wanted)?;
            let guard = match wanted.sharing {
                MountSharing::Shared => Guard::Shared(lock.read_owned().await),
                MountSharing::Locked => Guard::Alone(lock.write_owned().await),
                MountSharing::Private => match lock.try_write_owned() {
                    Ok(guard) => Guard::Alone(guard),
                    // Somebody has it: another one is as good.
                    Err(_) => {
                        number += 1;
                        continue;
                    }
                },
            };
            if !self.use_of(&name)? {
                continue; // pruned while it was waited for
            }
            return Ok(MountLease {
                path: self.folder.join(&name),
                fresh,
                name,
                mounts: self.clone(),
                _guard: guard,
            });
        }
    }

    /// Has the directory and its record there; says whether it was made.
    fn ensure(&self, name: &str, wanted: &MountWanted) -> Result<(Arc<RwLock<()>>, bool), Error> {
        let mut state = self.lock();
        if let Some(directory) = state.get(name) {
            return Ok((Arc::clone(&directory.lock), false));
        }
        let path = self.folder.join(name);
        let made = std::fs::create_dir(&path)
            .and_then(|()| std::os::unix::fs::chown(&path, Some(wanted.uid), Some(wanted.gid)))
            .and_then(|()| {
                let mode = std::fs::Permissions::from_mode(wanted.mode & 0o7777);
                std::fs::set_permissions(&path, mode)
            });
        made.map_err(|e| Error::file("make", path.display().to_string(), e))?;
        let record = MountRecord {
            id: wanted.id.clone(),
            git: wanted.git,
            created: Timestamp::now(),
            last_used: None,
            uses: 0,
            size: 0,
        };
        self.db.put(name, &record)?;
        let lock = Arc::<RwLock<()>>::default();
        let directory = Directory {
            record,
            lock: Arc::clone(&lock),
        };
        state.insert(name.to_owned(), directory);
        Ok((lock, true))
    }

    /// Notes a use; says whether the directory is there still.
    fn use_of(&self, name: &str) -> Result<bool, Error> {
        let mut state = self.lock();
        let Some(directory) = state.get_mut(name) else {
            return Ok(false);
        };
        directory.record.last_used = Some(Timestamp::now());
        directory.record.uses += 1;
        self.db.put(name, &directory.record)?;
        Ok(true)
    }

    /// All directories by name, with their records and whether they are in use.
    pub(super) fn list(&self) -> Vec<(String, MountRecord, bool)> {
        let state = self.lock();
        let in_use = |directory: &Directory| directory.lock.try_write().is_err();
        state
            .iter()
            .map(|(name, directory)| (name.clone(), directory.record.clone(), in_use(directory)))
            .collect()
    }

    /// Cache mounts whose directories are missing; the next start forgets them.
    pub(super) fn check(&self) -> Vec<Finding> {
        let state = self.lock();
        let missing = state
            .iter()
            .filter(|(name, _)| !self.folder.join(name).is_dir());
        missing
            .map(|(_, mount)| {
                let subject = format!("cache mount {}", mount.record.id);
                Finding::new(subject, "its directory is missing")
            })
            .collect()
    }

    /// Looks how large a directory is.
    pub(super) fn measure(&self, name: &str) {
        let path = self.folder.join(name);
        let size = std::fs::File::open(&path)
            .map_err(|e| e.to_string())
            .and_then(|folder| {
                use std::os::fd::AsFd;
                dhow_archive::usage(folder.as_fd()).map_err(|e| e.to_string())
            });
        let mut state = self.lock();
        let (Some(directory), Ok(size)) = (state.get_mut(name), size) else {
            return;
        };
        if directory.record.size != size {
            directory.record.size = size;
            if let Err(error) = self.db.put(name, &directory.record) {
                tracing::warn!(%error, "size of a cache mount");
            }
        }
    }

    /// Removes a directory unless somebody uses it; says whether it is gone.
    ///
    /// # Errors
    /// When the record can't be removed.
    pub(super) fn remove(&self, name: &str) -> Result<bool, Error> {
        let mut state = self.lock();
        let Some(directory) = state.get(name) else {
            return Ok(true);
        };
        let Ok(_alone) = Arc::clone(&directory.lock).try_write_owned() else {
            return Ok(false);
        };
        self.db.delete::<MountRecord>(name)?;
        state.remove(name);
        self.discard(name)?;
        drop(state);
        self.empty_trash();
        Ok(true)
    }

    fn discard(&self, name: &str) -> Result<(), Error> {
        let trash = self.trash.join(crate::id::random());
        std::fs::rename(self.folder.join(name), trash).map_err(|e| Error::file("remove", name, e))
    }

    fn empty_trash(&self) {
        let names = |folder: &Path| -> std::io::Result<Vec<PathBuf>> {
            std::fs::read_dir(folder)?
                .map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())))
                .collect()
        };
        let (Ok(folder), Ok(names)) = (std::fs::File::open(&self.trash), names(&self.trash)) else {
            return;
        };
        for name in names {
            use std::os::fd::AsFd;
            if let Err(error) = remove_tree(folder.as_fd(), &name) {
                tracing::warn!(%error, "trash of the build cache");
            }
        }
    }
}

impl Drop for MountLease {
    fn drop(&mut self) {
        // Looking takes as long as there are files; nobody waits for it.
        let (mounts, name) = (self.mounts.clone(), self.name.clone());
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || mounts.measure(&name))),
            Err(_) => mounts.measure(&name),
        }
    }
}

fn name_of(wanted: &MountWanted, number: usize) -> String {
    let origin = wanted
        .origin
        .map_or(String::new(), |origin| origin.to_string());
    let kind = if wanted.git { "git" } else { "" };
    let text = format!("{}\0{origin}\0{number}{kind}", wanted.id);
    crate::id::of(&Digest::of(text.as_bytes()))
}
