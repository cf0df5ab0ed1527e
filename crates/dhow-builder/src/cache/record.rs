//! What the database keeps of the cache.

use dhow_metadata::Record;
use dhow_oci::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::NewStep;
use crate::result::{Layer, Root};

/// A step's result, by its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StepRecord {
    /// All layers, lowest first; the topmost is the step's own.
    pub(crate) layers: Vec<Layer>,
    pub(crate) description: String,
    pub(crate) created: Timestamp,
    #[serde(default)]
    pub(crate) last_used: Option<Timestamp>,
    #[serde(default)]
    pub(crate) uses: u64,
    /// How long it took to make, in milliseconds.
    #[serde(default)]
    pub(crate) cost_ms: u64,
}

impl Record for StepRecord {
    const COLLECTION: &'static str = "build_steps";
}

impl StepRecord {
    pub(crate) fn new(step: &NewStep<'_>) -> Self {
        let now = Timestamp::now();
        Self {
            layers: step.root.layers.clone(),
            description: step.description.to_owned(),
            created: now,
            last_used: Some(now),
            uses: 1,
            cost_ms: u64::try_from(step.cost.as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn root(&self) -> Root {
        Root {
            layers: self.layers.clone(),
        }
    }
}

/// Another key of a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AliasRecord {
    pub(crate) key: Digest,
}

impl Record for AliasRecord {
    const COLLECTION: &'static str = "build_aliases";
}

/// The directory of a cache mount, or a repository that was fetched, by the name of its folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MountRecord {
    /// The mount's id, as the Dockerfile has it; of a repository its address.
    pub(crate) id: String,
    /// Whether it is a git repository.
    #[serde(default)]
    pub(crate) git: bool,
    pub(crate) created: Timestamp,
    #[serde(default)]
    pub(crate) last_used: Option<Timestamp>,
    #[serde(default)]
    pub(crate) uses: u64,
    /// Bytes, when it was last looked at.
    #[serde(default)]
    pub(crate) size: u64,
}

impl Record for MountRecord {
    const COLLECTION: &'static str = "build_mounts";
}
