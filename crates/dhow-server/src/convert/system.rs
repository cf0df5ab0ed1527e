//! The engine itself.

use std::collections::BTreeMap;

use dhow_api::container::ContainerSummary;
use dhow_api::disk_usage::{DiskUsage as WireUsage, Usage};
use dhow_api::image::ImageSummary;
use dhow_api::system as wire;
use dhow_api::volume::VolumeUsage as WireVolumeUsage;
use dhow_api::{Map, volume::Volume};
use dhow_builder::usage::CacheUsage;
use dhow_engine::container::{Status, Summary};
use dhow_engine::system::{DiskUsage, Info, Version, VolumeUsage};

use super::{build, image, summary, time, volume};
use crate::compat::disk_usage::Wanted;

/// What a field of Go's has that does not exist here.
const NO_GO: &str = "none (Rust)";
/// Docker Hub's old name of itself, which the command line looks credentials up by.
const INDEX: &str = "https://index.docker.io/v1/";

/// The versions.
pub(crate) fn version(version: &Version) -> wire::Version {
    let about = &version.about;
    let details = [
        ("ApiVersion", about.api_version.as_str()),
        ("Arch", version.arch),
        ("BuildTime", &about.build_time),
        (
            "Experimental",
            if about.experimental { "true" } else { "false" },
        ),
        ("GitCommit", &about.git_commit),
        ("GoVersion", NO_GO),
        ("KernelVersion", &version.kernel),
        ("MinAPIVersion", &about.min_api_version),
        ("Os", version.os),
    ];
    let details: Map<String> = details
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    wire::Version {
        platform: wire::VersionPlatform {
            name: "Dhow".to_owned(),
        },
        version: about.version.clone(),
        api_version: about.api_version.clone(),
        min_api_version: about.min_api_version.clone(),
        os: version.os.to_owned(),
        arch: version.arch.to_owned(),
        components: vec![wire::Component {
            name: "Engine".to_owned(),
            version: about.version.clone(),
            details,
        }],
        git_commit: about.git_commit.clone(),
        go_version: NO_GO.to_owned(),
        kernel_version: version.kernel.clone(),
        experimental: about.experimental,
        build_time: about.build_time.clone(),
    }
}

/// What the engine is and what it runs on.
pub(crate) fn info(info: &Info) -> wire::Info {
    let has = |name: &str| info.machine.controllers.iter().any(|have| have == name);
    let about = &info.about;
    let mut wire = wire::Info {
        id: info.id.clone(),
        containers: count(info.containers.all),
        containers_running: count(info.containers.running),
        containers_paused: count(info.containers.paused),
        containers_stopped: count(info.containers.stopped),
        images: count(info.images),
        driver: info.driver.to_owned(),
        driver_status: pairs(&info.driver_status),
        plugins: wire::PluginsInfo {
            volume: info.volume_drivers.clone(),
            network: info.network_drivers.clone(),
            authorization: None,
            log: info.log_drivers.clone(),
        },
        memory_limit: has("memory"),
        swap_limit: info.machine.swap_limit,
        cpu_cfs_period: has("cpu"),
        cpu_cfs_quota: has("cpu"),
        cpu_shares: has("cpu"),
        cpu_set: has("cpuset"),
        pids_limit: has("pids"),
        ipv4_forwarding: info.machine.ipv4_forwarding,
        debug: about.debug,
        n_fd: count(info.descriptors),
        oom_kill_disable: info.machine.cgroup_version == "1" && has("memory"),
        n_goroutines: 0,
        system_time: time::rfc3339(info.time),
        logging_driver: info.logging_driver.clone(),
        cgroup_driver: "cgroupfs".to_owned(),
        cgroup_version: info.machine.cgroup_version.to_owned(),
        n_events_listener: count(info.listeners),
        docker_root_dir: info.data_root.display().to_string(),
        labels: about.labels.clone(),
        experimental_build: about.experimental,
        server_version: about.version.clone(),
        default_runtime: info.default_runtime.clone(),
        live_restore_enabled: true,
        init_binary: "dhow init".to_owned(),
        security_options: info.security_options.clone(),
        cdi_spec_dirs: info
            .cdi_folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect(),
        warnings: (!info.warnings.is_empty()).then(|| info.warnings.clone()),
        ..wire::Info::default()
    };
    machine(info, &mut wire);
    outside(info, &mut wire);
    wire
}

fn machine(info: &Info, wire: &mut wire::Info) {
    let machine = &info.machine;
    wire.kernel_version.clone_from(&machine.kernel);
    wire.operating_system.clone_from(&machine.operating_system);
    wire.os_version.clone_from(&machine.os_version);
    wire.os_type = "linux".to_owned();
    wire.architecture.clone_from(&machine.architecture);
    wire.ncpu = count(machine.cpus);
    wire.mem_total = i64::try_from(machine.memory).unwrap_or(i64::MAX);
    wire.name.clone_from(&machine.name);
}

fn outside(info: &Info, wire: &mut wire::Info) {
    wire.index_server_address = INDEX.to_owned();
    wire.registry_config = registry(info);
    wire.runtimes = info
        .runtimes
        .iter()
        .map(|(name, path)| {
            let runtime = wire::RuntimeInfo {
                path: path.display().to_string(),
                ..wire::RuntimeInfo::default()
            };
            (name.clone(), runtime)
        })
        .collect();
    wire.swarm.local_node_state = "inactive".to_owned();
    for commit in [&mut wire.containerd_commit, &mut wire.runc_commit] {
        commit.id.clone_from(&info.about.git_commit);
    }
    wire.init_commit.id.clone_from(&info.about.git_commit);
    wire.firewall_backend = Some(wire::FirewallInfo {
        driver: "nftables".to_owned(),
        info: None,
    });
}

