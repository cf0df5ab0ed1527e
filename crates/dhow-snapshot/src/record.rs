//! What is kept about layers and snapshots.

use dhow_metadata::Record;
use dhow_oci::Digest;
use serde::{Deserialize, Serialize};

/// The digest that stands for a layer on all those below it; of the lowest one its diff id.
pub type ChainId = Digest;

/// A committed layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// The layer and all below it.
    pub chain_id: ChainId,
    /// The digest of the layer's own uncompressed tar.
    pub diff_id: Digest,
    /// What it stands on.
    pub parent: Option<ChainId>,
    /// The bytes of the files in this layer alone.
    pub size: u64,
}

/// The record of a layer, by chain id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub(crate) diff_id: Digest,
    #[serde(default)]
    pub(crate) parent: Option<ChainId>,
    pub(crate) size: u64,
    /// The boot during which it was committed, until it is certain that its files are on the disk.
    #[serde(default)]
    pub(crate) unflushed_since_boot: Option<String>,
}

impl Record for LayerRecord {
    const COLLECTION: &'static str = "layers";
}

impl LayerRecord {
    pub(crate) fn info(self, chain_id: ChainId) -> LayerInfo {
        LayerInfo {
            chain_id,
            diff_id: self.diff_id,
            parent: self.parent,
            size: self.size,
        }
    }
}

/// The record of a container's snapshot, by its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotRecord {
    #[serde(default)]
    pub(crate) parent: Option<ChainId>,
}

impl Record for SnapshotRecord {
    const COLLECTION: &'static str = "snapshots";
}

/// The chain id of the layer `diff_id` on `parent`.
pub(crate) fn chain(parent: Option<&ChainId>, diff_id: &Digest) -> ChainId {
    match parent {
        None => *diff_id,
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}
