//! The synced folders of a builder.
//!
//! There is a *slot* a folder: `NAME/files` with the files, `NAME/index`, and `NAME/unfinished`. A build that finds the files
//! unchanged shares a slot with the builds that use it. One that has to change something gets the slot to itself: if others
//! still use it, what it has is linked into a new one first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use dhow_oci::Digest;

use crate::index::{self, About, Entry};
use crate::receive::Limits;
use crate::{Error, path};

/// How long a build waits for another that is just bringing the same folder in step, before it begins one of its own.
const TURN: Duration = Duration::from_secs(10);

/// What a synced folder is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FolderKey {
    /// What the client's builds of one place share.
    pub shared_key: String,
    /// What the client calls the folder: `context`, `dockerfile`.
    pub name: String,
    /// What of it is asked for: folders of which other parts are synced are kept apart.
    pub scope: String,
}

/// All synced folders; clones are the same.
#[derive(Debug, Clone)]
pub struct Folders {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<String, Slot>,
    turns: HashMap<FolderKey, Arc<tokio::sync::Mutex<()>>>,
    number: u64,
}

#[derive(Debug)]
struct Slot {
    about: About,
    users: usize,
    /// Whether somebody is comparing or changing it.
    busy: bool,
    used: SystemTime,
}

/// What a folder takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderUsage {
    /// Its name among the others.
    pub id: String,
    /// What it is of.
    pub key: FolderKey,
    /// The bytes of its files.
    pub bytes: u64,
    /// Whether a build uses it.
    pub in_use: bool,
    /// When it was last used.
    pub used: SystemTime,
}

impl Folders {
    /// Opens the folders below `root`, and removes what can't be relied on.
    ///
    /// # Errors
    /// `root` can't be made or read.
    pub fn open(root: impl Into<PathBuf>, limits: Limits) -> Result<Self, Error> {
        let root = root.into();
        let fail = |error| Error::file("open", root.to_string_lossy(), error);
        std::fs::create_dir_all(&root).map_err(fail)?;
        let mut state = State::default();
        for entry in std::fs::read_dir(&root).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match index::read_about(&entry.path().join("index")) {
                Some(about) => {
                    let used = entry.path().join("index").metadata();
                    let used = used.and_then(|m| m.modified());
                    let slot = Slot {
                        about,
                        users: 0,
                        busy: false,
                        used: used.unwrap_or_else(|_| SystemTime::now()),
                    };
                    state.number = state.number.max(number_of(&name));
                    state.slots.insert(name, slot);
                }
                None => discard(&entry.path()),
            }
        }
        Ok(Self {
            shared: Arc::new(Shared {
                root,
                limits,
                state: Mutex::new(state),
            }),
        })
    }

    /// The bounds of what is received.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// What all folders take.
    #[must_use]
    pub fn usage(&self) -> Vec<FolderUsage> {
        let state = self.shared.state();
        let usage = state.slots.iter().map(|(id, slot)| FolderUsage {
            id: id.clone(),
            key: slot.about.key.clone(),
            bytes: slot.about.bytes,
            in_use: slot.users > 0,
            used: slot.used,
        });
        usage.collect()
    }

    /// Removes a folder unless a build uses it; says whether it did. Blocking.
    #[must_use]
    pub fn remove(&self, id: &str) -> bool {
        let mut state = self.shared.state();
        if state.slots.get(id).is_none_or(|slot| slot.users > 0) {
            return false;
        }
        state.slots.remove(id);
        drop(state);
        discard(&self.shared.root.join(id));
        true
    }

    /// Waits until nobody else is bringing folders of that key in step, but not for long.
    pub(crate) async fn turn(&self, key: &FolderKey) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        let turn = {
            let mut state = self.shared.state();
            state.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            state.turns.entry(key.clone()).or_default().clone()
        };
        tokio::time::timeout(TURN, turn.lock_owned()).await.ok()
    }

    /// Takes the slot of that key that was used last and nobody is changing, or a new one. Blocking.
    pub(crate) fn take(&self, key: &FolderKey) -> Taken {
        let mut state = self.shared.state();
        let fitting = state
            .slots
            .iter_mut()
            .filter(|(_, slot)| slot.about.key == *key && !slot.busy)
            .max_by_key(|(_, slot)| slot.used);
        let id = match fitting {
            Some((id, slot)) => {
                slot.users += 1;
                slot.busy = true;
                id.clone()
            }
            None => state.add(key),
        };
        drop(state);
        Taken {
            folders: self.clone(),
            id,
        }
    }
}

