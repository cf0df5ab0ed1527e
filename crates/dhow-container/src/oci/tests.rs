#![allow(clippy::unwrap_used, reason = "tests")]

use dhow_oci::runtime::{LinuxNamespaceType, Mount};

use super::*;
use crate::spec::{
    ContainerConfig, HostConfig, IpcMode, MountKind, NetworkMode, PidMode, Resources, Ulimit,
};
use crate::{ImageRef, MountPoint, State};

fn record() -> ContainerRecord {
    ContainerRecord {
        id: "0123456789abcdef".repeat(4),
        name: "web".into(),
        created: jiff::Timestamp::UNIX_EPOCH,
        path: "sh".into(),
        args: vec!["-c".into(), "true".into()],
        image: ImageRef {
            id: dhow_oci::Digest::of(b"image"),
            manifest: None,
            chain: None,
            os: "linux".into(),
        },
        config: ContainerConfig {
            hostname: "box".into(),
            ..ContainerConfig::default()
        },
        host: HostConfig {
            network_mode: NetworkMode::Bridge,
            shm_size: 1 << 20,
            security_opt: vec!["seccomp=unconfined".into()],
            ..HostConfig::default()
        },
        networks: std::collections::BTreeMap::new(),
        ports: std::collections::BTreeMap::new(),
        mounts: Vec::new(),
        links: Vec::new(),
        log: dhow_logging::LogConfig::default(),
        state: State::default(),
        restart_count: 0,
        manually_stopped: false,
        started_before: false,
    }
}

fn spec(change: impl FnOnce(&mut ContainerRecord, &mut Inputs)) -> Spec {
    let (mut record, mut inputs) = (record(), Inputs::default());
    change(&mut record, &mut inputs);
    generate(&record, &inputs).unwrap()
}

fn mount<'a>(spec: &'a Spec, target: &str) -> Option<&'a Mount> {
    let mut mounts = spec.mounts().as_ref().unwrap().iter();
    mounts.find(|mount| mount.destination().as_os_str() == target)
}

fn options<'a>(spec: &'a Spec, target: &str) -> &'a [String] {
    mount(spec, target).unwrap().options().as_ref().unwrap()
}

fn namespaces(spec: &Spec) -> Vec<(LinuxNamespaceType, Option<String>)> {
    let linux = spec.linux().as_ref().unwrap();
    let list = linux.namespaces().as_ref().unwrap();
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    list.iter()
        .map(|namespace| (namespace.typ(), path(namespace.path())))
        .collect()
}

#[test]
fn a_plain_container_has_dockers_defaults() {
    let spec = spec(|_, _| {});
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.args().as_ref().unwrap(), &["sh", "-c", "true"]);
    assert_eq!(
        process.env().as_ref().unwrap(),
        &[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME=box"
        ]
    );
    assert_eq!(process.cwd().as_os_str(), "/");
    assert_eq!(spec.hostname().as_deref(), Some("box"));
    for target in [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
    ] {
        assert!(mount(&spec, target).is_some(), "{target}");
    }
    assert!(options(&spec, "/sys").contains(&"ro".to_owned()));
    assert!(options(&spec, "/dev/shm").contains(&"size=1048576".to_owned()));
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.masked_paths().as_ref().unwrap().len(), 12);
    assert_eq!(linux.readonly_paths().as_ref().unwrap().len(), 5);
    let sysctl = linux.sysctl().as_ref().unwrap();
    assert_eq!(sysctl["net.ipv4.ip_unprivileged_port_start"], "0");
    use LinuxNamespaceType as N;
    let own = [N::Mount, N::Network, N::Ipc, N::Pid, N::Uts].map(|kind| (kind, None));
    assert_eq!(namespaces(&spec), own);
}

#[test]
fn privileged_takes_the_fences_down() {
    let spec = spec(|record, _| record.host.privileged = true);
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.masked_paths().is_none() && linux.readonly_paths().is_none());
    assert!(options(&spec, "/sys").contains(&"rw".to_owned()));
    assert!(linux.seccomp().is_none());
    let rules = linux
        .resources()
        .as_ref()
        .unwrap()
        .devices()
        .as_ref()
        .unwrap();
    assert!(rules.len() == 1 && rules[0].allow());
    let process = spec.process().as_ref().unwrap();
    let sets = process.capabilities().as_ref().unwrap();
    assert!(sets.bounding().as_ref().unwrap().len() > 40);
}

