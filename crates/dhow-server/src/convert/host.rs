//! Create requests: the part about the host, and the way back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use dhow_api::container as wire;
use dhow_engine::spec::{self, HostConfig, NetworkMode, Port, PortBinding};

use super::{map, mount, null_list, null_map, resources};
use crate::error::{ApiError, Result};

/// The host's part of a create request.
pub(crate) fn host_config(wire: wire::HostConfig) -> Result<HostConfig> {
    refuse(&wire)?;
    if wire.cpu_shares < 0 {
        return Err(ApiError::invalid(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            wire.cpu_shares
        )));
    }
    let resources = resources::resources(&wire)?;
    let mounts = wire.mounts.unwrap_or_default();
    Ok(HostConfig {
        binds: wire.binds.unwrap_or_default(),
        mounts: mounts
            .into_iter()
            .map(mount::mount)
            .collect::<Result<_>>()?,
        tmpfs: map(wire.tmpfs),
        volumes_from: wire.volumes_from.unwrap_or_default(),
        volume_driver: wire.volume_driver,
        container_id_file: wire.container_id_file,
        log: spec::LogConfig {
            driver: wire.log_config.kind,
            options: wire.log_config.config,
        },
        network_mode: parse(&wire.network_mode)?,
        port_bindings: port_bindings(map(wire.port_bindings))?,
        publish_all_ports: wire.publish_all_ports,
        restart_policy: restart_policy(&wire.restart_policy)?,
        auto_remove: wire.auto_remove,
        console_size: wire.console_size.into(),
        annotations: map(wire.annotations),
        cap_add: wire.cap_add.unwrap_or_default(),
        cap_drop: wire.cap_drop.unwrap_or_default(),
        cgroupns_mode: parse(&wire.cgroupns_mode)?,
        dns: wire.dns.unwrap_or_default(),
        dns_options: wire.dns_options.unwrap_or_default(),
        dns_search: wire.dns_search.unwrap_or_default(),
        extra_hosts: wire.extra_hosts.unwrap_or_default(),
        group_add: wire.group_add.unwrap_or_default(),
        ipc_mode: parse(&wire.ipc_mode)?,
        cgroup: wire.cgroup,
        links: wire.links.unwrap_or_default(),
        oom_score_adj: oom_score_adj(wire.oom_score_adj)?,
        pid_mode: parse(&wire.pid_mode)?,
        privileged: wire.privileged,
        readonly_rootfs: wire.readonly_rootfs,
        security_opt: wire.security_opt.unwrap_or_default(),
        storage_opt: map(wire.storage_opt),
        uts_mode: parse(&wire.uts_mode)?,
        userns_mode: parse(&wire.userns_mode)?,
        shm_size: u64::try_from(wire.shm_size)
            .map_err(|_| ApiError::invalid("SHM size can not be less than 0"))?,
        sysctls: map(wire.sysctls),
        runtime: wire.runtime,
        isolation: wire.isolation,
        resources,
        masked_paths: wire.masked_paths,
        readonly_paths: wire.readonly_paths,
        init: wire.init,
    })
}

/// Refuses what only Windows has; Docker on Linux forgets these silently.
fn refuse(wire: &wire::HostConfig) -> Result<()> {
    for (name, set) in [
        ("CpuCount", wire.cpu_count != 0),
        ("CpuPercent", wire.cpu_percent != 0),
        ("IOMaximumIOps", wire.io_maximum_iops != 0),
        ("IOMaximumBandwidth", wire.io_maximum_bandwidth != 0),
    ] {
        if set {
            return Err(ApiError::invalid(format!(
                "invalid option: {name} is only supported on Windows"
            )));
        }
    }
    Ok(())
}

fn parse<T: FromStr<Err = spec::Invalid>>(text: &str) -> Result<T> {
    Ok(text.parse()?)
}

/// A container's port, `80/tcp`.
pub(crate) fn port(text: &str) -> Result<Port> {
    let number = text.split('/').next().unwrap_or_default();
    if number.parse::<u16>().is_err() {
        return Err(ApiError::invalid(format!(
            "invalid port specification: {number:?}"
        )));
    }
    parse(text)
}

