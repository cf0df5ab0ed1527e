//! Images that builds stand on: fetched and unpacked without getting a name, and kept as long as somebody says so.

use std::sync::Arc;

use dhow_metadata::Record;
use dhow_oci::{Descriptor, Digest, ImageConfig, ManifestOrIndex};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::lease::{Hold, Lease};
use crate::lookup::Reach;
use crate::store::{LARGEST_DOCUMENT, Store};

/// Blobs and layers that garbage collection leaves alone because something else than an image leads to them.
///
/// Whoever keeps such things writes one under a key of its own, in the transaction that writes its own record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldContent {
    /// Digests of blobs and chain ids of layers.
    pub digests: Vec<Digest>,
}

impl Record for HeldContent {
    const COLLECTION: &'static str = "held_content";
}

/// Keeps blobs and layers from garbage collection until it is dropped; does not outlive the process.
#[derive(Debug)]
pub struct Protection(pub(crate) Lease);

impl Protection {
    /// Protects more.
    pub fn extend(&mut self, digests: impl IntoIterator<Item = Digest>) {
        self.0.extend(digests);
    }
}

/// Keeps everything from garbage collection until it is dropped: for the moment in which content gets its name.
#[derive(Debug)]
pub struct Pause(#[expect(dead_code, reason = "its end is what matters")] pub(crate) Hold);

/// An image for one platform, all here and unpacked.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseImage {
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its layers' blobs, lowest first.
    pub layers: Vec<Descriptor>,
    /// Its configuration.
    pub config: Arc<ImageConfig>,
    /// Whether anything had to be fetched or unpacked.
    pub fetched: bool,
}

impl Store {
    /// What a digest names if it is here; its size and type are told by its content.
    pub(crate) fn described(&self, digest: &Digest) -> Option<Descriptor> {
        let bytes = self.content.read(digest, LARGEST_DOCUMENT).ok()?;
        let parsed = ManifestOrIndex::parse(&bytes, None).ok()?;
        Some(Descriptor::of(parsed.media_type(), &bytes))
    }

    /// All that images' names lead to, and nothing that is only held.
    pub(crate) fn named(&self) -> Result<Reach, Error> {
        let mut reach = Reach::default();
        for (_, record) in self.records()?.iter() {
            reach.add(self.reach(&record.target));
        }
        Ok(reach)
    }
}
