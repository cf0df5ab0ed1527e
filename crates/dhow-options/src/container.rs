//! The flags of `create` and `run` as the body of the request.

use dhow_api::container::{Config, CreateRequest, HostConfig, LogConfig};
use dhow_api::network::NetworkingConfig;
use dhow_api::{Map, Words};

use super::{devices, environment, health, mount, network, pairs, ports, resources, security};
use crate::flags::Parsed;

/// The request the flags and arguments (image, then command) describe.
pub fn request(flags: &Parsed) -> Result<CreateRequest, String> {
    let mac = flags.text("mac-address");
    if !mac.is_empty() {
        network::mac(mac)?;
    }
    let swappiness = flags.int("memory-swappiness");
    if !(-1..=100).contains(&swappiness) {
        return Err(format!(
            "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
        ));
    }
    let (binds, volumes) = mount::volumes(&flags.list("volume"))?;
    let (mut exposed, bindings) = ports::publish(&flags.list("publish"))?;
    ports::expose(&flags.list("expose"), &mut exposed)?;
    let mut config = config(flags)?;
    config.exposed_ports = Some(exposed);
    config.volumes = Some(volumes);
    let mut host = host(flags)?;
    host.binds = some(binds);
    host.port_bindings = Some(bindings);
    let (mode, endpoints) = network::endpoints(flags)?;
    host.network_mode = mode;
    if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    // What the client closes, the container's input closes with.
    config.stdin_once = config.open_stdin && config.attach_stdin;
    Ok(CreateRequest {
        config,
        host_config: Some(host),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(endpoints),
        }),
    })
}

fn some(values: Vec<String>) -> Option<Vec<String>> {
    (!values.is_empty()).then_some(values)
}

fn config(flags: &Parsed) -> Result<Config, String> {
    let attach: Vec<String> = flags
        .list("attach")
        .iter()
        .map(|s| s.to_lowercase())
        .collect();
    let attached = |stream: &str| attach.iter().any(|name| name == stream);
    let entrypoint = match flags.text("entrypoint") {
        "" if flags.changed("entrypoint") => Some(Words(vec![String::new()])),
        "" => None,
        program => Some(Words(vec![program.to_owned()])),
    };
    let command = flags.arguments.get(1..).unwrap_or_default().to_vec();
    let labels = environment::labels(&flags.list("label-file"), &flags.list("label"))?;
    let text = |name: &str| flags.text(name).to_owned();
    Ok(Config {
        hostname: text("hostname"),
        domainname: text("domainname"),
        user: text("user"),
        attach_stdin: attached("stdin") || flags.switch("interactive"),
        attach_stdout: attached("stdout") || attach.is_empty(),
        attach_stderr: attached("stderr") || attach.is_empty(),
        tty: flags.switch("tty"),
        open_stdin: flags.switch("interactive"),
        env: some(environment::environment(
            &flags.list("env-file"),
            &flags.list("env"),
        )?),
        cmd: (!command.is_empty()).then_some(Words(command)),
        healthcheck: health::healthcheck(flags)?,
        image: flags.argument(0).to_owned(),
        working_dir: text("workdir"),
        entrypoint,
        labels: Some(pairs(&labels)),
        stop_signal: text("stop-signal"),
        stop_timeout: flags
            .changed("stop-timeout")
            .then(|| flags.int("stop-timeout")),
        ..Config::default()
    })
}

fn host(flags: &Parsed) -> Result<HostConfig, String> {
    let text = |name: &str| flags.text(name).to_owned();
    let list = |name: &str| some(flags.list(name));
    let (pid, uts) = (flags.text("pid"), flags.text("uts"));
    security::check_modes(pid, uts, flags.text("userns"), flags.text("cgroupns"))?;
    let security = security::security(&flags.list("security-opt"))?;
    let unconfined = || security.unconfined_paths.then(Vec::new);
    let hosts = flags.list("add-host");
    let hosts = hosts
        .iter()
        .map(|h| resources::extra_host(h))
        .collect::<Result<_, _>>()?;
    Ok(HostConfig {
        container_id_file: text("cidfile"),
        log_config: log(flags)?,
        restart_policy: resources::restart(flags.text("restart"))?,
        auto_remove: flags.switch("rm"),
        volume_driver: text("volume-driver"),
        volumes_from: list("volumes-from"),
        annotations: Some(pairs(&flags.list("annotation"))),
        cap_add: some(security::capabilities(&flags.list("cap-add"))),
        cap_drop: some(security::capabilities(&flags.list("cap-drop"))),
        cgroupns_mode: text("cgroupns"),
        dns: Some(flags.list("dns")),
        dns_options: Some(flags.list("dns-option")),
        dns_search: Some(flags.list("dns-search")),
        extra_hosts: some(hosts),
        group_add: list("group-add"),
        ipc_mode: text("ipc"),
        links: list("link"),
        oom_score_adj: flags.int("oom-score-adj"),
        pid_mode: text("pid"),
        privileged: flags.switch("privileged"),
        publish_all_ports: flags.switch("publish-all"),
        readonly_rootfs: flags.switch("read-only"),
        masked_paths: unconfined(),
        readonly_paths: unconfined(),
        security_opt: security.options,
        storage_opt: Some(storage(&flags.list("storage-opt"))?),
        tmpfs: Some(tmpfs(&flags.list("tmpfs"))),
        uts_mode: text("uts"),
        userns_mode: text("userns"),
        shm_size: resources::bytes(flags.text("shm-size")),
        sysctls: Some(pairs(&flags.list("sysctl"))),
        runtime: text("runtime"),
        isolation: text("isolation"),
        mounts: Some(
            flags
                .list("mount")
                .iter()
                .map(|m| mount::parse(m))
                .collect::<Result<_, _>>()?,
        ),
        init: flags.changed("init").then(|| flags.switch("init")),
        ..limits(flags)?
    })
}

