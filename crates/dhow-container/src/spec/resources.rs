//! A container's limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RestartPolicy;

/// Limits of a container; zero (or nothing) means none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Relative CPU weight, 1024 being the usual.
    pub cpu_shares: u64,
    /// Memory in bytes.
    pub memory: i64,
    /// Memory and swap together in bytes; −1 for unlimited swap.
    pub memory_swap: i64,
    /// Memory to be left with under pressure, in bytes.
    pub memory_reservation: i64,
    /// 0 to 100, how readily pages are swapped out.
    pub memory_swappiness: Option<i64>,
    /// CPUs in units of 10⁻⁹.
    pub nano_cpus: i64,
    /// Length of a CFS period in microseconds.
    pub cpu_period: i64,
    /// CPU time per CFS period in microseconds.
    pub cpu_quota: i64,
    /// Length of a real-time period in microseconds.
    pub cpu_realtime_period: i64,
    /// CPU time per real-time period in microseconds.
    pub cpu_realtime_runtime: i64,
    /// CPUs to run on, `0-2,7`.
    pub cpuset_cpus: String,
    /// Memory nodes to use.
    pub cpuset_mems: String,
    /// Where in the cgroup tree; the engine's parent when empty.
    pub cgroup_parent: String,
    /// Relative weight of block I/O, 10 to 1000.
    pub blkio_weight: u16,
    /// Relative weight by device.
    pub blkio_weight_device: Vec<WeightDevice>,
    /// Bytes read per second by device.
    pub blkio_read_bps: Vec<ThrottleDevice>,
    /// Bytes written per second by device.
    pub blkio_write_bps: Vec<ThrottleDevice>,
    /// Reads per second by device.
    pub blkio_read_iops: Vec<ThrottleDevice>,
    /// Writes per second by device.
    pub blkio_write_iops: Vec<ThrottleDevice>,
    /// Devices of the host to show.
    pub devices: Vec<DeviceMapping>,
    /// Rules of the device cgroup, `c 42:* rmw`.
    pub device_cgroup_rules: Vec<String>,
    /// Requests to device drivers (GPUs); refused.
    pub device_requests: Vec<DeviceRequest>,
    /// Don't kill on out of memory.
    pub oom_kill_disable: Option<bool>,
    /// Processes and threads; −1 or 0 for no limit.
    pub pids_limit: Option<i64>,
    /// Limits of the process itself.
    pub ulimits: Vec<Ulimit>,
}

/// An I/O weight for one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightDevice {
    /// The device's path on the host.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// An I/O rate for one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleDevice {
    /// The device's path on the host.
    pub path: String,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// A device of the host within the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMapping {
    /// The device, or a folder of devices, on the host.
    pub path_on_host: String,
    /// Its path within the container.
    pub path_in_container: String,
    /// `r`, `w` and `m` (make nodes).
    pub permissions: String,
}

/// A request to a device driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    /// The driver's name.
    pub driver: String,
    /// How many devices; −1 for all.
    pub count: i64,
    /// Which devices.
    pub device_ids: Vec<String>,
    /// What they must be able to do: any of these sets.
    pub capabilities: Vec<Vec<String>>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// A limit of the process (`setrlimit`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`, `nproc`, …
    pub name: String,
    /// What applies; −1 for unlimited.
    pub soft: i64,
    /// How far the process may raise it; −1 for unlimited.
    pub hard: i64,
}

/// What `POST /containers/{id}/update` may change; zero or nothing keeps what is.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The limits; devices and ulimits can't be changed.
    pub resources: Resources,
    /// The restart policy.
    pub restart_policy: Option<RestartPolicy>,
}
