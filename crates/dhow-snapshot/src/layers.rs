//! Layers: begin, commit, look up, remove.

use std::os::fd::AsFd;

use dhow_archive::{Applied, settle};
use dhow_metadata::Transaction;
use dhow_oci::Digest;

use crate::folders::{Folders, open_dir};
use crate::record::{LayerRecord, SnapshotRecord, chain};
use crate::recover::boot_id;
use crate::{ChainId, Error, LayerInfo, Mounts, Snapshots, Staging};

impl Snapshots {
    /// A new empty directory for a layer.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn begin(&self) -> Result<Staging, Error> {
        let path = self.folders.fresh("staging");
        Folders::make(&path, 0o755)?;
        Ok(Staging::new(path))
    }

    /// Makes the unpacked layer `diff_id` in `staging` the layer on top of `parent` and returns its chain id.
    ///
    /// Where the layer exists already it is left as it is.
    ///
    /// # Errors
    /// [`Error::NoLayer`] when the parent doesn't exist; [`Error::Settle`] when the layer needs something of the layers
    /// below that isn't there. Nothing of the layer is left then.
    pub fn commit(
        &self,
        staging: Staging,
        applied: &Applied,
        diff_id: &Digest,
        parent: Option<&ChainId>,
    ) -> Result<ChainId, Error> {
        let id = chain(parent, diff_id);
        if self.contains(&id)? {
            return Ok(id);
        }
        self.settle(&staging, applied, &id, parent)?;
        let record = LayerRecord {
            diff_id: *diff_id,
            parent: parent.copied(),
            size: applied.bytes,
            unflushed_since_boot: Some(boot_id()),
        };
        let placed = self.db.write(|tx| {
            if tx.get::<LayerRecord>(&id.to_string())?.is_some() {
                return Ok(false);
            }
            if let Some(parent) = parent {
                tx.get::<LayerRecord>(&parent.to_string())?
                    .ok_or(Error::NoLayer(*parent))?;
            }
            self.folders
                .place(staging.path(), &self.folders.layer(&id))?;
            tx.put(&id.to_string(), &record)?;
            Ok::<bool, Error>(true)
        })?;
        if placed {
            staging.placed();
        }
        Ok(id)
    }

    fn settle(
        &self,
        staging: &Staging,
        applied: &Applied,
        id: &ChainId,
        parent: Option<&ChainId>,
    ) -> Result<(), Error> {
        let below = match parent {
            Some(parent) if applied.needs_lower() => Some(self.view(parent)?.mount()?),
            _ => None,
        };
        let layer = open_dir(staging.path())?;
        settle(layer.as_fd(), below.as_ref().map(AsFd::as_fd), applied)
            .map_err(|source| Error::Settle { layer: *id, source })
    }

    /// Whether the layer exists.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn contains(&self, id: &ChainId) -> Result<bool, Error> {
        Ok(self.db.get::<LayerRecord>(&id.to_string())?.is_some())
    }

    /// What is known about a layer.
    ///
    /// # Errors
    /// [`Error::NoLayer`].
    pub fn layer(&self, id: &ChainId) -> Result<LayerInfo, Error> {
        let record = self
            .db
            .get::<LayerRecord>(&id.to_string())?
            .ok_or(Error::NoLayer(*id))?;
        Ok(record.info(*id))
    }

    /// All layers, in no particular order.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn layers(&self) -> Result<Vec<LayerInfo>, Error> {
        let records = self.db.list::<LayerRecord>()?;
        let info = |(id, record): (String, LayerRecord)| Some(record.info(id.parse().ok()?));
        Ok(records.into_iter().filter_map(info).collect())
    }

    /// Removes a layer.
    ///
    /// # Errors
    /// [`Error::InUse`] while another layer or a container stands on it, [`Error::NoLayer`].
    pub fn remove_layer(&self, id: &ChainId) -> Result<(), Error> {
        let trash = self.folders.fresh("trash");
        self.db.write(|tx| {
            if let Some(user) = user_of(tx, id)? {
                return Err(Error::InUse { layer: *id, user });
            }
            if !tx.delete::<LayerRecord>(&id.to_string())? {
                return Err(Error::NoLayer(*id));
            }
            Folders::rename_if_there(&self.folders.layer(id), &trash)
        })?;
        Folders::remove_dir(&trash)
    }

    /// What to mount to see a layer and all below it, read-only.
    ///
    /// # Errors
    /// [`Error::NoLayer`].
    pub fn view(&self, id: &ChainId) -> Result<Mounts, Error> {
        let lower = self.db.read(|tx| self.ancestors(tx, Some(id)))?;
        Ok(Mounts {
            lower,
            read_only: true,
            ..Mounts::default()
        })
    }
}

/// A layer or container that stands directly on the layer `id`.
fn user_of(tx: &Transaction<'_>, id: &ChainId) -> Result<Option<String>, Error> {
    let layers = tx.list::<LayerRecord>()?;
    if let Some((user, _)) = layers
        .into_iter()
        .find(|(_, layer)| layer.parent.as_ref() == Some(id))
    {
        return Ok(Some(format!("layer {user}")));
    }
    let containers = tx.list::<SnapshotRecord>()?;
    let user = containers
        .into_iter()
        .find(|(_, container)| container.parent.as_ref() == Some(id));
    Ok(user.map(|(key, _)| format!("container {key}")))
}