/// The part that is about resources.
fn limits(flags: &Parsed) -> Result<HostConfig, String> {
    let text = |name: &str| flags.text(name).to_owned();
    let bytes = |name: &str| resources::bytes(flags.text(name));
    let mut mapped = Vec::new();
    let (named, given): (Vec<_>, Vec<_>) = flags
        .list("device")
        .into_iter()
        .partition(|device| devices::is_qualified(device));
    for device in given {
        mapped.extend(devices::device(&device)?);
    }
    let all = |name: &str, read: fn(&str) -> Result<_, String>| {
        flags
            .list(name)
            .iter()
            .map(|value| read(value))
            .collect::<Result<Vec<_>, _>>()
    };
    let weights = flags.list("blkio-weight-device");
    let weights = weights
        .iter()
        .map(|w| devices::weight(w))
        .collect::<Result<_, _>>()?;
    let gpus = flags.list("gpus");
    let mut requests = gpus
        .iter()
        .map(|g| devices::gpus(g))
        .collect::<Result<Vec<_>, _>>()?;
    if !named.is_empty() {
        requests.push(devices::named(named));
    }
    Ok(HostConfig {
        cpu_shares: flags.int("cpu-shares"),
        memory: bytes("memory"),
        nano_cpus: resources::cpus(flags.text("cpus"))?,
        cgroup_parent: text("cgroup-parent"),
        blkio_weight: u16::try_from(flags.uint("blkio-weight")).unwrap_or(0),
        blkio_weight_device: Some(weights),
        blkio_device_read_bps: Some(all("device-read-bps", devices::bytes_rate)?),
        blkio_device_write_bps: Some(all("device-write-bps", devices::bytes_rate)?),
        blkio_device_read_iops: Some(all("device-read-iops", devices::operations_rate)?),
        blkio_device_write_iops: Some(all("device-write-iops", devices::operations_rate)?),
        cpu_period: flags.int("cpu-period"),
        cpu_quota: flags.int("cpu-quota"),
        cpu_realtime_period: flags.int("cpu-rt-period"),
        cpu_realtime_runtime: flags.int("cpu-rt-runtime"),
        cpuset_cpus: text("cpuset-cpus"),
        cpuset_mems: text("cpuset-mems"),
        devices: Some(mapped),
        device_cgroup_rules: some(flags.list("device-cgroup-rule")),
        device_requests: (!requests.is_empty()).then_some(requests),
        memory_reservation: bytes("memory-reservation"),
        memory_swap: resources::swap(flags.text("memory-swap")),
        memory_swappiness: Some(flags.int("memory-swappiness")),
        oom_kill_disable: Some(flags.switch("oom-kill-disable")),
        pids_limit: Some(flags.int("pids-limit")),
        ulimits: Some(ulimits(&flags.list("ulimit"))?),
        cpu_count: flags.int("cpu-count"),
        cpu_percent: flags.int("cpu-percent"),
        io_maximum_iops: flags.uint("io-maxiops"),
        io_maximum_bandwidth: u64::try_from(bytes("io-maxbandwidth")).unwrap_or(0),
        ..HostConfig::default()
    })
}

/// The limits by name; the last one of a name counts.
fn ulimits(values: &[String]) -> Result<Vec<dhow_api::container::Ulimit>, String> {
    let mut limits = Map::new();
    for value in values {
        let limit = resources::ulimit(value)?;
        limits.insert(limit.name.clone(), limit);
    }
    Ok(limits.into_values().collect())
}

fn log(flags: &Parsed) -> Result<LogConfig, String> {
    let driver = flags.text("log-driver");
    let options = flags.list("log-opt");
    if driver == "none" && !options.is_empty() {
        return Err(format!("invalid logging opts for driver {driver}"));
    }
    Ok(LogConfig {
        kind: driver.to_owned(),
        config: pairs(&options),
    })
}

fn storage(values: &[String]) -> Result<Map<String>, String> {
    if values.iter().any(|value| !value.contains('=')) {
        return Err("invalid storage option".to_owned());
    }
    Ok(pairs(values))
}

fn tmpfs(values: &[String]) -> Map<String> {
    values
        .iter()
        .map(|value| {
            let (path, options) = value.split_once(':').unwrap_or((value, ""));
            (path.to_owned(), options.to_owned())
        })
        .collect()
}