#[test]
fn namespaces_are_the_hosts_or_another_containers() {
    use LinuxNamespaceType as N;
    let spec = spec(|record, inputs| {
        record.host.network_mode = NetworkMode::Container("x".into());
        record.host.ipc_mode = IpcMode::Host;
        record.host.pid_mode = PidMode::Host;
        record.host.uts_mode = UtsMode::Host;
        inputs.joined.network = Some(77);
        inputs.cgroup_v2 = true;
        inputs.host_name = "host".into();
    });
    let wanted = [
        (N::Mount, None),
        (N::Network, Some("/proc/77/ns/net".to_owned())),
        (N::Cgroup, None),
    ];
    assert_eq!(namespaces(&spec), wanted);
    assert_eq!(
        mount(&spec, "/dev/shm").unwrap().typ().as_deref(),
        Some("bind")
    );
    assert!(spec.hostname().is_none());
    let env = spec.process().as_ref().unwrap().env().as_ref().unwrap();
    assert!(env.contains(&"HOSTNAME=host".to_owned()));
    assert!(spec.linux().as_ref().unwrap().sysctl().is_none());
}

#[test]
fn mounts_of_the_user_come_last_by_depth_and_in_place_of_the_systems() {
    let spec = spec(|record, inputs| {
        let point = |target: &str, kind, rw| MountPoint {
            kind,
            destination: target.into(),
            rw,
            ..MountPoint::default()
        };
        record.mounts = vec![
            point("/data/deep", MountKind::Volume, true),
            point("/data", MountKind::Bind, false),
            point("/dev/shm", MountKind::Bind, true),
            point("/etc/hosts", MountKind::Bind, true),
        ];
        record.mounts[1].propagation = "rslave".into();
        inputs.sources = ["/v", "/b", "/s", "/h"].map(path).to_vec();
        inputs.files.hosts = Some("/ours".into());
        inputs.files.hostname = Some("/name".into());
        record
            .host
            .tmpfs
            .insert("/run".into(), "size=1m,exec".into());
    });
    let order: Vec<String> = spec
        .mounts()
        .as_ref()
        .unwrap()
        .iter()
        .map(|mount| mount.destination().display().to_string())
        .collect();
    let position = |target: &str| order.iter().position(|other| other == target).unwrap();
    assert!(position("/data") < position("/data/deep"));
    assert!(position("/sys/fs/cgroup") < position("/data"));
    assert_eq!(
        order.iter().filter(|target| *target == "/dev/shm").count(),
        1
    );
    assert_eq!(
        order
            .iter()
            .filter(|target| *target == "/etc/hosts")
            .count(),
        1
    );
    assert_eq!(options(&spec, "/data"), ["rbind", "rslave", "rro"]);
    assert_eq!(options(&spec, "/data/deep"), ["rbind", "rprivate", "rw"]);
    assert_eq!(
        options(&spec, "/run"),
        ["nosuid", "nodev", "size=1m", "exec"]
    );
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.rootfs_propagation().as_deref(), Some("slave"));
}

fn path(text: &str) -> Source {
    Source::Path(text.into())
}

#[test]
fn images_are_shown_read_only() {
    let image = |layers: &[&str], subpath: &str| {
        let spec = spec(|record, inputs| {
            record.mounts.push(MountPoint {
                kind: MountKind::Image,
                destination: "/i".into(),
                subpath: subpath.into(),
                ..MountPoint::default()
            });
            let layers = layers.iter().map(PathBuf::from).collect();
            inputs.sources.push(Source::Layers(layers));
        });
        let mount = mount(&spec, "/i").unwrap().clone();
        let source = mount.source().clone().unwrap().display().to_string();
        (
            mount.typ().clone().unwrap(),
            source,
            options(&spec, "/i").join(","),
        )
    };
    let expected = |kind: &str, source: &str, options: &str| {
        (kind.to_owned(), source.to_owned(), options.to_owned())
    };
    assert_eq!(
        image(&["/l1", "/l:2"], ""),
        expected("overlay", "overlay", "rprivate,ro,lowerdir=/l1:/l\\:2")
    );
    assert_eq!(
        image(&["/l1"], "etc/x"),
        expected("bind", "/l1", "dhow.subpath=etc/x,rprivate,ro,bind")
    );
    assert_eq!(image(&[], ""), expected("tmpfs", "tmpfs", "rprivate,ro"));
}

