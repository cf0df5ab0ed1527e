//! What is known of a volume.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dhow_metadata::Record;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The label of volumes that got their name from us.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// A volume, as `docker volume inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// The name, unique.
    pub name: String,
    /// Always `local`.
    pub driver: String,
    /// The directory that is mounted into containers.
    pub mountpoint: PathBuf,
    /// When it was made (Docker prints it without fractions of a second).
    pub created: Timestamp,
    /// The user's labels; `None` when none were given (Docker prints `null`).
    pub labels: Option<BTreeMap<String, String>>,
    /// Driver options; `None` when none were given (Docker prints `null`).
    pub options: Option<BTreeMap<String, String>>,
    /// Always `local`.
    pub scope: String,
}

impl VolumeRecord {
    /// Whether the name was made up by us.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.labels
            .as_ref()
            .is_some_and(|labels| labels.contains_key(ANONYMOUS_LABEL))
    }
}

impl Record for VolumeRecord {
    const COLLECTION: &'static str = "volumes";
}

/// A volume to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateVolume {
    /// The name; without one the volume is anonymous.
    pub name: Option<String>,
    /// The driver; empty means `local`.
    pub driver: String,
    /// The driver's options: `type`, `device`, `o`.
    pub options: BTreeMap<String, String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
}

/// What [`crate::Volumes::prune`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The removed volumes.
    pub volumes: Vec<VolumeRecord>,
    /// The bytes they held.
    pub reclaimed: u64,
}
