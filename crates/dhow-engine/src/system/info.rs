//! `info`: counted and asked for.

use dhow_metadata::Record;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Counts, Info, Machine};
use crate::container::Status;
use crate::containers::DRIVER;
use crate::services::Services;
use crate::{Result, host};

/// What the engine knows of itself across starts.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    id: String,
}

impl Record for Identity {
    const COLLECTION: &'static str = "engine";
}

/// Gathers everything. Blocking.
pub(super) fn gather(services: &Services) -> Result<Info> {
    let config = &services.config;
    let machine = host::machine::describe();
    let mut runtimes = config.runtimes.clone();
    runtimes
        .entry(config.default_runtime.clone())
        .or_insert_with(|| config.program.clone());
    Ok(Info {
        id: identity(services)?,
        containers: count(services),
        images: services.images.list()?.len(),
        driver: DRIVER,
        driver_status: vec![("driver-type".into(), "io.containerd.snapshotter.v1".into())],
        about: config.about.clone(),
        data_root: config.data_root.clone(),
        runtimes,
        default_runtime: config.default_runtime.clone(),
        logging_driver: config.defaults.log.driver.clone(),
        log_drivers: words(dhow_logging::DRIVERS),
        cdi_folders: config.defaults.cdi_folders.clone(),
        network_drivers: words(&["bridge", "host", "null"]),
        volume_drivers: words(&["local"]),
        security_options: security(services, &machine),
        descriptors: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        listeners: services.events.listeners(),
        time: Timestamp::now(),
        warnings: warnings(&machine),
        machine,
    })
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// The engine's id, made when it is first asked for.
fn identity(services: &Services) -> Result<String> {
    let found = services.db.get::<Identity>("identity")?;
    if let Some(identity) = found {
        return Ok(identity.id);
    }
    let id = uuid(&crate::lifecycle::create::new_id());
    services.db.put("identity", &Identity { id: id.clone() })?;
    Ok(id)
}

/// Random digits in the form of a UUID.
fn uuid(digits: &str) -> String {
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    format!(
        "{}-{}-4{}-8{}-{}",
        part(0..8),
        part(8..12),
        part(12..15),
        part(15..18),
        part(18..30)
    )
}

fn count(services: &Services) -> Counts {
    let mut counts = Counts {
        all: services.containers.len(),
        ..Counts::default()
    };
    for container in services.containers.all() {
        match container.outline().state.status {
            Status::Running | Status::Restarting => counts.running += 1,
            Status::Paused => counts.paused += 1,
            _ => counts.stopped += 1,
        }
    }
    counts
}

fn security(services: &Services, machine: &Machine) -> Vec<String> {
    let mut options = Vec::new();
    if dhow_runtime::apparmor::AppArmor::default().has_default() {
        options.push("name=apparmor".into());
    }
    if machine.seccomp {
        let profile = match services.config.defaults.seccomp_profile.as_deref() {
            None => "builtin",
            Some("unconfined") => "unconfined",
            Some(_) => "custom",
        };
        options.push(format!("name=seccomp,profile={profile}"));
    }
    if machine.cgroup_version == "2" {
        options.push("name=cgroupns".into());
    }
    options
}

fn warnings(machine: &Machine) -> Vec<String> {
    let has = |controller: &str| machine.controllers.iter().any(|name| name == controller);
    let checks = [
        (!has("memory"), "WARNING: No memory limit support"),
        (
            has("memory") && !machine.swap_limit,
            "WARNING: No swap limit support",
        ),
        (!has("cpu"), "WARNING: No cpu cfs quota support"),
        (!has("cpuset"), "WARNING: No cpuset support"),
        (!has("pids"), "WARNING: No pids limit support"),
        (
            !machine.ipv4_forwarding,
            "WARNING: IPv4 forwarding is disabled",
        ),
    ];
    checks
        .iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, text)| (*text).to_owned())
        .collect()
}