#[test]
fn read_only_goes_for_what_is_below_too() {
    let bind = |rw: bool, own: &[&str]| {
        let spec = spec(|record, inputs| {
            record.mounts.push(MountPoint {
                kind: MountKind::Bind,
                destination: "/b".into(),
                propagation: "rprivate".into(),
                options: own.iter().map(|option| (*option).to_owned()).collect(),
                rw,
                ..MountPoint::default()
            });
            inputs.sources.push(path("/host"));
        });
        options(&spec, "/b").join(",")
    };
    assert_eq!(bind(true, &["rbind"]), "rbind,rprivate,rw");
    assert_eq!(bind(false, &["rbind"]), "rbind,rprivate,rro");
    assert_eq!(bind(false, &["bind"]), "bind,rprivate,rro");
    assert_eq!(bind(false, &["rbind", "ro"]), "rbind,ro,rprivate");
}

#[test]
fn a_readonly_root_leaves_the_users_mounts_alone() {
    let spec = spec(|record, inputs| {
        record.host.readonly_rootfs = true;
        record.mounts.push(MountPoint {
            kind: MountKind::Volume,
            destination: "/data".into(),
            rw: true,
            ..MountPoint::default()
        });
        inputs.sources.push(path("/v"));
        inputs.files.hosts = Some("/ours".into());
    });
    assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
    assert!(options(&spec, "/data").contains(&"rw".to_owned()));
    assert!(options(&spec, "/etc/hosts").contains(&"ro".to_owned()));
    assert!(!options(&spec, "/dev/shm").contains(&"ro".to_owned()));
}

#[test]
fn limits_are_translated() {
    let spec = spec(|record, _| {
        record.host.resources = Resources {
            memory: 64 << 20,
            memory_swap: 128 << 20,
            nano_cpus: 500_000_000,
            cpu_shares: 512,
            pids_limit: Some(64),
            cpuset_cpus: "0".into(),
            ulimits: vec![Ulimit {
                name: "nofile".into(),
                soft: 512,
                hard: -1,
            }],
            ..Resources::default()
        };
    });
    let linux = spec.linux().as_ref().unwrap();
    let resources = linux.resources().as_ref().unwrap();
    let memory = resources.memory().as_ref().unwrap();
    assert_eq!(
        (memory.limit(), memory.swap()),
        (Some(64 << 20), Some(128 << 20))
    );
    let cpu = resources.cpu().as_ref().unwrap();
    assert_eq!(
        (cpu.quota(), cpu.period(), cpu.shares()),
        (Some(50_000), Some(100_000), Some(512))
    );
    assert_eq!(resources.pids().as_ref().unwrap().limit(), 64);
    let limits = spec.process().as_ref().unwrap().rlimits().as_ref().unwrap();
    assert_eq!((limits[0].soft(), limits[0].hard()), (512, u64::MAX));
}

#[test]
fn an_init_goes_in_front_of_the_command() {
    let spec = spec(|_, inputs| inputs.init = Some("/usr/bin/dhow".into()));
    let args = spec.process().as_ref().unwrap().args().as_ref().unwrap();
    assert_eq!(args, &["/sbin/docker-init", "--", "sh", "-c", "true"]);
    assert_eq!(
        mount(&spec, INIT_PATH).unwrap().source().as_deref(),
        Some("/usr/bin/dhow".as_ref())
    );
}

#[test]
fn the_containers_environment_wins() {
    let spec = spec(|record, _| {
        record.config.tty = true;
        record.config.env = vec![
            "TERM=dumb".into(),
            "A=1".into(),
            "A=2".into(),
            "HOSTNAME".into(),
        ];
    });
    let env = spec.process().as_ref().unwrap().env().as_ref().unwrap();
    assert_eq!(env[1..], ["TERM=dumb".to_owned(), "A=2".to_owned()]);
}
