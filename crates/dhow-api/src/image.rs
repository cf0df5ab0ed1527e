//! Images.

use crate::container::Healthcheck;
use crate::wire::is_blank;
use crate::{Map, Set, Words};

wire! {"camelCase";
    /// An OCI descriptor.
    pub struct Descriptor {
        pub media_type: String,
        pub digest: String,
        pub size: i64,
        #[serde(skip_serializing_if = "is_blank")]
        pub urls: Option<Vec<String>>,
        #[serde(skip_serializing_if = "is_blank")]
        pub annotations: Option<Map<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub data: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub platform: Option<Platform>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub artifact_type: String,
    }

    /// An OCI platform, also as the JSON of `platform` query parameters.
    pub struct Platform {
        pub architecture: String,
        pub os: String,
        #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
        pub os_version: String,
        #[serde(rename = "os.features", skip_serializing_if = "is_blank")]
        pub os_features: Option<Vec<String>>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub variant: String,
    }
}

wire! {"PascalCase";
    /// One line of `GET /images/json`.
    pub struct ImageSummary {
        pub containers: i64,
        pub created: i64,
        pub id: String,
        pub labels: Option<Map<String>>,
        pub parent_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub descriptor: Option<Descriptor>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub manifests: Option<Vec<serde_json::Value>>,
        pub repo_digests: Vec<String>,
        pub repo_tags: Vec<String>,
        pub shared_size: i64,
        pub size: i64,
        /// The size again, for API 1.43 and older.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub virtual_size: Option<i64>,
    }

    /// `GET /images/{name}/json`.
    pub struct ImageInspect {
        pub id: String,
        pub repo_tags: Vec<String>,
        pub repo_digests: Vec<String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub parent: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub comment: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub created: Option<String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub docker_version: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub author: String,
        pub config: Option<ImageConfig>,
        pub architecture: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub variant: String,
        pub os: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub os_version: String,
        pub size: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub graph_driver: Option<GraphDriver>,
        #[serde(rename = "RootFS")]
        pub root_fs: RootFs,
        pub metadata: ImageMetadata,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub descriptor: Option<Descriptor>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub manifests: Option<Vec<serde_json::Value>>,
    }

    /// The snapshotter and its own data.
    pub struct GraphDriver {
        pub data: Option<Map<String>>,
        pub name: String,
    }

    /// The layers of an image, by diff id.
    pub struct RootFs {
        #[serde(rename = "Type")]
        pub kind: String,
        #[serde(skip_serializing_if = "is_blank")]
        pub layers: Option<Vec<String>>,
    }

    /// What the engine itself remembers about an image.
    pub struct ImageMetadata {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub last_tag_time: Option<String>,
    }

    /// What containers of an image start with.
    pub struct ImageConfig {
        #[serde(rename = "ArgsEscaped", skip_serializing_if = "crate::wire::is_default")]
        pub args_escaped: bool,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub user: String,
        #[serde(skip_serializing_if = "is_blank")]
        pub exposed_ports: Option<Set>,
        #[serde(skip_serializing_if = "is_blank")]
        pub env: Option<Vec<String>>,
        #[serde(skip_serializing_if = "is_blank")]
        pub cmd: Option<Words>,
        #[serde(skip_serializing_if = "is_blank")]
        pub entrypoint: Option<Words>,
        #[serde(skip_serializing_if = "is_blank")]
        pub volumes: Option<Set>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub working_dir: String,
        #[serde(skip_serializing_if = "is_blank")]
        pub on_build: Option<Vec<String>>,
        #[serde(skip_serializing_if = "is_blank")]
        pub labels: Option<Map<String>>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub stop_signal: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub healthcheck: Option<Healthcheck>,
        #[serde(skip_serializing_if = "is_blank")]
        pub shell: Option<Vec<String>>,
    }

    /// One step of an image's history, newest first.
    pub struct ImageHistory {
        pub comment: String,
        pub created: i64,
        pub created_by: String,
        pub id: String,
        pub size: i64,
        pub tags: Option<Vec<String>>,
    }

    /// One step of an image's removal; exactly one field is set.
    pub struct ImageDeleted {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub deleted: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub untagged: String,
    }

    /// `POST /images/prune`.
    pub struct ImagePruneReport {
        pub images_deleted: Option<Vec<ImageDeleted>>,
        pub space_reclaimed: u64,
    }

    /// The answer to `POST /commit`.
    pub struct CommitResponse {
        pub id: String,
    }
}

wire! {"snake_case";
    /// One result of `GET /images/search`.
    pub struct ImageSearchResult {
        pub star_count: i64,
        pub is_official: bool,
        pub name: String,
        pub is_automated: bool,
        pub description: String,
    }
}
