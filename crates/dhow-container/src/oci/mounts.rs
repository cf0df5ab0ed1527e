//! The list of mounts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dhow_oci::runtime::Mount;

use super::{INIT_PATH, Inputs, Source};
use crate::spec::{Invalid, IpcMode, MountKind, MountSpec};
use crate::{ContainerRecord, MountPoint};

/// The option of the built-in runtime that names a path below a mount's source.
const SUBPATH: &str = "dhow.subpath=";
const DEFAULT_TMPFS: &[&str] = &["noexec", "nosuid", "nodev"];
const PROPAGATIONS: &[&str] = &[
    "private", "rprivate", "shared", "rshared", "slave", "rslave",
];

/// Every mount in the order it is made: the kernel's file systems, then the user's by depth.
pub(super) fn list(record: &ContainerRecord, inputs: &Inputs) -> Vec<Mount> {
    let host = &record.host;
    let mut theirs = user_mounts(record, inputs);
    theirs.extend(etc_files(record, inputs));
    if let Some(init) = &inputs.init {
        theirs.push(bind(INIT_PATH, init.clone(), &["rbind", "ro"]));
    }
    theirs.sort_by_key(|mount| mount.destination().components().count());

    let user_targets: Vec<PathBuf> = theirs
        .iter()
        .map(|mount| mount.destination().clone())
        .collect();
    let mut list = system_mounts(record, inputs);
    list.retain(|mount| !user_targets.contains(mount.destination()));
    list.append(&mut theirs);
    if host.readonly_rootfs {
        make_readonly(&mut list, &user_targets);
    }
    list
}

fn system_mounts(record: &ContainerRecord, inputs: &Inputs) -> Vec<Mount> {
    let host = &record.host;
    let kernel = ["nosuid", "noexec", "nodev"];
    let access = if host.privileged { "rw" } else { "ro" };
    let options = super::security::parse(&host.security_opt).unwrap_or_default();
    let cgroups = match options.writable_cgroups {
        Some(true) => "rw",
        Some(false) => "ro",
        None => access,
    };
    let mut list = vec![
        mount("/proc", "proc", "proc", &kernel),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", access],
        ),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &[cgroups, "nosuid", "noexec", "nodev"],
        ),
    ];
    list.extend(ipc_mounts(record, inputs));
    list
}

/// `/dev/mqueue` and `/dev/shm` belong to the IPC namespace.
fn ipc_mounts(record: &ContainerRecord, inputs: &Inputs) -> Vec<Mount> {
    let kernel = ["nosuid", "noexec", "nodev"];
    let mqueue = mount("/dev/mqueue", "mqueue", "mqueue", &kernel);
    let shm = |source: &str| bind("/dev/shm", source.into(), &["rbind"]);
    match (&record.host.ipc_mode, &inputs.shm) {
        (IpcMode::Host, _) => {
            let mqueue = bind("/dev/mqueue", "/dev/mqueue".into(), &["rbind"]);
            let mqueue = inputs.has_mqueue.then_some(mqueue);
            mqueue.into_iter().chain([shm("/dev/shm")]).collect()
        }
        (IpcMode::None, _) => vec![mqueue],
        (_, Some(shared)) => vec![mqueue, shm(&shared.to_string_lossy())],
        (_, None) => {
            let size = format!("size={}", record.host.shm_size);
            let options = ["nosuid", "noexec", "nodev", "mode=1777", &size];
            vec![mqueue, mount("/dev/shm", "tmpfs", "shm", &options)]
        }
    }
}

fn etc_files(record: &ContainerRecord, inputs: &Inputs) -> Vec<Mount> {
    let access = if record.host.readonly_rootfs {
        "ro"
    } else {
        "rw"
    };
    let files = [
        ("/etc/resolv.conf", &inputs.files.resolv_conf),
        ("/etc/hostname", &inputs.files.hostname),
        ("/etc/hosts", &inputs.files.hosts),
    ];
    files
        .into_iter()
        .filter_map(|(target, source)| source.as_ref().map(|source| (target, source)))
        .filter(|(target, _)| {
            record
                .mounts
                .iter()
                .all(|point| point.destination != **target)
        })
        .map(|(target, source)| bind(target, source.clone(), &["rbind", "rprivate", access]))
        .collect()
}

