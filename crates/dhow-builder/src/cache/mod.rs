//! What builds remember: steps' results by key, and the directories of cache mounts.
//!
//! A *record* says which layers a key has. Its blobs and layers are held ([`dhow_image::HeldContent`]) in the same
//! transaction, so that the collection of garbage leaves them alone, and given up in the same transaction when
//! the record goes. Records come after their layers: a crash leaves layers without a record, which are garbage, and never
//! a record without its layers.
//!
//! An *alias* is a second key of a record: a copy from another stage is known by the content of what it takes and, so
//! that this need not be read again, by that stage's layers.

mod bounds;
mod check;
mod mounts;
mod prune;
mod record;

pub(crate) use mounts::{CacheMounts, MountLease, MountWanted};
pub(crate) use record::{AliasRecord, StepRecord};

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dhow_image::{HeldContent, Protection};
use dhow_oci::Digest;
use jiff::Timestamp;

use crate::builder::BuilderConfig;
use crate::error::Error;
use crate::result::Root;

/// The steps that are remembered; clones are the same.
#[derive(Clone)]
pub(crate) struct Cache {
    pub(crate) config: Arc<BuilderConfig>,
    pub(crate) mounts: CacheMounts,
    index: Arc<Mutex<HashMap<Digest, Entry>>>,
}

/// What is known of a record without reading it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The chain id of the result.
    pub(crate) chain: Option<Digest>,
    /// Those of the layers below, lowest first.
    pub(crate) below: Vec<Digest>,
    /// The bytes of the topmost layer and its blob.
    pub(crate) size: u64,
    pub(crate) description: String,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Option<Timestamp>,
    pub(crate) uses: u64,
    /// How long it took to make.
    pub(crate) cost: Duration,
    /// How many builds use it now.
    pub(crate) users: usize,
    /// Whether what is written here is newer than the record.
    touched: bool,
}

/// A step's result on its way into the cache.
pub(crate) struct NewStep<'a> {
    pub(crate) root: &'a Root,
    pub(crate) description: &'a str,
    pub(crate) cost: Duration,
}

impl Cache {
    /// Reads what is there; records whose layers are not are forgotten.
    ///
    /// # Errors
    /// When the records or the folders can't be read.
    pub(crate) fn open(config: Arc<BuilderConfig>) -> Result<Self, Error> {
        let mounts = CacheMounts::open(&config)?;
        let cache = Self {
            config,
            mounts,
            index: Arc::default(),
        };
        cache.load()?;
        Ok(cache)
    }