impl State {
    fn add(&mut self, key: &FolderKey) -> String {
        self.number += 1;
        let text = format!("{}\n{}\n{}", key.shared_key, key.name, key.scope);
        let id = format!("{}.{}", Digest::of(text.as_bytes()).short(), self.number);
        let slot = Slot {
            about: About {
                key: key.clone(),
                bytes: 0,
            },
            users: 1,
            busy: true,
            used: SystemTime::now(),
        };
        self.slots.insert(id.clone(), slot);
        id
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One user less; what is older than another slot of the same key and used by nobody goes.
    fn release(&self, id: &str, busy: bool) {
        let mut state = self.state();
        let Some(slot) = state.slots.get_mut(id) else {
            return;
        };
        slot.users = slot.users.saturating_sub(1);
        if busy {
            slot.busy = false;
        }
        let key = slot.about.key.clone();
        let mut idle: Vec<_> = state
            .slots
            .iter()
            .filter(|(_, slot)| slot.about.key == key)
            .map(|(id, slot)| (slot.used, slot.users, id.clone()))
            .collect();
        idle.sort();
        idle.pop();
        let stale: Vec<_> = idle
            .into_iter()
            .filter(|(_, users, _)| *users == 0)
            .collect();
        for (_, _, id) in &stale {
            state.slots.remove(id);
        }
        drop(state);
        for (_, _, id) in stale {
            let path = self.root.join(id);
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(move || discard(&path))),
                Err(_) => discard(&path),
            }
        }
    }
}

/// A slot that somebody is comparing or changing.
#[derive(Debug)]
pub(crate) struct Taken {
    folders: Folders,
    id: String,
}

impl Taken {
    pub(crate) fn path(&self) -> PathBuf {
        self.folders.shared.root.join(&self.id)
    }

    /// Whether nobody else uses it.
    pub(crate) fn is_alone(&self) -> bool {
        let state = self.folders.shared.state();
        state
            .slots
            .get(&self.id)
            .is_some_and(|slot| slot.users == 1)
    }

    /// A new slot of the same key.
    pub(crate) fn beside(&self) -> Self {
        let mut state = self.folders.shared.state();
        let key = state.slots.get(&self.id).map(|slot| slot.about.key.clone());
        let id = state.add(&key.unwrap_or_default());
        drop(state);
        Self {
            folders: self.folders.clone(),
            id,
        }
    }

    /// Writes the index of a slot that was changed.
    pub(crate) fn write_index(&self, entries: &[Entry]) -> Result<(), Error> {
        let sizes = entries.iter().map(|entry| entry.stat.size);
        let bytes = sizes.map(|size| u64::try_from(size).unwrap_or(0)).sum();
        let mut state = self.folders.shared.state();
        let Some(slot) = state.slots.get_mut(&self.id) else {
            return Ok(());
        };
        slot.about.bytes = bytes;
        let about = slot.about.clone();
        drop(state);
        index::write(&self.path().join("index"), &about, entries)
    }

    /// Gives the slot to who uses the files.
    pub(crate) fn finish(self, entries: Vec<Entry>) -> Synced {
        let mut state = self.folders.shared.state();
        if let Some(slot) = state.slots.get_mut(&self.id) {
            slot.busy = false;
            slot.used = SystemTime::now();
            slot.users += 1;
        }
        drop(state);
        Synced {
            files: self.path().join("files"),
            entries,
            id: self.id.clone(),
            folders: self.folders.clone(),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.folders.shared.release(&self.id, true);
    }
}

/// A synced folder in step with the client's; it does not change while this lives.
#[derive(Debug)]
pub struct Synced {
    files: PathBuf,
    entries: Vec<Entry>,
    id: String,
    folders: Folders,
}

impl Synced {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.files
    }

    /// The digest of a regular file's content, by its path in the folder.
    #[must_use]
    pub fn digest(&self, path: &Path) -> Option<Digest> {
        let path = path.to_str()?.trim_matches('/');
        let found = self
            .entries
            .binary_search_by(|entry| path::compare(&entry.stat.path, path));
        let entry = self.entries.get(found.ok()?)?;
        Some(Digest::from_raw(entry.digest.as_slice().try_into().ok()?))
    }

    /// How many files, directories and links there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Drop for Synced {
    fn drop(&mut self) {
        self.folders.shared.release(&self.id, false);
    }
}

fn number_of(name: &str) -> u64 {
    let number = name
        .rsplit_once('.')
        .and_then(|(_, number)| number.parse().ok());
    number.unwrap_or(0)
}

/// Removes a slot; what can't be removed is found again at the next start.
fn discard(path: &Path) {
    let _ = std::fs::remove_file(path.join("index"));
    if let Err(error) = std::fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a synced folder can't be removed");
    }
}