fn user_mounts(record: &ContainerRecord, inputs: &Inputs) -> Vec<Mount> {
    let mut list: Vec<Mount> = record
        .mounts
        .iter()
        .zip(&inputs.sources)
        .map(|(point, source)| user_mount(point, source))
        .collect();
    for (target, options) in &record.host.tmpfs {
        let target = crate::mount::clean(target);
        list.push(mount(&target, "tmpfs", "tmpfs", &merge_tmpfs(options)));
    }
    list
}

fn user_mount(point: &MountPoint, source: &Source) -> Mount {
    let mut options: Vec<&str> = point.options.iter().map(String::as_str).collect();
    let subpath = format!("{SUBPATH}{}", point.subpath);
    if !point.subpath.is_empty() {
        options.push(&subpath);
    }
    let target = &point.destination;
    let path = match source {
        Source::None => return mount(target, "tmpfs", "tmpfs", &options),
        Source::Layers(layers) => return layered(point, layers, &options),
        Source::Overlay { lower, upper } => {
            return overlay(point, lower, upper.as_ref(), &options);
        }
        Source::Path(path) => path.clone(),
    };
    if !options
        .iter()
        .any(|option| matches!(*option, "bind" | "rbind"))
    {
        options.push("rbind");
    }
    if !point.propagation.is_empty() {
        options.push(&point.propagation);
    } else if point.kind == MountKind::Volume {
        options.push("rprivate");
    }
    // Read-only with everything below, unless only the mount itself is to be.
    match (point.rw, options.contains(&"ro")) {
        (true, _) => options.push("rw"),
        (false, true) => {}
        (false, false) => options.push("rro"),
    }
    bind(target, path, &options)
}

/// The content of an image; a single layer needs no overlay, and can't be one.
fn layered(point: &MountPoint, layers: &[PathBuf], options: &[&str]) -> Mount {
    let lower = lower(layers);
    let mut options = options.to_vec();
    options.extend(["rprivate", "ro"]);
    let target = &point.destination;
    match layers {
        [] => mount(target, "tmpfs", "tmpfs", &options),
        [only] => {
            options.push("bind");
            bind(target, only.clone(), &options)
        }
        _ => {
            options.push(&lower);
            mount(target, "overlay", "overlay", &options)
        }
    }
}

/// Layers that may be written on.
fn overlay(
    point: &MountPoint,
    layers: &[PathBuf],
    upper: Option<&(PathBuf, PathBuf)>,
    options: &[&str],
) -> Mount {
    let mut own = vec![lower(layers)];
    if let Some((upper, work)) = upper {
        own.push(format!("upperdir={}", upper.display()));
        own.push(format!("workdir={}", work.display()));
    }
    let access = if point.rw { "rw" } else { "ro" };
    let options = options.iter().copied().chain(["rprivate", access]);
    let options: Vec<&str> = options.chain(own.iter().map(String::as_str)).collect();
    mount(&point.destination, "overlay", "overlay", &options)
}

/// Overlay's option: the layers joined by colons, those in their paths taken their meaning away.
fn lower(layers: &[PathBuf]) -> String {
    let escaped: Vec<String> = layers
        .iter()
        .map(|path| {
            path.to_string_lossy()
                .replace('\\', "\\\\")
                .replace(':', "\\:")
        })
        .collect();
    format!("lowerdir={}", escaped.join(":"))
}

