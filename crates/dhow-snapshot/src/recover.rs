//! What survives a crash, and clearing up after one.

use std::collections::HashSet;

use dhow_metadata::Transaction;
use dhow_oci::Digest;

use crate::folders::open_dir;
use crate::record::{LayerRecord, SnapshotRecord};
use crate::{ChainId, Error, Snapshots};

impl Snapshots {
    /// Writes all committed layers to the disk and remembers that they survive a loss of power from now on.
    ///
    /// Takes as long as the disk does; meant to be called in the background after a pull.
    ///
    /// # Errors
    /// When the disk or the records fail.
    pub fn flush(&self) -> Result<(), Error> {
        let unflushed: Vec<String> = self.unflushed()?.into_iter().map(|(id, _)| id).collect();
        if unflushed.is_empty() {
            return Ok(());
        }
        let root = open_dir(&self.folders.root)?;
        rustix::fs::syncfs(&root).map_err(|e| Error::file("flush", &self.folders.root, e))?;
        self.db.write(|tx| {
            for id in &unflushed {
                if let Some(mut record) = tx.get::<LayerRecord>(id)? {
                    record.unflushed_since_boot = None;
                    tx.put(id, &record)?;
                }
            }
            Ok(())
        })
    }

    /// The layers that containers stand on, whether images still have them or not.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn needed(&self) -> Result<HashSet<ChainId>, Error> {
        self.db.read(needed)
    }

    fn unflushed(&self) -> Result<Vec<(String, LayerRecord)>, Error> {
        let mut records = self.db.list::<LayerRecord>()?;
        records.retain(|(_, record)| record.unflushed_since_boot.is_some());
        Ok(records)
    }

    /// Makes directories and records agree again.
    pub(crate) fn recover(&self) -> Result<(), Error> {
        self.forget_unflushed()?;
        self.db.write(|tx| {
            for (id, _) in tx.list::<LayerRecord>()? {
                let folder = id.parse().map(|id: ChainId| self.folders.layer(&id));
                if !folder.is_ok_and(|folder| folder.is_dir()) {
                    tx.delete::<LayerRecord>(&id)?;
                }
            }
            for (key, _) in tx.list::<SnapshotRecord>()? {
                if !self.folders.active(&key)?.is_dir() {
                    tx.delete::<SnapshotRecord>(&key)?;
                }
            }
            Ok::<(), Error>(())
        })?;
        let layers = self
            .layers()?
            .into_iter()
            .map(|layer| layer.chain_id.hex())
            .collect();
        self.folders.discard_unknown("layers", &layers)?;
        self.folders
            .discard_unknown("active", &self.keys()?.into_iter().collect())?;
        self.folders.empty("staging")?;
        self.folders.empty("trash")
    }

    /// After a loss of power: forgets the layers that may be incomplete, but for those a container stands on.
    fn forget_unflushed(&self) -> Result<(), Error> {
        let boot = boot_id();
        let unflushed = self.unflushed()?;
        if unflushed
            .iter()
            .all(|(_, layer)| layer.unflushed_since_boot.as_ref() == Some(&boot))
        {
            return Ok(());
        }
        self.db.write(|tx| {
            let needed = needed(tx)?;
            for (id, layer) in unflushed {
                let lost = layer.unflushed_since_boot.as_ref() != Some(&boot);
                let free = !id.parse::<Digest>().is_ok_and(|id| needed.contains(&id));
                if lost && free {
                    tx.delete::<LayerRecord>(&id)?;
                }
            }
            Ok(())
        })
    }
}

/// The layers below containers.
fn needed(tx: &Transaction<'_>) -> Result<HashSet<ChainId>, Error> {
    let mut needed = HashSet::new();
    for (_, container) in tx.list::<SnapshotRecord>()? {
        let mut next = container.parent;
        while let Some(id) = next.filter(|id| needed.insert(*id)) {
            next = tx
                .get::<LayerRecord>(&id.to_string())?
                .and_then(|layer| layer.parent);
        }
    }
    Ok(needed)
}

/// A name for the time since the machine was started.
pub(crate) fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}
