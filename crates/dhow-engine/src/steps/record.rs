//! A step as the container that it would be. Pure.

use std::path::{Path, PathBuf};

use dhow_container::oci::Source;
use dhow_container::spec::{
    ContainerConfig, DeviceRequest, HostConfig, LogConfig, MountKind, UtsMode,
};
use dhow_container::{ImageRef, MountPoint};
use dhow_oci::Digest;
use jiff::Timestamp;

use super::{Step, StepMount, StepSource};
use crate::config::Defaults;
use crate::container::ContainerRecord;

/// The host name of a step that has no other: the same in every build, as what a step gives must not depend on it.
pub(super) const HOSTNAME: &str = "buildkitsandbox";

/// The record that the runtime's document is made from.
pub(super) fn record(step: &Step, defaults: &Defaults, runtime: &str) -> ContainerRecord {
    let (path, args) = match step.args.split_first() {
        Some((path, args)) => (path.clone(), args.to_vec()),
        None => (String::new(), Vec::new()),
    };
    ContainerRecord {
        id: step.id.clone(),
        name: step.id.clone(),
        created: Timestamp::now(),
        path,
        args,
        image: ImageRef {
            id: Digest::of(b""),
            manifest: None,
            chain: None,
            os: "linux".into(),
        },
        config: config(step),
        host: host(step, defaults, runtime),
        networks: Default::default(),
        ports: Default::default(),
        mounts: step.mounts.iter().map(point).collect(),
        links: Vec::new(),
        log: Default::default(),
        state: Default::default(),
        restart_count: 0,
        manually_stopped: false,
        started_before: false,
    }
}

fn config(step: &Step) -> ContainerConfig {
    ContainerConfig {
        hostname: step.host.hostname.clone().unwrap_or(HOSTNAME.into()),
        user: step.user.clone(),
        attach_stdout: true,
        attach_stderr: true,
        env: step.env.clone(),
        working_dir: step.working_dir.clone(),
        ..ContainerConfig::default()
    }
}

fn host(step: &Step, defaults: &Defaults, runtime: &str) -> HostConfig {
    let wish = &step.host;
    let mut resources = wish.resources.clone();
    if !wish.devices.is_empty() {
        resources.device_requests.push(DeviceRequest {
            driver: "cdi".into(),
            device_ids: wish.devices.clone(),
            ..DeviceRequest::default()
        });
    }
    let line = |(name, ip): &(String, std::net::IpAddr)| format!("{name}={ip}");
    HostConfig {
        log: LogConfig {
            driver: "none".into(),
            ..LogConfig::default()
        },
        network_mode: step.network.clone(),
        cgroupns_mode: defaults.cgroupns_mode,
        extra_hosts: wish.hosts.iter().map(line).collect(),
        privileged: wish.privileged,
        uts_mode: UtsMode::Private,
        shm_size: wish.shm_size.unwrap_or(defaults.shm_size),
        runtime: runtime.into(),
        resources,
        init: Some(false),
        ..HostConfig::default()
    }
}

fn point(mount: &StepMount) -> MountPoint {
    let mut options = Vec::new();
    let mut subpath = String::new();
    let kind = match &mount.source {
        StepSource::Path(_) => MountKind::Bind,
        StepSource::Root { path, .. } => {
            subpath = path.trim_matches('/').to_owned();
            MountKind::Image
        }
        StepSource::Memory(size) => {
            options.push("nosuid".into());
            options.extend(size.map(|size| format!("size={size}")));
            if mount.read_only {
                options.push("ro".into());
            }
            MountKind::Tmpfs
        }
    };
    MountPoint {
        kind,
        destination: dhow_container::mount::clean(&mount.target),
        rw: !mount.read_only,
        subpath,
        options,
        ..MountPoint::default()
    }
}

/// What each of the step's mounts is made from; `scratch` is where what is written to other roots goes.
pub(super) fn sources(step: &Step, scratch: &Path) -> Vec<Source> {
    let source = |(number, mount): (usize, &StepMount)| match &mount.source {
        StepSource::Path(path) => Source::Path(path.clone()),
        StepSource::Root { root, .. } => Source::Overlay {
            lower: lower(root),
            upper: (!mount.read_only).then(|| written(scratch, number)),
        },
        StepSource::Memory(_) => Source::None,
    };
    step.mounts.iter().enumerate().map(source).collect()
}

/// All layers of another root, what was written on it included.
pub(super) fn lower(root: &dhow_snapshot::Mounts) -> Vec<PathBuf> {
    root.frozen().lower
}

/// Where what is written to the mount of that number goes, and overlayfs's own directory.
pub(super) fn written(scratch: &Path, number: usize) -> (PathBuf, PathBuf) {
    let folder = scratch.join(number.to_string());
    (folder.join("upper"), folder.join("work"))
}
