//! Limits, in create and update requests and the way back.

use dhow_api::container as wire;
use dhow_engine::spec::{
    DeviceLimits, DeviceMapping, DeviceRequest, Invalid, PublishChange, Resources, ThrottleDevice,
    Ulimit, Update, WeightDevice,
};

use super::{host, map, null_list, null_map};
use crate::error::{ApiError, Result};

/// What Docker takes a negative weight for.
const LEAST_SHARES: u64 = 2;

/// The limits in a create request.
pub(crate) fn resources(wire: &wire::HostConfig) -> Result<Resources> {
    Ok(Resources {
        cpu_shares: u64::try_from(wire.cpu_shares).unwrap_or(LEAST_SHARES),
        memory: wire.memory,
        memory_swap: wire.memory_swap,
        memory_reservation: wire.memory_reservation,
        memory_swappiness: wire.memory_swappiness,
        nano_cpus: wire.nano_cpus,
        cpu_period: wire.cpu_period,
        cpu_quota: wire.cpu_quota,
        cpu_realtime_period: wire.cpu_realtime_period,
        cpu_realtime_runtime: wire.cpu_realtime_runtime,
        cpuset_cpus: wire.cpuset_cpus.clone(),
        cpuset_mems: wire.cpuset_mems.clone(),
        cgroup_parent: wire.cgroup_parent.clone(),
        blkio_weight: wire.blkio_weight,
        blkio_weight_device: each(&wire.blkio_weight_device, weight),
        blkio_read_bps: each(&wire.blkio_device_read_bps, throttle),
        blkio_write_bps: each(&wire.blkio_device_write_bps, throttle),
        blkio_read_iops: each(&wire.blkio_device_read_iops, throttle),
        blkio_write_iops: each(&wire.blkio_device_write_iops, throttle),
        devices: each(&wire.devices, device),
        device_cgroup_rules: wire.device_cgroup_rules.clone().unwrap_or_default(),
        device_requests: each(&wire.device_requests, device_request),
        oom_kill_disable: wire.oom_kill_disable,
        pids_limit: wire.pids_limit,
        ulimits: each(&wire.ulimits, ulimit),
    })
}

/// Refuses what only the creation can set. Docker forgets these silently.
fn refuse_fixed(wire: &wire::UpdateRequest) -> Result<()> {
    fn given<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|list| !list.is_empty())
    }
    for (name, is_set) in [
        ("CgroupParent", !wire.cgroup_parent.is_empty()),
        ("CpuCount", wire.cpu_count != 0),
        ("CpuPercent", wire.cpu_percent != 0),
        ("Devices", given(&wire.devices)),
        ("DeviceCgroupRules", given(&wire.device_cgroup_rules)),
        ("DeviceRequests", given(&wire.device_requests)),
        ("IOMaximumBandwidth", wire.io_maximum_bandwidth != 0),
        ("IOMaximumIOps", wire.io_maximum_iops != 0),
        ("Init", wire.init.is_some()),
        (
            "MemorySwappiness",
            wire.memory_swappiness.is_some_and(|value| value >= 0),
        ),
        ("OomKillDisable", wire.oom_kill_disable == Some(true)),
        ("Ulimits", given(&wire.ulimits)),
    ] {
        if is_set {
            let text = format!("invalid option: {name} cannot be changed by an update");
            return Err(ApiError::invalid(text));
        }
    }
    Ok(())
}

