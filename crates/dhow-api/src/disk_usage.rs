//! What the engine keeps on disk.

use crate::container::ContainerSummary;
use crate::image::ImageSummary;
use crate::volume::Volume;
use crate::wire::{is_blank, is_default};

wire! {"PascalCase";
    /// `GET /system/df`; the first five fields are those of API 1.51 and older.
    pub struct DiskUsage {
        #[serde(skip_serializing_if = "is_default")]
        pub layers_size: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub images: Option<Vec<ImageSummary>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub containers: Option<Vec<ContainerSummary>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub volumes: Option<Vec<Volume>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub build_cache: Option<Vec<BuildCache>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_usage: Option<Usage<ImageSummary>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub container_usage: Option<Usage<ContainerSummary>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub volume_usage: Option<Usage<Volume>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub build_cache_usage: Option<Usage<BuildCache>>,
    }

    /// A record of the build cache.
    pub struct BuildCache {
        #[serde(rename = "ID")]
        pub id: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub parent: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub parents: Vec<String>,
        pub r#type: String,
        pub description: String,
        pub in_use: bool,
        pub shared: bool,
        pub size: i64,
        pub created_at: String,
        pub last_used_at: Option<String>,
        pub usage_count: i64,
    }

    /// `POST /build/prune`.
    pub struct BuildPruneReport {
        pub caches_deleted: Option<Vec<String>>,
        pub space_reclaimed: u64,
    }
}

/// What the things of one kind take; what is zero or empty is left out.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Usage<T> {
    /// Those in use.
    #[serde(skip_serializing_if = "is_default")]
    pub active_count: i64,
    /// Each of them, when asked for.
    #[serde(
        skip_serializing_if = "is_blank",
        bound(deserialize = "T: serde::Deserialize<'de>")
    )]
    pub items: Option<Vec<T>>,
    /// Bytes that a prune would free.
    #[serde(skip_serializing_if = "is_default")]
    pub reclaimable: i64,
    /// All of them.
    #[serde(skip_serializing_if = "is_default")]
    pub total_count: i64,
    /// Bytes of all of them.
    #[serde(skip_serializing_if = "is_default")]
    pub total_size: i64,
}

impl<T> Default for Usage<T> {
    fn default() -> Self {
        Self {
            active_count: 0,
            items: None,
            reclaimable: 0,
            total_count: 0,
            total_size: 0,
        }
    }
}
