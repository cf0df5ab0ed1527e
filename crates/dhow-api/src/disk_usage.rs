//! What the engine keeps on disk.

use crate::container::ContainerSummary;
use crate::image::ImageSummary;
use crate::volume::Volume;

wire! {"PascalCase";
    /// `GET /system/df`.
    pub struct DiskUsage {
        pub layers_size: i64,
        pub images: Option<Vec<ImageSummary>>,
        pub containers: Option<Vec<ContainerSummary>>,
        pub volumes: Option<Vec<Volume>>,
        pub build_cache: Option<Vec<serde_json::Value>>,
    }

    /// `POST /build/prune`.
    pub struct BuildPruneReport {
        pub caches_deleted: Option<Vec<String>>,
        pub space_reclaimed: u64,
    }
}
