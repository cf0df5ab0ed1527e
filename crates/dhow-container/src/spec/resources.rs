//! A container's limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PublishChange, RestartPolicy};

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

/// New limits of block devices; a list that is given, also an empty one, takes the place of what is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Weights.
    pub weights: Option<Vec<WeightDevice>>,
    /// Bytes a second read.
    pub read_bps: Option<Vec<ThrottleDevice>>,
    /// Bytes a second written.
    pub write_bps: Option<Vec<ThrottleDevice>>,
    /// Reads a second.
    pub read_iops: Option<Vec<ThrottleDevice>>,
    /// Writes a second.
    pub write_iops: Option<Vec<ThrottleDevice>>,
}

impl DeviceLimits {
    /// Puts the new limits into `resources`, and gives what the kernel has to be told: for devices that are no longer
    /// limited, a rate of zero.
    pub fn change(&self, resources: &mut Resources) -> Resources {
        let mut told = resources.clone();
        if let Some(weights) = &self.weights {
            resources.blkio_weight_device.clone_from(weights);
            told.blkio_weight_device.clone_from(weights);
        }
        throttle(
            &self.read_bps,
            &mut resources.blkio_read_bps,
            &mut told.blkio_read_bps,
        );
        throttle(
            &self.write_bps,
            &mut resources.blkio_write_bps,
            &mut told.blkio_write_bps,
        );
        throttle(
            &self.read_iops,
            &mut resources.blkio_read_iops,
            &mut told.blkio_read_iops,
        );
        throttle(
            &self.write_iops,
            &mut resources.blkio_write_iops,
            &mut told.blkio_write_iops,
        );
        told
    }
}

fn throttle(
    new: &Option<Vec<ThrottleDevice>>,
    kept: &mut Vec<ThrottleDevice>,
    told: &mut Vec<ThrottleDevice>,
) {
    let Some(new) = new else {
        return;
    };
    let freed = |old: ThrottleDevice| ThrottleDevice { rate: 0, ..old };
    let gone = |old: &ThrottleDevice| new.iter().all(|device| device.path != old.path);
    told.clone_from(new);
    told.extend(std::mem::take(kept).into_iter().filter(gone).map(freed));
    kept.clone_from(new);
}

/// What `POST /containers/{id}/update` may change; zero or nothing keeps what is.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The limits; those of block devices are in `devices`, the other devices and ulimits can't be changed.
    pub resources: Resources,
    /// The limits of block devices.
    pub devices: DeviceLimits,
    /// The restart policy.
    pub restart_policy: Option<RestartPolicy>,
    /// The published ports.
    pub publish: PublishChange,
    /// Variables to be set (`A=b`) or removed (`A`) with the next start.
    pub env: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_no_longer_limited_are_set_free() {
        let device = |path: &str, rate| ThrottleDevice {
            path: path.to_owned(),
            rate,
        };
        let mut resources = Resources {
            blkio_read_bps: vec![device("/dev/a", 1), device("/dev/b", 2)],
            blkio_write_bps: vec![device("/dev/a", 3)],
            ..Resources::default()
        };
        let limits = DeviceLimits {
            read_bps: Some(vec![device("/dev/b", 9)]),
            ..DeviceLimits::default()
        };
        let told = limits.change(&mut resources);
        assert_eq!(resources.blkio_read_bps, [device("/dev/b", 9)]);
        assert_eq!(
            told.blkio_read_bps,
            [device("/dev/b", 9), device("/dev/a", 0)]
        );
        assert_eq!(resources.blkio_write_bps, [device("/dev/a", 3)]);
        assert_eq!(told.blkio_write_bps, resources.blkio_write_bps);
    }
}
