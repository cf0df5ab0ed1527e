//! The configuration of a cache.

use std::collections::{BTreeMap, HashMap};

use dhow_oci::{Descriptor, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::result::{Layer, Root};

/// The media type of the configuration; BuildKit's.
pub(super) const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
/// The field of an image's configuration that has it inside; BuildKit's.
pub(super) const INLINE: &str = "moby.buildkit.cache.v0";
/// The annotation with the id of a cache mount.
pub(super) const MOUNT: &str = "dev.dhow.cache-mount";

const DIFF_ID: &str = "containerd.io/uncompressed";

/// A configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CacheConfig {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<CacheLayer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) records: Vec<CacheRecord>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CacheLayer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blob: Option<Digest>,
    /// The position of the layer it stands on; -1 for none.
    #[serde(default = "none")]
    pub(super) parent: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<CacheAnnotations>,
}

fn none() -> i64 {
    -1
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CacheAnnotations {
    #[serde(default)]
    pub(super) media_type: String,
    #[serde(default, rename = "diffID")]
    pub(super) diff_id: Option<Digest>,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CacheRecord {
    pub(super) digest: Digest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<CacheResult>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CacheResult {
    pub(super) layer: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<Timestamp>,
}

/// Layers and records being put together.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) config: CacheConfig,
    /// The blobs, in the order of the layers.
    pub(super) blobs: Vec<Descriptor>,
    positions: HashMap<Digest, usize>,
}

impl Collected {
    /// Adds a result by its keys.
    pub(super) fn add(&mut self, keys: &[Digest], root: &Root) {
        let mut parent = -1;
        let mut last = None;
        for layer in &root.layers {
            let position = self.layer(layer, parent);
            parent = i64::try_from(position).unwrap_or(-1);
            last = Some((position, layer.created));
        }
        let Some((layer, created_at)) = last else {
            return;
        };
        for key in keys {
            if self
                .config
                .records
                .iter()
                .any(|record| record.digest == *key)
            {
                continue;
            }
            self.config.records.push(CacheRecord {
                digest: *key,
                layers: vec![CacheResult { layer, created_at }],
            });
        }
    }

    fn layer(&mut self, layer: &Layer, parent: i64) -> usize {
        if let Some(position) = self.positions.get(&layer.chain_id) {
            return *position;
        }
        let position = self.config.layers.len();
        self.positions.insert(layer.chain_id, position);
        self.config.layers.push(CacheLayer {
            blob: Some(layer.blob.digest),
            parent,
            annotations: Some(CacheAnnotations {
                media_type: layer.blob.media_type.clone(),
                diff_id: Some(layer.diff_id),
                size: layer.blob.size,
                created_at: layer.created,
            }),
        });
        let mut blob = layer.blob.clone();
        blob.annotations = BTreeMap::from([(DIFF_ID.to_owned(), layer.diff_id.to_string())]);
        if !self.blobs.iter().any(|there| there.digest == blob.digest) {
            self.blobs.push(blob);
        }
        position
    }
}

impl CacheConfig {
    /// The layers of a record's result, lowest first; `None` where the configuration contradicts itself.
    pub(super) fn layers_of(
        &self,
        top: usize,
    ) -> Option<Vec<(Descriptor, Digest, Option<Timestamp>)>> {
        let mut layers = Vec::new();
        let mut next = i64::try_from(top).ok()?;
        while next >= 0 {
            let layer = self.layers.get(usize::try_from(next).ok()?)?;
            let told = layer.annotations.as_ref()?;
            let blob = Descriptor::new(told.media_type.clone(), layer.blob?, told.size);
            layers.push((blob, told.diff_id?, told.created_at));
            if layers.len() > self.layers.len() {
                return None; // in a circle
            }
            next = layer.parent;
        }
        layers.reverse();
        Some(layers)
    }
}
