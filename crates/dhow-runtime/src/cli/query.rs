//! `state`, `list`, `ps`, `features`, `spec`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Failed, print, print_json};
use crate::builtin::{Folder, Record};
use crate::{Builtin, Runtime};

#[derive(Debug, Args)]
pub(super) struct List {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The container's id
    id: String,
    /// Options for the ps program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Spec {
    /// Folder of the bundle
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// The state as runc prints it.
fn full_state(record: &Record, folder: &Folder) -> Value {
    let state = folder.state(record);
    let created = i64::try_from(record.created)
        .ok()
        .and_then(|at| jiff::Timestamp::from_second(at).ok());
    json!({
        "ociVersion": state.oci_version,
        "id": state.id,
        "pid": state.pid,
        "status": state.status,
        "bundle": state.bundle,
        "rootfs": record.rootfs,
        "created": created.map(|at| at.to_string()),
        "annotations": state.annotations,
        "owner": "root",
    })
}

pub(super) fn state(runtime: &Builtin, id: &str) -> Result<(), Failed> {
    let record = runtime.record(id)?;
    print_json(&full_state(&record, &runtime.folder(id)?))
}

impl List {
    pub(super) fn run(&self, runtime: &Builtin, root: &Path) -> Result<(), Failed> {
        let mut ids: Vec<String> = std::fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        ids.sort();
        let mut states = Vec::new();
        for id in &ids {
            // One that is just being made or deleted is not listed.
            if let (Ok(record), Ok(folder)) = (runtime.record(id), runtime.folder(id)) {
                states.push(full_state(&record, &folder));
            }
        }
        if self.quiet {
            let text = |state: &Value| format!("{}\n", state["id"].as_str().unwrap_or_default());
            return print(&states.iter().map(text).collect::<String>());
        }
        if self.format == Format::Json {
            return print(&format!("{}\n", serde_json::to_string(&states)?));
        }
        print(&table(&states))
    }
}

fn table(states: &[Value]) -> String {
    const TITLES: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
    const KEYS: [&str; 6] = ["id", "pid", "status", "bundle", "created", "owner"];
    let cell = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(states.iter().map(|state| KEYS.map(|key| cell(&state[key]))));
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].len())
            .max()
            .unwrap_or(0)
            .max(11)
            + 1
    };
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(text, width)| format!("{text:<width$}"));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}

impl Ps {
    pub(super) fn run(&self, runtime: &Builtin) -> Result<(), Failed> {
        let pids = runtime.pids(&self.id)?;
        if self.format == Format::Json {
            return print(&format!("{}\n", serde_json::to_string(&pids)?));
        }
        let options = if self.options.is_empty() {
            vec!["-ef".to_owned()]
        } else {
            self.options.clone()
        };
        let output = std::process::Command::new("ps").args(&options).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr)
                .trim()
                .to_owned()
                .into());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines();
        let title = lines.next().unwrap_or_default();
        let column = title
            .split_whitespace()
            .position(|name| name == "PID")
            .ok_or("couldn't find PID field in ps output")?;
        let ours = |line: &&str| {
            let pid = line
                .split_whitespace()
                .nth(column)
                .and_then(|text| text.parse().ok());
            pid.is_some_and(|pid: i32| pids.contains(&pid))
        };
        let chosen: String = lines.filter(ours).map(|line| format!("{line}\n")).collect();
        print(&format!("{title}\n{chosen}"))
    }
}

pub(super) fn features() -> Result<(), Failed> {
    let capabilities: Vec<String> = (0..=40)
        .filter_map(crate::process::capabilities::named)
        .map(|capability| format!("CAP_{capability}"))
        .collect();
    print_json(&json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": crate::builtin::OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": crate::rootfs::options::NAMES,
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": capabilities,
            "cgroup": {"v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": true},
            "seccomp": {
                "enabled": true,
                "actions": [
                    "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
                ],
                "operators": [
                    "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                    "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
                ],
                "archs": [
                    "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64",
                ],
            },
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": false}},
        },
    }))
}

impl Spec {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let path = self.bundle.join("config.json");
        if path.exists() {
            return Err(format!("File {} exists. Remove it first", path.display()).into());
        }
        let text = serde_json::to_string_pretty(&example())?;
        std::fs::write(&path, format!("{text}\n"))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(())
    }
}

fn example() -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    json!({
        "ociVersion": crate::builtin::OCI_VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "dhow",
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}, {"type": "cgroup"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
