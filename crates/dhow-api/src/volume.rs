//! Volumes.

use crate::Map;

wire! {"PascalCase";
    /// A volume.
    pub struct Volume {
        pub created_at: String,
        pub driver: String,
        pub labels: Option<Map<String>>,
        pub mountpoint: String,
        pub name: String,
        pub options: Option<Map<String>>,
        pub scope: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub status: Option<serde_json::Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub usage_data: Option<VolumeUsage>,
    }

    /// How much a volume holds and who uses it; -1 where unknown.
    pub struct VolumeUsage {
        pub ref_count: i64,
        pub size: i64,
    }

    /// The body of `POST /volumes/create`.
    pub struct VolumeCreateRequest {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub driver_opts: Option<Map<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub labels: Option<Map<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cluster_volume_spec: Option<serde_json::Value>,
    }

    /// `GET /volumes`.
    pub struct VolumeList {
        pub volumes: Vec<Volume>,
        pub warnings: Option<Vec<String>>,
    }

    /// `POST /volumes/prune`.
    pub struct VolumePruneReport {
        pub volumes_deleted: Option<Vec<String>>,
        pub space_reclaimed: u64,
    }
}
