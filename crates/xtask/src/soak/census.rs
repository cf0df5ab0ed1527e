//! What an engine has of everything that could leak.

use std::fmt;
use std::fs;
use std::path::Path;

use dhow_testkit::Engine;

/// Counts at one moment.
#[derive(Debug, Clone)]
pub(super) struct Census {
    /// The daemon's open descriptors.
    descriptors: usize,
    /// Its resident memory, in KiB.
    memory: u64,
    /// Its threads.
    threads: usize,
    /// Mounts in the host's namespace that name the engine's root.
    mounts: usize,
    /// Interfaces in the engine's network namespace.
    interfaces: usize,
    /// Control groups of the engine's.
    cgroups: usize,
    /// Folders of containers below the data root and the run folder.
    containers: usize,
    /// Folders of layers.
    layers: usize,
    /// Processes whose command line names the engine's root.
    processes: usize,
}

impl Census {
    pub(super) fn take(engine: &Engine) -> Self {
        let pid = engine.pid();
        let process = Path::new("/proc").join(pid.to_string());
        let root = engine.root().display().to_string();
        let run = engine.root().join("run");
        let interfaces = engine.on_its_network(|| {
            let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
            table.lines().skip(2).count()
        });
        Self {
            descriptors: entries(&process.join("fd")),
            memory: resident(&process),
            threads: entries(&process.join("task")),
            mounts: mounts(&root),
            interfaces,
            cgroups: engine.instance().map_or(0, |name| cgroups(&name)),
            containers: entries(&engine.data_root().join("containers"))
                + entries(&run.join("containers")),
            layers: entries(&engine.data_root().join("layers")),
            processes: processes(&root),
        }
    }

    /// What is more in `after` than here, in words.
    pub(super) fn worse(&self, after: &Self) -> Vec<String> {
        let rows = [
            ("mounts", self.mounts, after.mounts, 0),
            ("interfaces", self.interfaces, after.interfaces, 0),
            ("control groups", self.cgroups, after.cgroups, 0),
            ("container folders", self.containers, after.containers, 0),
            ("layer folders", self.layers, after.layers, 0),
            ("processes", self.processes, after.processes, 0),
            // Connections that clients have not yet closed.
            ("descriptors", self.descriptors, after.descriptors, 8),
            // Threads for what blocks wait ten seconds for more to do.
            ("threads", self.threads, after.threads, 64),
        ];
        rows.iter()
            .filter(|(_, before, after, slack)| *after > before + slack)
            .map(|(what, before, after, _)| format!("{what}: {before} before, {after} after"))
            .collect()
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} fds, {} KiB, {} threads, {} mounts, {} interfaces, {} cgroups, {} container folders, {} layer folders, {} processes",
            self.descriptors,
            self.memory,
            self.threads,
            self.mounts,
            self.interfaces,
            self.cgroups,
            self.containers,
            self.layers,
            self.processes
        )
    }
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn resident(process: &Path) -> u64 {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}

fn pids() -> impl Iterator<Item = String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn mounts(root: &str) -> usize {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter(|line| line.contains(root)).count()
}

fn processes(root: &str) -> usize {
    pids()
        .filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(root))
        .count()
}

/// The control groups below those of the instance.
fn cgroups(instance: &str) -> usize {
    let hierarchies = fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten();
    hierarchies
        .map(|hierarchy| hierarchy.path().join(instance))
        .flat_map(|group| fs::read_dir(group).into_iter().flatten().flatten())
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .count()
}