/// The options of a memory file system in the long form.
pub fn tmpfs_options(spec: &MountSpec) -> Vec<String> {
    let options = spec.tmpfs.clone().unwrap_or_default();
    let mut text: Vec<String> = Vec::new();
    if options.mode != 0 {
        text.push(format!("mode={:o}", options.mode));
    }
    if options.size > 0 {
        text.push(format!("size={}", options.size));
    }
    text.extend(options.options.iter().map(|pair| pair.join("=")));
    text.push(if spec.read_only { "ro" } else { "rw" }.into());
    merge_tmpfs(&text.join(","))
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// Checks the options of a memory file system.
///
/// # Errors
/// One of them is none of tmpfs; the text is Docker's.
pub fn check_tmpfs(options: &str) -> Result<(), Invalid> {
    const FLAGS: &[&str] = &[
        "async",
        "atime",
        "bind",
        "defaults",
        "dev",
        "diratime",
        "dirsync",
        "exec",
        "mand",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "nomand",
        "norelatime",
        "nostrictatime",
        "nosuid",
        "private",
        "rbind",
        "relatime",
        "remount",
        "ro",
        "rprivate",
        "rshared",
        "rslave",
        "runbindable",
        "rw",
        "shared",
        "slave",
        "strictatime",
        "suid",
        "sync",
        "unbindable",
    ];
    const VALUES: &[&str] = &[
        "gid",
        "mode",
        "mpol",
        "nr_blocks",
        "nr_inodes",
        "size",
        "uid",
    ];
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let known = match option.split_once('=') {
            None => FLAGS.contains(&option),
            Some((key, _)) => VALUES.contains(&key),
        };
        if !known {
            let key = option.split('=').next().unwrap_or(option);
            return Err(Invalid(format!("invalid tmpfs option \"{key}\"")));
        }
    }
    Ok(())
}

/// Docker's defaults for memory file systems with what was asked for: `exec` takes `noexec` back, and so on.
fn merge_tmpfs(wanted: &str) -> Vec<&str> {
    let given: Vec<&str> = wanted
        .split(',')
        .filter(|option| !option.is_empty())
        .collect();
    let contradicted = |default: &str| {
        let opposite = default.trim_start_matches("no");
        given
            .iter()
            .any(|option| *option == opposite || *option == default)
    };
    let kept = DEFAULT_TMPFS
        .iter()
        .copied()
        .filter(|default| !contradicted(default));
    let mut merged: Vec<&str> = kept.collect();
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for option in given {
        let key = option.split('=').next().unwrap_or(option);
        // Of two values for one key the last one counts.
        if let Some(index) = last.get(key) {
            merged[*index] = option;
            continue;
        }
        last.insert(key, merged.len());
        merged.push(option);
    }
    merged
}

/// The root's propagation: shared or slave as soon as a mount wants to spread.
pub(super) fn root_propagation(record: &ContainerRecord) -> Option<String> {
    let wants = |suffix: &str| {
        record
            .mounts
            .iter()
            .any(|point| point.propagation.ends_with(suffix))
    };
    if wants("shared") {
        return Some("shared".into());
    }
    wants("slave").then(|| "slave".into())
}

/// With a read-only root, everything that is neither the kernel's nor the user's is read-only too.
fn make_readonly(list: &mut [Mount], user_targets: &[PathBuf]) {
    const WRITABLE: &[&str] = &["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];
    for mount in list {
        let target = mount.destination();
        if WRITABLE.iter().any(|path| target.as_os_str() == *path) || user_targets.contains(target)
        {
            continue;
        }
        let mut options = mount.options().clone().unwrap_or_default();
        options.retain(|option| !matches!(option.as_str(), "rw" | "ro" | "rro"));
        options.push("ro".into());
        mount.set_options(Some(options));
    }
}

fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(target.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.into()))
        .set_options(Some(
            options.iter().map(|option| (*option).to_owned()).collect(),
        ));
    mount
}

fn bind(target: &str, source: PathBuf, options: &[&str]) -> Mount {
    debug_assert!(
        options
            .iter()
            .filter(|option| PROPAGATIONS.contains(option))
            .count()
            <= 1
    );
    let mut mount = mount(target, "bind", "", options);
    mount.set_source(Some(source));
    mount
}
