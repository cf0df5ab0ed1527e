//! The short view of containers and the answers to the smaller verbs.

use crate::Map;
use crate::image::Descriptor;
use crate::network::EndpointSettings;
use crate::wire::{is_blank, is_default};

use super::host::{BlkioDevice, BlkioWeight, DeviceMapping, DeviceRequest, PortMap, Ulimit};
use super::{MountPoint, RestartPolicy};

wire! {"PascalCase";
    /// One line of `GET /containers/json`.
    pub struct ContainerSummary {
        pub id: String,
        pub names: Vec<String>,
        pub image: String,
        #[serde(rename = "ImageID")]
        pub image_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_manifest_descriptor: Option<Descriptor>,
        pub command: String,
        pub created: i64,
        pub ports: Vec<Port>,
        #[serde(skip_serializing_if = "is_default")]
        pub size_rw: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub size_root_fs: i64,
        pub labels: Option<Map<String>>,
        pub state: String,
        pub status: String,
        /// Dhow's own: when a container between two runs is started again.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub next_start_at: Option<String>,
        pub host_config: SummaryHostConfig,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub health: Option<HealthSummary>,
        pub network_settings: SummaryNetworks,
        pub mounts: Vec<MountPoint>,
    }

    /// One port of a container.
    pub struct Port {
        #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
        pub ip: String,
        pub private_port: u16,
        #[serde(skip_serializing_if = "is_default")]
        pub public_port: u16,
        #[serde(rename = "Type")]
        pub kind: String,
    }

    /// What the list shows of the host config.
    pub struct SummaryHostConfig {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub network_mode: String,
        #[serde(skip_serializing_if = "is_blank")]
        pub annotations: Option<Map<String>>,
    }

    /// What the list shows of the probes.
    pub struct HealthSummary {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub status: String,
        pub failing_streak: i64,
    }

    /// What the list shows of the networks.
    pub struct SummaryNetworks {
        pub networks: Map<EndpointSettings>,
    }

    /// `GET /containers/{id}/top`.
    pub struct TopResponse {
        pub processes: Vec<Vec<String>>,
        pub titles: Vec<String>,
    }

    /// `POST /containers/{id}/wait`.
    pub struct WaitResponse {
        pub status_code: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<WaitError>,
    }

    /// Why a wait could not tell the exit code.
    pub struct WaitError {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub message: String,
    }

    /// The body of `POST /containers/{id}/update`; absent keys change nothing.
    pub struct UpdateRequest {
        pub cpu_shares: i64,
        pub memory: i64,
        pub nano_cpus: i64,
        pub cgroup_parent: String,
        pub blkio_weight: u16,
        pub blkio_weight_device: Option<Vec<BlkioWeight>>,
        pub blkio_device_read_bps: Option<Vec<BlkioDevice>>,
        pub blkio_device_write_bps: Option<Vec<BlkioDevice>>,
        #[serde(rename = "BlkioDeviceReadIOps")]
        pub blkio_device_read_iops: Option<Vec<BlkioDevice>>,
        #[serde(rename = "BlkioDeviceWriteIOps")]
        pub blkio_device_write_iops: Option<Vec<BlkioDevice>>,
        pub cpu_period: i64,
        pub cpu_quota: i64,
        pub cpu_realtime_period: i64,
        pub cpu_realtime_runtime: i64,
        pub cpuset_cpus: String,
        pub cpuset_mems: String,
        pub devices: Option<Vec<DeviceMapping>>,
        pub device_cgroup_rules: Option<Vec<String>>,
        pub device_requests: Option<Vec<DeviceRequest>>,
        #[serde(rename = "KernelMemory")]
        pub kernel_memory: i64,
        #[serde(rename = "KernelMemoryTCP")]
        pub kernel_memory_tcp: i64,
        pub memory_reservation: i64,
        pub memory_swap: i64,
        pub memory_swappiness: Option<i64>,
        pub oom_kill_disable: Option<bool>,
        pub pids_limit: Option<i64>,
        pub ulimits: Option<Vec<Ulimit>>,
        pub init: Option<bool>,
        pub cpu_count: i64,
        pub cpu_percent: i64,
        #[serde(rename = "IOMaximumIOps")]
        pub io_maximum_iops: u64,
        #[serde(rename = "IOMaximumBandwidth")]
        pub io_maximum_bandwidth: u64,
        pub restart_policy: RestartPolicy,
        /// Dhow's own: ports to be published besides.
        pub publish_add: Option<PortMap>,
        /// Dhow's own: published ports to be taken back, `8080:80/tcp`.
        pub publish_remove: Option<Vec<String>>,
        /// Dhow's own: variables to be set (`A=b`) or removed (`A`) with the next start.
        pub env: Option<Vec<String>>,
    }

    /// The answer to update.
    pub struct UpdateResponse {
        pub warnings: Option<Vec<String>>,
    }

    /// `POST /containers/prune`.
    pub struct ContainerPruneReport {
        pub containers_deleted: Option<Vec<String>>,
        pub space_reclaimed: u64,
    }

    /// One difference between a container and its image: 0 changed, 1 added, 2 deleted.
    pub struct Change {
        pub path: String,
        pub kind: u8,
    }
}

wire! {"camelCase";
    /// The JSON inside the `X-Docker-Container-Path-Stat` header; the mode is Go's `fs.FileMode`.
    pub struct PathStat {
        pub name: String,
        pub size: i64,
        pub mode: u32,
        pub mtime: String,
        pub link_target: String,
    }
}