fn registry(info: &Info) -> wire::RegistryServiceConfig {
    let about = &info.about;
    let (mut networks, hosts): (Vec<String>, Vec<String>) = about
        .insecure_registries
        .iter()
        .cloned()
        .partition(|name| name.contains('/'));
    for loopback in ["::1/128", "127.0.0.0/8"] {
        if !networks.iter().any(|network| network == loopback) {
            networks.push(loopback.to_owned());
        }
    }
    let mut index_configs = BTreeMap::new();
    for host in hosts {
        let index = wire::IndexInfo {
            name: host.clone(),
            ..wire::IndexInfo::default()
        };
        index_configs.insert(host, index);
    }
    let hub = wire::IndexInfo {
        name: "docker.io".to_owned(),
        mirrors: about.registry_mirrors.clone(),
        secure: true,
        official: true,
    };
    index_configs.insert("docker.io".to_owned(), hub);
    wire::RegistryServiceConfig {
        insecure_registry_cidrs: networks,
        index_configs,
        mirrors: Some(about.registry_mirrors.clone()),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn pairs(pairs: &[(String, String)]) -> Vec<[String; 2]> {
    let pair = |(key, value): &(String, String)| [key.clone(), value.clone()];
    pairs.iter().map(pair).collect()
}

/// What everything takes on disk, in the form that was asked for.
pub(crate) fn disk_usage(usage: &DiskUsage, cache: &[CacheUsage], wanted: &Wanted) -> WireUsage {
    let mut wire = WireUsage::default();
    if wanted.kinds.images {
        let items: Vec<_> = usage.images.iter().map(image::summary).collect();
        let mut sums = image_sums(usage);
        wire.layers_size = if wanted.legacy { sums.total_size } else { 0 };
        wire.images = wanted.legacy.then(|| items.clone());
        sums.items = wanted.items.then_some(items);
        wire.image_usage = wanted.usage.then_some(sums);
    }
    if wanted.kinds.containers {
        let items: Vec<_> = usage.containers.iter().map(summary::summary).collect();
        let mut sums = container_sums(usage);
        wire.containers = wanted.legacy.then(|| items.clone());
        sums.items = wanted.items.then_some(items);
        wire.container_usage = wanted.usage.then_some(sums);
    }
    if wanted.kinds.volumes {
        let items: Vec<_> = usage.volumes.iter().map(volume_usage).collect();
        let mut sums = volume_sums(usage);
        wire.volumes = wanted.legacy.then(|| items.clone());
        sums.items = wanted.items.then_some(items);
        wire.volume_usage = wanted.usage.then_some(sums);
    }
    if wanted.build_cache {
        let items = build::records(cache);
        let mut sums = build::sums(cache);
        wire.build_cache = wanted.legacy.then(|| items.clone());
        sums.items = wanted.items.then_some(items);
        wire.build_cache_usage = wanted.usage.then_some(sums);
    }
    wire
}

fn bytes(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn image_sums(usage: &DiskUsage) -> Usage<ImageSummary> {
    let used = usage.images.iter().filter(|image| image.containers > 0);
    let kept: u64 = used
        .clone()
        .map(|image| {
            image
                .image
                .size
                .saturating_sub(image.shared_size.unwrap_or(0))
        })
        .sum();
    Usage {
        active_count: count(used.count()),
        reclaimable: bytes(usage.layers_size.saturating_sub(kept)),
        total_count: count(usage.images.len()),
        total_size: bytes(usage.layers_size),
        items: None,
    }
}

fn container_sums(usage: &DiskUsage) -> Usage<ContainerSummary> {
    let size = |container: &Summary| container.size.unwrap_or_default().rw;
    let active = |container: &&Summary| {
        let status = container.record.state.status;
        status.is_running() || status == Status::Restarting
    };
    let total: u64 = usage.containers.iter().map(size).sum();
    let kept: u64 = usage.containers.iter().filter(active).map(size).sum();
    Usage {
        active_count: count(usage.containers.iter().filter(active).count()),
        reclaimable: bytes(total.saturating_sub(kept)),
        total_count: count(usage.containers.len()),
        total_size: bytes(total),
        items: None,
    }
}

fn volume_sums(usage: &DiskUsage) -> Usage<Volume> {
    let used = |volume: &&VolumeUsage| volume.containers > 0;
    let total: u64 = usage.volumes.iter().map(|volume| volume.size).sum();
    let kept: u64 = usage
        .volumes
        .iter()
        .filter(used)
        .map(|volume| volume.size)
        .sum();
    Usage {
        active_count: count(usage.volumes.iter().filter(used).count()),
        reclaimable: bytes(total.saturating_sub(kept)),
        total_count: count(usage.volumes.len()),
        total_size: bytes(total),
        items: None,
    }
}

fn volume_usage(usage: &VolumeUsage) -> Volume {
    Volume {
        usage_data: Some(WireVolumeUsage {
            ref_count: count(usage.containers),
            size: i64::try_from(usage.size).unwrap_or(i64::MAX),
        }),
        ..volume::view(&usage.record)
    }
}