pub(crate) fn port_bindings(wire: wire::PortMap) -> Result<BTreeMap<Port, Vec<PortBinding>>> {
    let mut bindings = BTreeMap::new();
    for (text, wanted) in wire {
        let port = port(&text)?;
        let wanted = wanted.unwrap_or_default();
        let list = wanted
            .iter()
            .map(port_binding)
            .collect::<Result<Vec<_>>>()?;
        if !list.is_empty() {
            bindings.insert(port, list);
        }
    }
    Ok(bindings)
}

fn port_binding(wire: &wire::PortBinding) -> Result<PortBinding> {
    let host_ip = match wire.host_ip.as_str() {
        "" => None,
        text => {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            let address = bare.parse::<IpAddr>().map_err(|_| {
                ApiError::invalid(format!("invalid IP address in port binding: {text:?}"))
            })?;
            Some(address)
        }
    };
    let host_port = match wire.host_port.as_str() {
        "" | "0" => None,
        text => Some(text.parse()?),
    };
    Ok(PortBinding { host_ip, host_port })
}

/// A restart policy.
pub(crate) fn restart_policy(wire: &wire::RestartPolicy) -> Result<spec::RestartPolicy> {
    let maximum_retry_count = u32::try_from(wire.maximum_retry_count).map_err(|_| {
        ApiError::invalid("invalid restart policy: maximum retry count cannot be negative")
    })?;
    Ok(spec::RestartPolicy {
        name: wire.name.parse()?,
        maximum_retry_count,
    })
}

fn oom_score_adj(value: i64) -> Result<i32> {
    i32::try_from(value).map_err(|_| {
        ApiError::invalid(format!(
            "Invalid value {value}, range for oom score adj is [-1000, 1000]"
        ))
    })
}

/// A container's network mode as it is shown.
pub(crate) fn network_mode(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Default => "bridge".to_owned(),
        other => other.to_string(),
    }
}

/// The host's part of a container as it is shown.
pub(crate) fn host_config_view(host: &HostConfig) -> wire::HostConfig {
    let mounts: Vec<_> = host.mounts.iter().map(mount::mount_view).collect();
    let mut wire = wire::HostConfig {
        binds: null_list(&host.binds),
        mounts: null_list(&mounts),
        tmpfs: null_map(&host.tmpfs),
        volumes_from: null_list(&host.volumes_from),
        volume_driver: host.volume_driver.clone(),
        container_id_file: host.container_id_file.clone(),
        log_config: wire::LogConfig {
            kind: host.log.driver.clone(),
            config: host.log.options.clone(),
        },
        network_mode: network_mode(&host.network_mode),
        port_bindings: Some(port_bindings_view(&host.port_bindings)),
        publish_all_ports: host.publish_all_ports,
        restart_policy: wire::RestartPolicy {
            name: host.restart_policy.name.to_string(),
            maximum_retry_count: host.restart_policy.maximum_retry_count.into(),
        },
        auto_remove: host.auto_remove,
        console_size: host.console_size.into(),
        annotations: null_map(&host.annotations),
        cap_add: null_list(&host.cap_add),
        cap_drop: null_list(&host.cap_drop),
        cgroupns_mode: host.cgroupns_mode.to_string(),
        dns: null_list(&host.dns),
        dns_options: null_list(&host.dns_options),
        dns_search: null_list(&host.dns_search),
        extra_hosts: null_list(&host.extra_hosts),
        group_add: null_list(&host.group_add),
        ipc_mode: host.ipc_mode.to_string(),
        cgroup: host.cgroup.clone(),
        links: null_list(&host.links),
        oom_score_adj: host.oom_score_adj.into(),
        pid_mode: host.pid_mode.to_string(),
        privileged: host.privileged,
        readonly_rootfs: host.readonly_rootfs,
        security_opt: null_list(&host.security_opt),
        storage_opt: null_map(&host.storage_opt),
        uts_mode: host.uts_mode.to_string(),
        userns_mode: host.userns_mode.to_string(),
        shm_size: i64::try_from(host.shm_size).unwrap_or(i64::MAX),
        sysctls: null_map(&host.sysctls),
        runtime: host.runtime.clone(),
        isolation: host.isolation.clone(),
        masked_paths: host.masked_paths.clone(),
        readonly_paths: host.readonly_paths.clone(),
        init: host.init,
        ..wire::HostConfig::default()
    };
    resources::show(&host.resources, &mut wire);
    wire
}

