//! The half of a container's settings that belongs to its host.

use crate::Map;
use crate::wire::{is_blank, is_default};

/// Container ports (`80/tcp`) and the host addresses each is published on.
pub type PortMap = Map<Option<Vec<PortBinding>>>;

wire! {"PascalCase";
    /// Every key of Docker's HostConfig, so that what is not offered can be refused rather than ignored.
    pub struct HostConfig {
        pub binds: Option<Vec<String>>,
        #[serde(rename = "ContainerIDFile")]
        pub container_id_file: String,
        pub log_config: LogConfig,
        pub network_mode: String,
        pub port_bindings: Option<PortMap>,
        pub restart_policy: RestartPolicy,
        pub auto_remove: bool,
        pub volume_driver: String,
        pub volumes_from: Option<Vec<String>>,
        /// Height and width.
        pub console_size: [u16; 2],
        #[serde(skip_serializing_if = "is_blank")]
        pub annotations: Option<Map<String>>,
        pub cap_add: Option<Vec<String>>,
        pub cap_drop: Option<Vec<String>>,
        pub cgroupns_mode: String,
        pub dns: Option<Vec<String>>,
        pub dns_options: Option<Vec<String>>,
        pub dns_search: Option<Vec<String>>,
        pub extra_hosts: Option<Vec<String>>,
        pub group_add: Option<Vec<String>>,
        pub ipc_mode: String,
        pub cgroup: String,
        pub links: Option<Vec<String>>,
        pub oom_score_adj: i64,
        pub pid_mode: String,
        pub privileged: bool,
        pub publish_all_ports: bool,
        pub readonly_rootfs: bool,
        pub security_opt: Option<Vec<String>>,
        #[serde(skip_serializing_if = "is_blank")]
        pub storage_opt: Option<Map<String>>,
        #[serde(skip_serializing_if = "is_blank")]
        pub tmpfs: Option<Map<String>>,
        #[serde(rename = "UTSMode")]
        pub uts_mode: String,
        pub userns_mode: String,
        pub shm_size: i64,
        #[serde(skip_serializing_if = "is_blank")]
        pub sysctls: Option<Map<String>>,
        pub runtime: String,
        pub isolation: String,
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
        #[serde(rename = "KernelMemory", skip_serializing_if = "is_default")]
        pub kernel_memory: i64,
        #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "is_default")]
        pub kernel_memory_tcp: i64,
        pub memory_reservation: i64,
        pub memory_swap: i64,
        pub memory_swappiness: Option<i64>,
        pub oom_kill_disable: Option<bool>,
        pub pids_limit: Option<i64>,
        pub ulimits: Option<Vec<Ulimit>>,
        pub cpu_count: i64,
        pub cpu_percent: i64,
        #[serde(rename = "IOMaximumIOps")]
        pub io_maximum_iops: u64,
        #[serde(rename = "IOMaximumBandwidth")]
        pub io_maximum_bandwidth: u64,
        #[serde(skip_serializing_if = "is_blank")]
        pub mounts: Option<Vec<Mount>>,
        pub masked_paths: Option<Vec<String>>,
        pub readonly_paths: Option<Vec<String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub init: Option<bool>,
    }

    /// Where output goes.
    pub struct LogConfig {
        #[serde(rename = "Type")]
        pub kind: String,
        pub config: Map<String>,
    }

    /// One host address a port is published on.
    pub struct PortBinding {
        pub host_ip: String,
        pub host_port: String,
    }

    /// When a container is started again.
    pub struct RestartPolicy {
        pub name: String,
        pub maximum_retry_count: i64,
    }

    /// A limit of `setrlimit`.
    pub struct Ulimit {
        pub name: String,
        pub hard: i64,
        pub soft: i64,
    }

    /// A device of the host shown in the container.
    pub struct DeviceMapping {
        pub path_on_host: String,
        pub path_in_container: String,
        pub cgroup_permissions: String,
    }

    /// Devices asked for by capability, such as GPUs.
    pub struct DeviceRequest {
        pub driver: String,
        pub count: i64,
        #[serde(rename = "DeviceIDs")]
        pub device_ids: Option<Vec<String>>,
        pub capabilities: Option<Vec<Vec<String>>>,
        pub options: Option<Map<String>>,
    }

    /// The weight of one block device.
    pub struct BlkioWeight {
        pub path: String,
        pub weight: u16,
    }

    /// The rate of one block device.
    pub struct BlkioDevice {
        pub path: String,
        pub rate: u64,
    }

    /// A mount in its long form.
    pub struct Mount {
        #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
        pub kind: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub source: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub target: String,
        #[serde(skip_serializing_if = "is_default")]
        pub read_only: bool,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub consistency: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub bind_options: Option<BindOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub volume_options: Option<VolumeOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub image_options: Option<ImageOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tmpfs_options: Option<TmpfsOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cluster_options: Option<serde_json::Value>,
    }

    /// Options of a bind mount.
    pub struct BindOptions {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub propagation: String,
        #[serde(skip_serializing_if = "is_default")]
        pub non_recursive: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub create_mountpoint: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub read_only_non_recursive: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub read_only_force_recursive: bool,
    }

    /// Options of a volume mount.
    pub struct VolumeOptions {
        #[serde(skip_serializing_if = "is_default")]
        pub no_copy: bool,
        #[serde(skip_serializing_if = "is_blank")]
        pub labels: Option<Map<String>>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subpath: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub driver_config: Option<Driver>,
    }

    /// A volume driver and its options.
    pub struct Driver {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub name: String,
        #[serde(skip_serializing_if = "is_blank")]
        pub options: Option<Map<String>>,
    }

    /// Options of an image mount.
    pub struct ImageOptions {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subpath: String,
    }

    /// Options of a tmpfs mount.
    pub struct TmpfsOptions {
        #[serde(skip_serializing_if = "is_default")]
        pub size_bytes: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub mode: u32,
        #[serde(skip_serializing_if = "is_blank")]
        pub options: Option<Vec<Vec<String>>>,
    }
}
