//! The full view of one container.

use crate::Map;
use crate::image::Descriptor;
use crate::network::EndpointSettings;

use super::{Config, HostConfig, PortMap};

wire! {"PascalCase";
    /// `GET /containers/{id}/json`.
    pub struct ContainerInspect {
        pub id: String,
        pub created: String,
        pub path: String,
        pub args: Vec<String>,
        pub state: ContainerState,
        pub image: String,
        pub resolv_conf_path: String,
        pub hostname_path: String,
        pub hosts_path: String,
        pub log_path: String,
        pub name: String,
        pub restart_count: i64,
        pub driver: String,
        pub platform: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_manifest_descriptor: Option<Descriptor>,
        pub mount_label: String,
        pub process_label: String,
        pub app_armor_profile: String,
        #[serde(rename = "ExecIDs")]
        pub exec_ids: Option<Vec<String>>,
        pub host_config: HostConfig,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub storage: Option<Storage>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs: Option<i64>,
        pub mounts: Vec<MountPoint>,
        pub config: Config,
        pub network_settings: NetworkSettings,
    }

    /// What holds a container's root file system.
    pub struct Storage {
        #[serde(rename = "RootFS", skip_serializing_if = "Option::is_none")]
        pub root_fs: Option<RootFsStorage>,
    }

    /// The root file system's storage.
    pub struct RootFsStorage {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub snapshot: Option<SnapshotStorage>,
    }

    /// The snapshotter.
    pub struct SnapshotStorage {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
    }

    /// Where a container is in its life.
    pub struct ContainerState {
        pub status: String,
        pub running: bool,
        pub paused: bool,
        pub restarting: bool,
        #[serde(rename = "OOMKilled")]
        pub oom_killed: bool,
        pub dead: bool,
        pub pid: i64,
        pub exit_code: i64,
        pub error: String,
        pub started_at: String,
        pub finished_at: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub health: Option<Health>,
        /// Dhow's own: when a container between two runs is started again.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub next_start_at: Option<String>,
    }

    /// What the probes said.
    pub struct Health {
        pub status: String,
        pub failing_streak: i64,
        pub log: Option<Vec<HealthResult>>,
    }

    /// One probe.
    pub struct HealthResult {
        pub start: String,
        pub end: String,
        pub exit_code: i64,
        pub output: String,
    }

    /// A mount as it is in the container.
    pub struct MountPoint {
        #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
        pub kind: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        pub source: String,
        pub destination: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub driver: String,
        pub mode: String,
        #[serde(rename = "RW")]
        pub rw: bool,
        pub propagation: String,
    }

    /// The networks of a container.
    pub struct NetworkSettings {
        #[serde(rename = "SandboxID")]
        pub sandbox_id: String,
        pub sandbox_key: String,
        pub ports: Option<PortMap>,
        pub networks: Map<EndpointSettings>,
    }
}