fn port_bindings_view(bindings: &BTreeMap<Port, Vec<PortBinding>>) -> wire::PortMap {
    let view = |binding: &PortBinding| wire::PortBinding {
        host_ip: binding
            .host_ip
            .map_or_else(String::new, |ip| ip.to_string()),
        host_port: binding
            .host_port
            .map_or_else(String::new, |port| port.to_string()),
    };
    bindings
        .iter()
        .map(|(port, list)| (port.to_string(), Some(list.iter().map(view).collect())))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn parse_json(host: serde_json::Value) -> Result<HostConfig> {
        host_config(serde_json::from_value(host).unwrap())
    }

    #[test]
    fn impossible_values_are_refused_in_dockers_words() {
        for (host, text) in [
            (json!({"ShmSize": -1}), "SHM size can not be less than 0"),
            (
                json!({"RestartPolicy": {"Name": "sometimes"}}),
                "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or \
                 'unless-stopped'",
            ),
            (
                json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}}),
                "invalid restart policy: maximum retry count cannot be negative",
            ),
            (
                json!({"PortBindings": {"x/tcp": []}}),
                "invalid port specification: \"x\"",
            ),
            (
                json!({"PortBindings": {"80/tcp": [{"HostPort": "90000"}]}}),
                "invalid port specification: \"90000\"",
            ),
            (
                json!({"PortBindings": {"80/none": []}}),
                "invalid proto: none",
            ),
            (json!({"PidMode": "x"}), "invalid PID mode: x"),
            (json!({"IpcMode": "x"}), "invalid IPC mode: x"),
            (json!({"UTSMode": "x"}), "invalid UTS mode: x"),
            (json!({"UsernsMode": "x"}), "invalid USER mode: x"),
            (
                json!({"CgroupnsMode": "x"}),
                "invalid cgroup namespace mode: x",
            ),
            (
                json!({"CpuPercent": 3}),
                "invalid option: CpuPercent is only supported on Windows",
            ),
            (
                json!({"OomScoreAdj": 9_999_999_999_i64}),
                "Invalid value 9999999999, range for oom score adj is [-1000, 1000]",
            ),
        ] {
            assert_eq!(parse_json(host).unwrap_err().message, text);
        }
    }

    #[test]
    fn a_host_config_survives_the_way_there_and_back() {
        let wire = json!({
            "Binds": ["recvol:/data"], "NetworkMode": "bridge",
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}], "90/udp": null, "91/udp": [{}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "CapAdd": ["NET_ADMIN"], "Dns": ["9.9.9.9"], "Tmpfs": {"/t": "size=1m"},
            "Memory": 67108864, "NanoCpus": 500000000, "PidsLimit": 64, "ShmSize": 1048576,
            "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 512}], "Init": false,
            "Mounts": [{"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 448}}],
            "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}],
            "ConsoleSize": [24, 80], "IpcMode": "shareable", "PidMode": "host", "UTSMode": "host",
        });
        let spec = parse_json(wire.clone()).unwrap();
        let shown = serde_json::to_value(host_config_view(&spec)).unwrap();
        for (key, value) in wire.as_object().unwrap() {
            if key != "PortBindings" {
                assert_eq!(&shown[key], value, "{key}");
            }
        }
        let ephemeral = json!([{"HostIp": "", "HostPort": ""}]);
        assert_eq!(shown["PortBindings"]["91/udp"], ephemeral);
        assert!(shown["PortBindings"].get("90/udp").is_none());
        assert_eq!(shown["CapDrop"], serde_json::Value::Null);
    }
}
