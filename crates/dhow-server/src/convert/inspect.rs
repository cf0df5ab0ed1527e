//! One container, inspected.

use dhow_api::container as wire;
use dhow_engine::container::{Details, Health, Probe, PublishedPort, State};
use dhow_engine::spec::Port;

use super::{container, host, image, mount, network, null_list, time};

/// A container as `GET /containers/{id}/json` shows it.
pub(crate) fn inspect(details: &Details) -> wire::ContainerInspect {
    let record = &details.record;
    wire::ContainerInspect {
        id: record.id.clone(),
        created: time::rfc3339(record.created),
        path: record.path.clone(),
        args: record.args.clone(),
        state: wire::ContainerState {
            next_start_at: details.next_start.map(time::rfc3339),
            ..state(&record.state)
        },
        image: record.image.id.to_string(),
        resolv_conf_path: details.paths.resolv_conf.display().to_string(),
        hostname_path: details.paths.hostname.display().to_string(),
        hosts_path: details.paths.hosts.display().to_string(),
        log_path: details.paths.log.display().to_string(),
        name: format!("/{}", record.name),
        restart_count: record.restart_count.into(),
        driver: details.driver.to_owned(),
        app_armor_profile: details.apparmor.clone(),
        platform: record.image.os.clone(),
        image_manifest_descriptor: record.image.manifest.as_ref().map(image::descriptor),
        exec_ids: null_list(&details.exec_ids),
        host_config: wire::HostConfig {
            links: null_list(&details.links),
            ..host::host_config_view(&record.host)
        },
        storage: Some(storage(details.driver)),
        size_rw: details.size.map(|size| signed(size.rw)),
        size_root_fs: details.size.map(|size| signed(size.root_fs)),
        mounts: record.mounts.iter().map(mount::mount_point).collect(),
        config: container::config_view(&record.config),
        network_settings: networks(details),
        ..wire::ContainerInspect::default()
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn state(state: &State) -> wire::ContainerState {
    use dhow_engine::container::Status;
    wire::ContainerState {
        status: state.status.name().to_owned(),
        running: state.status.is_running(),
        paused: state.status == Status::Paused,
        restarting: state.status == Status::Restarting,
        oom_killed: state.oom_killed,
        dead: state.status == Status::Dead,
        pid: state.pid.into(),
        exit_code: state.exit_code.into(),
        error: state.error.clone(),
        started_at: time::or_zero(state.started_at),
        finished_at: time::or_zero(state.finished_at),
        health: state.health.as_ref().map(health),
        ..wire::ContainerState::default()
    }
}

fn health(health: &Health) -> wire::Health {
    let probe = |probe: &Probe| wire::HealthResult {
        start: time::rfc3339(probe.start),
        end: time::rfc3339(probe.end),
        exit_code: probe.exit_code.into(),
        output: probe.output.clone(),
    };
    wire::Health {
        status: health.status.name().to_owned(),
        failing_streak: health.failing_streak.into(),
        log: Some(health.log.iter().map(probe).collect()),
    }
}

fn networks(details: &Details) -> wire::NetworkSettings {
    let record = &details.record;
    let networks = record
        .networks
        .iter()
        .map(|(name, endpoint)| (name.clone(), network::endpoint_view(endpoint)))
        .collect::<std::collections::BTreeMap<_, _>>();
    wire::NetworkSettings {
        sandbox_id: details.sandbox_id.clone(),
        sandbox_key: details.sandbox_key.clone(),
        ports: Some(ports(&details.ports)),
        networks,
    }
}

/// The MAC address that the container wishes for on its main network.
pub(crate) fn wanted_mac(details: &Details) -> Option<&str> {
    let record = &details.record;
    let main = record.host.network_mode.network()?;
    let mac = record.networks.get(main)?.wanted_mac.as_str();
    (!mac.is_empty()).then_some(mac)
}

fn storage(snapshotter: &str) -> wire::Storage {
    let snapshot = wire::SnapshotStorage {
        name: snapshotter.to_owned(),
    };
    wire::Storage {
        root_fs: Some(wire::RootFsStorage {
            snapshot: Some(snapshot),
        }),
    }
}

fn ports(ports: &[(Port, Vec<PublishedPort>)]) -> wire::PortMap {
    let binding = |port: &PublishedPort| wire::PortBinding {
        host_ip: port.host_ip.to_string(),
        host_port: port.host_port.to_string(),
    };
    ports
        .iter()
        .map(|(port, published)| {
            let bindings: Vec<_> = published.iter().map(binding).collect();
            (port.to_string(), null_list(&bindings))
        })
        .collect()
}
