//! What the database keeps about images.

use std::collections::BTreeSet;

use dhow_metadata::Record;
use dhow_oci::{Descriptor, Digest, Reference};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A name and what it leads to. The key is the canonical reference, or [`dangling_key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    pub(crate) target: Descriptor,
    pub(crate) tagged_at: Timestamp,
    #[serde(default)]
    pub(crate) parent: Option<Digest>,
}

impl Record for ImageRecord {
    const COLLECTION: &'static str = "images";
}

/// Content that unfinished work will go on with, by the digest of the manifest it is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LeaseRecord {
    pub(crate) digests: Vec<Digest>,
    pub(crate) since: Timestamp,
}

impl Record for LeaseRecord {
    const COLLECTION: &'static str = "image_leases";
}

/// The repositories a blob is known to be in, by its digest; so that a push can mount it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SourceRecord {
    pub(crate) repositories: BTreeSet<String>,
}

impl Record for SourceRecord {
    const COLLECTION: &'static str = "blob_sources";
}

/// How many repositories are remembered for a blob.
pub(crate) const MOST_SOURCES: usize = 16;

const DANGLING: &str = "<none>@";

/// The key of an image's record that has no name.
pub(crate) fn dangling_key(id: &Digest) -> String {
    format!("{DANGLING}{id}")
}

/// The reference a record's key is, unless it is a dangling one's.
pub(crate) fn reference_of(key: &str) -> Option<Reference> {
    if key.starts_with(DANGLING) {
        return None;
    }
    Reference::parse(key).ok()
}