/// An update request: the limits, the restart policy, and what only Dhow can change.
pub(crate) fn update(wire: wire::UpdateRequest) -> Result<Update> {
    refuse_fixed(&wire)?;
    let publish = PublishChange {
        add: host::port_bindings(map(wire.publish_add))?,
        remove: each(&wire.publish_remove, |text| text.parse())
            .into_iter()
            .collect::<Result<_, Invalid>>()?,
    };
    let some = |list: &Option<Vec<wire::BlkioDevice>>| {
        list.as_ref()
            .map(|list| list.iter().map(throttle).collect())
    };
    let devices = DeviceLimits {
        weights: wire
            .blkio_weight_device
            .as_ref()
            .map(|list| list.iter().map(weight).collect()),
        read_bps: some(&wire.blkio_device_read_bps),
        write_bps: some(&wire.blkio_device_write_bps),
        read_iops: some(&wire.blkio_device_read_iops),
        write_iops: some(&wire.blkio_device_write_iops),
    };
    let restart_policy = match wire.restart_policy.name.as_str() {
        "" => None,
        _ => Some(host::restart_policy(&wire.restart_policy)?),
    };
    let as_host = wire::HostConfig {
        cpu_shares: wire.cpu_shares,
        memory: wire.memory,
        memory_swap: wire.memory_swap,
        memory_reservation: wire.memory_reservation,
        nano_cpus: wire.nano_cpus,
        cpu_period: wire.cpu_period,
        cpu_quota: wire.cpu_quota,
        cpu_realtime_period: wire.cpu_realtime_period,
        cpu_realtime_runtime: wire.cpu_realtime_runtime,
        cpuset_cpus: wire.cpuset_cpus,
        cpuset_mems: wire.cpuset_mems,
        blkio_weight: wire.blkio_weight,
        pids_limit: wire.pids_limit,
        ..wire::HostConfig::default()
    };
    Ok(Update {
        resources: resources(&as_host)?,
        devices,
        restart_policy,
        publish,
        env: wire.env.unwrap_or_default(),
    })
}

/// Writes the limits into a host config that is shown.
pub(crate) fn show(resources: &Resources, wire: &mut wire::HostConfig) {
    wire.cpu_shares = i64::try_from(resources.cpu_shares).unwrap_or(i64::MAX);
    wire.memory = resources.memory;
    wire.memory_swap = resources.memory_swap;
    wire.memory_reservation = resources.memory_reservation;
    wire.memory_swappiness = resources.memory_swappiness;
    wire.nano_cpus = resources.nano_cpus;
    wire.cpu_period = resources.cpu_period;
    wire.cpu_quota = resources.cpu_quota;
    wire.cpu_realtime_period = resources.cpu_realtime_period;
    wire.cpu_realtime_runtime = resources.cpu_realtime_runtime;
    wire.cpuset_cpus.clone_from(&resources.cpuset_cpus);
    wire.cpuset_mems.clone_from(&resources.cpuset_mems);
    wire.cgroup_parent.clone_from(&resources.cgroup_parent);
    wire.blkio_weight = resources.blkio_weight;
    wire.blkio_weight_device = shown(&resources.blkio_weight_device, weight_view);
    wire.blkio_device_read_bps = shown(&resources.blkio_read_bps, throttle_view);
    wire.blkio_device_write_bps = shown(&resources.blkio_write_bps, throttle_view);
    wire.blkio_device_read_iops = shown(&resources.blkio_read_iops, throttle_view);
    wire.blkio_device_write_iops = shown(&resources.blkio_write_iops, throttle_view);
    wire.devices = shown(&resources.devices, device_view);
    wire.device_cgroup_rules = null_list(&resources.device_cgroup_rules);
    wire.device_requests = shown(&resources.device_requests, device_request_view);
    wire.oom_kill_disable = resources.oom_kill_disable;
    wire.pids_limit = resources.pids_limit;
    wire.ulimits = shown(&resources.ulimits, ulimit_view);
}

fn each<W, T>(list: &Option<Vec<W>>, convert: impl Fn(&W) -> T) -> Vec<T> {
    list.iter().flatten().map(convert).collect()
}

fn shown<T, W>(list: &[T], convert: impl Fn(&T) -> W) -> Option<Vec<W>> {
    (!list.is_empty()).then(|| list.iter().map(convert).collect())
}

fn weight(wire: &wire::BlkioWeight) -> WeightDevice {
    WeightDevice {
        path: wire.path.clone(),
        weight: wire.weight,
    }
}

fn weight_view(device: &WeightDevice) -> wire::BlkioWeight {
    wire::BlkioWeight {
        path: device.path.clone(),
        weight: device.weight,
    }
}

fn throttle(wire: &wire::BlkioDevice) -> ThrottleDevice {
    ThrottleDevice {
        path: wire.path.clone(),
        rate: wire.rate,
    }
}

fn throttle_view(device: &ThrottleDevice) -> wire::BlkioDevice {
    wire::BlkioDevice {
        path: device.path.clone(),
        rate: device.rate,
    }
}

fn device(wire: &wire::DeviceMapping) -> DeviceMapping {
    DeviceMapping {
        path_on_host: wire.path_on_host.clone(),
        path_in_container: wire.path_in_container.clone(),
        permissions: wire.cgroup_permissions.clone(),
    }
}

