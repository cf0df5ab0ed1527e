//! What the image store takes and gives.

use std::sync::Arc;

use dhow_oci::{ContainerConfig, Descriptor, Digest, ImageConfig, Platform, Reference};
use jiff::Timestamp;

/// An image that comes with the program, loaded when first asked for.
#[derive(Debug, Clone, Copy)]
pub struct BundledImage {
    /// Its name: `dhow/hello:latest`.
    pub reference: &'static str,
    /// Makes its archive, as `save` would.
    pub archive: fn() -> Vec<u8>,
}

/// One image as the engine uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The image's id: the digest of what its names lead to, a manifest or an index.
    pub id: Digest,
    /// What its names lead to.
    pub target: Descriptor,
    /// The manifest for the platform chosen; the same as `target` unless that is an index.
    pub manifest: Descriptor,
    /// The digest of its config.
    pub config_digest: Digest,
    /// Its config.
    pub config: Arc<ImageConfig>,
    /// Its names with tags.
    pub tags: Vec<Reference>,
    /// Its names with digests.
    pub digests: Vec<Reference>,
    /// Bytes in blobs and unpacked layers.
    pub size: u64,
    /// The chain id of its top layer, if it is unpacked; an image without layers never has one.
    pub chain: Option<Digest>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it last got a tag.
    pub last_tagged: Option<Timestamp>,
    /// The image it was committed from.
    pub parent: Option<Digest>,
}

impl Image {
    /// Whether no tag leads to it.
    #[must_use]
    pub fn is_dangling(&self) -> bool {
        self.tags.is_empty()
    }
}

/// One manifest of an image that has several (`Manifests` in the API).
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformImage {
    /// The manifest.
    pub descriptor: Descriptor,
    /// Its platform; of an attestation, `unknown/unknown`.
    pub platform: Platform,
    /// For an attestation: the manifest it is about.
    pub attests: Option<Digest>,
    /// Whether all its blobs are here.
    pub available: bool,
    /// Bytes of its blobs that are here.
    pub content_size: u64,
    /// Bytes unpacked.
    pub unpacked_size: u64,
}

/// What a removal did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// A name is gone.
    Untagged(String),
    /// An image is gone.
    Deleted(Digest),
}

/// Who uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// The container's full id.
    pub container: String,
    /// Whether it runs; a running one is reported rather than a stopped one.
    pub running: bool,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names and images removed.
    pub deleted: Vec<Deleted>,
    /// Bytes won.
    pub reclaimed: u64,
}

/// One line of an image's history, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image that ended with this step, if it is known here; Docker prints `<missing>` else.
    pub id: Option<Digest>,
    /// When the step ended.
    pub created: Option<Timestamp>,
    /// What the step ran.
    pub created_by: String,
    /// What was said about it.
    pub comment: String,
    /// Bytes of its layer.
    pub size: u64,
    /// Tags of the image that ended with this step.
    pub tags: Vec<String>,
}

/// How to make an image of a file system's archive.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Its name, if it gets one.
    pub reference: Option<Reference>,
    /// The comment in its history; `Imported from -` if empty.
    pub message: String,
    /// Dockerfile instructions to apply to its config: `CMD ["sh"]`.
    pub changes: Vec<String>,
    /// Its platform; this machine's if not said.
    pub platform: Option<Platform>,
}

/// How to make an image of a container's changes.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// Its name, if it gets one.
    pub reference: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// The comment in its history.
    pub comment: String,
    /// What its containers start with.
    pub config: ContainerConfig,
    /// Dockerfile instructions to apply to `config`.
    pub changes: Vec<String>,
    /// What the container ran, for the history.
    pub created_by: String,
}
