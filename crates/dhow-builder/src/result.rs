//! What vertices give.

use dhow_oci::{Descriptor, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a step's result is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    /// The digest that stands for it on all those below.
    pub chain_id: Digest,
    /// Its blob.
    pub blob: Descriptor,
    /// The bytes of its files.
    pub size: u64,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// A stack of layers, lowest first; none is an empty root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Root {
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Root {
    /// The digest that stands for all of it; `None` for an empty root.
    #[must_use]
    pub fn chain_id(&self) -> Option<Digest> {
        self.layers.last().map(|layer| layer.chain_id)
    }
}