fn device_view(device: &DeviceMapping) -> wire::DeviceMapping {
    wire::DeviceMapping {
        path_on_host: device.path_on_host.clone(),
        path_in_container: device.path_in_container.clone(),
        cgroup_permissions: device.permissions.clone(),
    }
}

fn device_request(wire: &wire::DeviceRequest) -> DeviceRequest {
    DeviceRequest {
        driver: wire.driver.clone(),
        count: wire.count,
        device_ids: wire.device_ids.clone().unwrap_or_default(),
        capabilities: wire.capabilities.clone().unwrap_or_default(),
        options: map(wire.options.clone()),
    }
}

fn device_request_view(request: &DeviceRequest) -> wire::DeviceRequest {
    wire::DeviceRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: null_list(&request.device_ids),
        capabilities: null_list(&request.capabilities),
        options: null_map(&request.options),
    }
}

fn ulimit(wire: &wire::Ulimit) -> Ulimit {
    Ulimit {
        name: wire.name.clone(),
        soft: wire.soft,
        hard: wire.hard,
    }
}

fn ulimit_view(limit: &Ulimit) -> wire::Ulimit {
    wire::Ulimit {
        name: limit.name.clone(),
        soft: limit.soft,
        hard: limit.hard,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn every_limit_survives_the_way_there_and_back() {
        let wire = json!({
            "CpuShares": 512, "Memory": 1, "NanoCpus": 2, "CgroupParent": "/x", "BlkioWeight": 10,
            "BlkioWeightDevice": [{"Path": "/dev/a", "Weight": 20}],
            "BlkioDeviceReadBps": [{"Path": "/dev/a", "Rate": 1}],
            "BlkioDeviceWriteBps": [{"Path": "/dev/b", "Rate": 2}],
            "BlkioDeviceReadIOps": [{"Path": "/dev/c", "Rate": 3}],
            "BlkioDeviceWriteIOps": [{"Path": "/dev/d", "Rate": 4}],
            "CpuPeriod": 3, "CpuQuota": 4, "CpuRealtimePeriod": 5, "CpuRealtimeRuntime": 6,
            "CpusetCpus": "0", "CpusetMems": "1",
            "Devices": [{"PathOnHost": "/a", "PathInContainer": "/b", "CgroupPermissions": "r"}],
            "DeviceCgroupRules": ["c 1:1 r"],
            "DeviceRequests": [{"Driver": "d", "Count": -1, "DeviceIDs": ["0"], "Capabilities": [["gpu"]],
                                "Options": {"k": "v"}}],
            "MemoryReservation": 7, "MemorySwap": -1, "MemorySwappiness": 8, "OomKillDisable": true,
            "PidsLimit": 9, "Ulimits": [{"Name": "core", "Hard": -1, "Soft": 0}],
        });
        let host: wire::HostConfig = serde_json::from_value(wire.clone()).unwrap();
        let mut shown = wire::HostConfig::default();
        show(&resources(&host).unwrap(), &mut shown);
        assert_eq!(shown, host);
    }

    #[test]
    fn updates_change_what_can_be_changed_and_refuse_the_rest() {
        let change = |wire: serde_json::Value| update(serde_json::from_value(wire).unwrap());
        let changed = change(json!({
            "CpuShares": 512, "PidsLimit": 9, "BlkioDeviceReadBps": [{"Path": "/dev/a", "Rate": 1}],
            "BlkioDeviceWriteBps": [], "RestartPolicy": {"Name": "always"},
        }))
        .unwrap();
        assert_eq!(changed.resources.cpu_shares, 512);
        assert_eq!(changed.devices.read_bps.unwrap()[0].rate, 1);
        assert_eq!(changed.devices.write_bps, Some(Vec::new()));
        assert_eq!(changed.devices.read_iops, None);
        for wire in [
            json!({"Ulimits": [{"Name": "core"}]}),
            json!({"Devices": [{"PathOnHost": "/dev/null"}]}),
            json!({"CgroupParent": "/x"}),
            json!({"Init": true}),
            json!({"MemorySwappiness": 5}),
        ] {
            let error = change(wire.clone()).unwrap_err();
            assert_eq!(error.status.as_u16(), 400, "{wire}");
        }
    }

    #[test]
    fn negative_shares_are_the_least() {
        let host: wire::HostConfig = serde_json::from_value(json!({"CpuShares": -5})).unwrap();
        assert_eq!(resources(&host).unwrap().cpu_shares, LEAST_SHARES);
    }
}