    fn load(&self) -> Result<(), Error> {
        let mut lost = Vec::new();
        // One look at each folder, however many records there are.
        let blobs: HashSet<Digest> = self
            .config
            .content
            .list()?
            .into_iter()
            .map(|(d, _)| d)
            .collect();
        let layers = self.config.snapshots.layers()?.into_iter();
        let chains: HashSet<Digest> = layers.map(|layer| layer.chain_id).collect();
        for (name, record) in self.config.db.list::<StepRecord>()? {
            let Ok(key) = name.parse::<Digest>() else {
                continue;
            };
            let top = record.layers.last().map(|layer| layer.chain_id);
            let whole = record
                .layers
                .iter()
                .all(|layer| blobs.contains(&layer.blob.digest))
                && top.is_none_or(|top| chains.contains(&top));
            match whole {
                true => drop(self.lock().insert(key, Entry::of(&record))),
                false => lost.push(key),
            }
        }
        if !lost.is_empty() {
            tracing::info!(records = lost.len(), "build cache: layers are missing");
            self.forget(&lost)?;
        }
        Ok(())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all layers and blobs are here.
    pub(crate) fn is_whole(&self, root: &Root) -> bool {
        let there = |digest: &Digest| self.config.snapshots.contains(digest).unwrap_or(false);
        root.layers
            .iter()
            .all(|layer| self.config.content.contains(&layer.blob.digest))
            && root.chain_id().is_none_or(|chain| there(&chain))
    }

    /// The result that a key has, protected; a use is counted until the protection's build ends.
    ///
    /// # Errors
    /// When the records can't be read.
    pub(crate) fn find(
        &self,
        key: &Digest,
        protection: &mut Protection,
    ) -> Result<Option<Found>, Error> {
        let key = match self.lock().contains_key(key) {
            true => *key,
            false => match self.config.db.get::<AliasRecord>(&key.to_string())? {
                Some(alias) => alias.key,
                None => return Ok(None),
            },
        };
        let Some(record) = self.config.db.get::<StepRecord>(&key.to_string())? else {
            return Ok(None);
        };
        let root = record.root();
        protection.extend(digests(&root));
        if !self.is_top_whole(&root) {
            self.forget(&[key])?;
            return Ok(None);
        }
        let mut index = self.lock();
        let Some(entry) = index.get_mut(&key) else {
            return Ok(None); // pruned just now
        };
        entry.users += 1;
        entry.uses += 1;
        entry.last_used = Some(Timestamp::now());
        entry.touched = true;
        Ok(Some(Found { key, root }))
    }

    /// The layers below were there when the record was made and are held by it.
    fn is_top_whole(&self, root: &Root) -> bool {
        let Some(top) = root.layers.last() else {
            return true;
        };
        self.config.content.contains(&top.blob.digest)
            && self
                .config
                .snapshots
                .contains(&top.chain_id)
                .unwrap_or(false)
    }

    /// Remembers a result, whose layers are there and protected. It counts as used by the build that made it.
    ///
    /// # Errors
    /// When the record can't be written.
    pub(crate) fn keep(
        &self,
        key: &Digest,
        alias: Option<&Digest>,
        step: &NewStep<'_>,
    ) -> Result<(), Error> {
        let record = StepRecord::new(step);
        let name = key.to_string();
        let held = HeldContent {
            digests: digests(step.root).collect(),
        };
        self.config.db.write(|tx| {
            tx.put(&name, &record)?;
            tx.put(&held_key(&name), &held)?;
            if let Some(alias) = alias {
                tx.put(&alias.to_string(), &AliasRecord { key: *key })?;
            }
            Ok::<(), Error>(())
        })?;
        let mut entry = Entry::of(&record);
        let mut index = self.lock();
        entry.users = index.get(key).map_or(0, |old| old.users) + 1;
        index.insert(*key, entry);
        Ok(())
    }

    /// Gives a record another key.
    ///
    /// # Errors
    /// When the record can't be written.
    pub(crate) fn alias(&self, alias: &Digest, key: &Digest) -> Result<(), Error> {
        Ok(self
            .config
            .db
            .put(&alias.to_string(), &AliasRecord { key: *key })?)
    }

    /// A build that used these records has ended; when they were last used is written down.
    pub(crate) fn release(&self, keys: &[Digest]) {
        let mut index = self.lock();
        for key in keys {
            if let Some(entry) = index.get_mut(key) {
                entry.users = entry.users.saturating_sub(1);
            }
        }
        let mut touched = Vec::new();
        for key in keys {
            if let Some(entry) = index.get_mut(key).filter(|entry| entry.touched) {
                entry.touched = false;
                touched.push((*key, entry.last_used, entry.uses));
            }
        }
        drop(index);
        let written = self.config.db.write(|tx| {
            for (key, last_used, uses) in &touched {
                let name = key.to_string();
                if let Some(mut record) = tx.get::<StepRecord>(&name)? {
                    record.last_used = *last_used;
                    record.uses = *uses;
                    tx.put(&name, &record)?;
                }
            }
            Ok::<(), Error>(())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "uses of the build cache can't be written down");
        }
    }

    /// Forgets records; their layers are garbage then, unless something else leads to them.
    ///
    /// # Errors
    /// When the records can't be written.
    pub(crate) fn forget(&self, keys: &[Digest]) -> Result<(), Error> {
        self.config.db.write(|tx| {
            for key in keys {
                let name = key.to_string();
                tx.delete::<StepRecord>(&name)?;
                tx.delete::<HeldContent>(&held_key(&name))?;
            }
            let mut aliases = Vec::new();
            tx.visit::<AliasRecord>(|alias, record| {
                if keys.contains(&record.key) {
                    aliases.push(alias.to_owned());
                }
            })?;
            for alias in aliases {
                tx.delete::<AliasRecord>(&alias)?;
            }
            Ok::<(), Error>(())
        })?;
        let mut index = self.lock();
        for key in keys {
            index.remove(key);
        }
        Ok(())
    }
}

/// A result of the cache.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its own key, which may not be the one it was looked for by.
    pub(crate) key: Digest,
    /// The result.
    pub(crate) root: Root,
}

/// All that a root consists of.
pub(crate) fn digests(root: &Root) -> impl Iterator<Item = Digest> + '_ {
    root.layers
        .iter()
        .flat_map(|layer| [layer.blob.digest, layer.chain_id])
}

fn held_key(name: &str) -> String {
    format!("build/{name}")
}

impl Entry {
    fn of(record: &StepRecord) -> Self {
        let chains: Vec<Digest> = record.layers.iter().map(|layer| layer.chain_id).collect();
        let (chain, below) = match chains.split_last() {
            Some((top, below)) => (Some(*top), below.to_vec()),
            None => (None, Vec::new()),
        };
        let top = record.layers.last();
        Self {
            chain,
            below,
            size: top.map_or(0, |layer| layer.size + layer.blob.size),
            description: record.description.clone(),
            created: record.created,
            last_used: record.last_used,
            uses: record.uses,
            cost: Duration::from_millis(record.cost_ms),
            users: 0,
            touched: false,
        }
    }
}
