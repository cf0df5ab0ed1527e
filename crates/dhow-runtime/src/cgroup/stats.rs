//! What the processes of a control group use.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Cgroup, Version, files};

/// What the processes of a control group use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Processes and threads now.
    pub pids: u64,
    /// The most there may be.
    pub pids_limit: Option<u64>,
    /// Bytes and operations on block devices.
    pub io: Vec<IoStats>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    /// All of it.
    pub total: u64,
    /// In programs.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
    /// By processor, where the kernel counts so (v1).
    pub per_cpu: Vec<u64>,
    /// Periods with a quota.
    pub periods: u64,
    /// Periods in which the quota ran out.
    pub throttled_periods: u64,
    /// Time waited for want of quota.
    pub throttled_time: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// Used now, page cache included.
    pub usage: u64,
    /// The most that was used.
    pub max_usage: Option<u64>,
    /// The limit.
    pub limit: Option<u64>,
    /// Times the limit was hit (v1), or times it led to being out of memory (v2, which counts the others as normal).
    pub failures: u64,
    /// Out-of-memory kills.
    pub oom_kills: u64,
    /// The lines of `memory.stat`.
    pub details: BTreeMap<String, u64>,
}

/// One line of block device figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoStats {
    /// The device's major number.
    pub major: u32,
    /// The device's minor number.
    pub minor: u32,
    /// In the kernel's words: `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total` of v1, `read`, `write`, `discard` of v2.
    pub operation: String,
    /// Bytes.
    pub bytes: u64,
    /// Operations.
    pub operations: u64,
}

/// Reads the figures; a controller that is not there leaves zeros.
pub(super) fn read(cgroup: &Cgroup) -> Stats {
    let of = |controller: &str| cgroup.directory(controller);
    match cgroup.version() {
        Version::V1 => Stats {
            cpu: cpu_v1(of("cpuacct"), of("cpu")),
            memory: of("memory").map(memory_v1).unwrap_or_default(),
            pids: of("pids")
                .and_then(|path| files::number(path, "pids.current"))
                .unwrap_or(0),
            pids_limit: of("pids").and_then(|path| files::number(path, "pids.max")),
            io: of("blkio").map(io_v1).unwrap_or_default(),
        },
        Version::V2 => of("").map(unified).unwrap_or_default(),
    }
}

fn cpu_v1(accounting: Option<&Path>, scheduling: Option<&Path>) -> CpuStats {
    let mut stats = CpuStats::default();
    if let Some(path) = accounting {
        // The kernel counts these two in hundredths of a second.
        let ticks = files::table(path, "cpuacct.stat");
        let time = |name: &str| value(&ticks, name) * 10_000_000;
        stats.total = files::number(path, "cpuacct.usage").unwrap_or(0);
        stats.user = time("user");
        stats.system = time("system");
        let per_cpu = files::read(path, "cpuacct.usage_percpu").unwrap_or_default();
        stats.per_cpu = per_cpu
            .split_whitespace()
            .filter_map(|text| text.parse().ok())
            .collect();
    }
    if let Some(path) = scheduling {
        let table = files::table(path, "cpu.stat");
        stats.periods = value(&table, "nr_periods");
        stats.throttled_periods = value(&table, "nr_throttled");
        stats.throttled_time = value(&table, "throttled_time");
    }
    stats
}

fn memory_v1(path: &Path) -> MemoryStats {
    MemoryStats {
        usage: files::number(path, "memory.usage_in_bytes").unwrap_or(0),
        max_usage: files::number(path, "memory.max_usage_in_bytes"),
        limit: files::number(path, "memory.limit_in_bytes"),
        failures: files::number(path, "memory.failcnt").unwrap_or(0),
        oom_kills: value(&files::table(path, "memory.oom_control"), "oom_kill"),
        details: files::table(path, "memory.stat").into_iter().collect(),
    }
}

fn io_v1(path: &Path) -> Vec<IoStats> {
    // In the kernel's order; there are few lines.
    let mut all: Vec<IoStats> = Vec::new();
    let sources = [
        ("blkio.throttle.io_service_bytes_recursive", true),
        ("blkio.throttle.io_serviced_recursive", false),
    ];
    for (file, bytes) in sources {
        let text = files::read(path, file).unwrap_or_default();
        for (major, minor, operation, amount) in text.lines().filter_map(io_line) {
            let known = all.iter().position(|entry| {
                (entry.major, entry.minor) == (major, minor) && entry.operation == operation
            });
            let at = known.unwrap_or_else(|| {
                all.push(IoStats {
                    major,
                    minor,
                    operation: operation.to_owned(),
                    ..IoStats::default()
                });
                all.len() - 1
            });
            if bytes {
                all[at].bytes = amount
            } else {
                all[at].operations = amount
            }
        }
    }
    all
}

/// `8:0 Read 4096`; the line with the total has no device and is left out.
fn io_line(line: &str) -> Option<(u32, u32, &str, u64)> {
    let mut parts = line.split_whitespace();
    let (major, minor) = device(parts.next()?)?;
    Some((major, minor, parts.next()?, parts.next()?.parse().ok()?))
}

/// `8:0`
fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn unified(path: &Path) -> Stats {
    let cpu = files::table(path, "cpu.stat");
    let time = |name: &str| value(&cpu, name) * 1000;
    let events = files::table(path, "memory.events");
    Stats {
        cpu: CpuStats {
            total: time("usage_usec"),
            user: time("user_usec"),
            system: time("system_usec"),
            per_cpu: Vec::new(),
            periods: value(&cpu, "nr_periods"),
            throttled_periods: value(&cpu, "nr_throttled"),
            throttled_time: time("throttled_usec"),
        },
        memory: MemoryStats {
            usage: files::number(path, "memory.current").unwrap_or(0),
            max_usage: files::number(path, "memory.peak"),
            limit: files::number(path, "memory.max"),
            failures: value(&events, "oom"),
            oom_kills: value(&events, "oom_kill"),
            details: files::table(path, "memory.stat").into_iter().collect(),
        },
        pids: files::number(path, "pids.current").unwrap_or(0),
        pids_limit: files::number(path, "pids.max"),
        io: io_v2(&files::read(path, "io.stat").unwrap_or_default()),
    }
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
fn io_v2(text: &str) -> Vec<IoStats> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut parts = line.split_whitespace();
        let Some((major, minor)) = parts.next().and_then(device) else {
            continue;
        };
        let figures: Vec<(String, u64)> = parts
            .filter_map(|part| part.split_once('='))
            .filter_map(|(key, figure)| Some((key.to_owned(), figure.parse().ok()?)))
            .collect();
        for (operation, letter) in [("read", 'r'), ("write", 'w'), ("discard", 'd')] {
            all.push(IoStats {
                major,
                minor,
                operation: operation.into(),
                bytes: value(&figures, &format!("{letter}bytes")),
                operations: value(&figures, &format!("{letter}ios")),
            });
        }
    }
    all
}

fn value(table: &[(String, u64)], name: &str) -> u64 {
    table
        .iter()
        .find(|(key, _)| key == name)
        .map_or(0, |(_, value)| *value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A group of files as real kernels had them, one a line: the path, and the file's lines with bars between them.
    fn recorded(version: Version, files: &str) -> (tempfile::TempDir, Cgroup) {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = BTreeMap::new();
        for (path, text) in files.lines().filter_map(|line| line.split_once(": ")) {
            let (place, file) = path.rsplit_once('/').unwrap_or(("", path));
            let directory = folder.path().join(place);
            std::fs::create_dir_all(&directory).unwrap();
            let text = text.replace(" | ", "\n") + "\n";
            std::fs::write(directory.join(file), text).unwrap();
            paths.insert(place.to_owned(), directory);
        }
        (folder, Cgroup { version, paths })
    }

    const V1: &str = "\
cpu,cpuacct/cpuacct.usage: 3036760951
cpu,cpuacct/cpuacct.usage_percpu: 67100695 2969660256
cpu,cpuacct/cpuacct.stat: user 297 | system 6
cpu,cpuacct/cpu.stat: nr_periods 32 | nr_throttled 2 | throttled_time 655940825
memory/memory.usage_in_bytes: 22151168
memory/memory.max_usage_in_bytes: 23609344
memory/memory.limit_in_bytes: 104857600
memory/memory.failcnt: 7
memory/memory.oom_control: oom_kill_disable 0 | under_oom 0 | oom_kill 1
memory/memory.stat: cache 5 | total_inactive_file 20971520
pids/pids.current: 1
pids/pids.max: max
blkio/blkio.throttle.io_service_bytes_recursive: 254:0 Read 8192 | 254:0 Write 32768 | Total 40960
blkio/blkio.throttle.io_serviced_recursive: 254:0 Read 2 | 254:0 Write 9 | Total 11
";

    const V2: &str = "\
cpu.stat: usage_usec 3036 | user_usec 2000 | system_usec 1036 | nr_periods 3 | nr_throttled 1 | throttled_usec 9
memory.current: 4096
memory.peak: 8192
memory.max: max
memory.events: low 0 | high 0 | max 12 | oom 3 | oom_kill 2 | oom_group_kill 0
memory.stat: anon 5 | inactive_file 6
pids.current: 4
pids.max: 64
io.stat: 254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0
";

    #[test]
    fn figures_of_v1() {
        let (_folder, cgroup) = recorded(Version::V1, V1);
        let stats = cgroup.stats().unwrap();
        assert_eq!(stats.cpu.total, 3_036_760_951);
        assert_eq!(stats.cpu.per_cpu, [67_100_695, 2_969_660_256]);
        assert_eq!(
            (stats.cpu.user, stats.cpu.system),
            (2_970_000_000, 60_000_000)
        );
        assert_eq!(stats.cpu.throttled_time, 655_940_825);
        assert_eq!(stats.memory.usage, 22_151_168);
        assert_eq!(stats.memory.max_usage, Some(23_609_344));
        assert_eq!((stats.memory.failures, stats.memory.oom_kills), (7, 1));
        assert_eq!(stats.memory.details["total_inactive_file"], 20_971_520);
        assert_eq!((stats.pids, stats.pids_limit), (1, None));
        let io: Vec<_> = stats
            .io
            .iter()
            .map(|io| (io.operation.as_str(), io.bytes, io.operations))
            .collect();
        assert_eq!(io, [("Read", 8192, 2), ("Write", 32768, 9)]);
    }

    #[test]
    fn figures_of_v2() {
        let (_folder, cgroup) = recorded(Version::V2, V2);
        let stats = cgroup.stats().unwrap();
        assert_eq!(stats.cpu.total, 3_036_000);
        assert_eq!(
            (stats.cpu.user, stats.cpu.throttled_time),
            (2_000_000, 9_000)
        );
        assert!(stats.cpu.per_cpu.is_empty());
        assert_eq!((stats.memory.usage, stats.memory.limit), (4096, None));
        assert_eq!((stats.memory.failures, stats.memory.oom_kills), (3, 2));
        assert_eq!((stats.pids, stats.pids_limit), (4, Some(64)));
        assert_eq!(stats.io[1].operation, "write");
        assert_eq!((stats.io[1].bytes, stats.io[1].operations), (20, 2));
    }

    #[test]
    fn a_group_that_is_gone_has_no_figures() {
        let (folder, cgroup) = recorded(Version::V2, "cpu.stat: usage_usec 1");
        drop(folder);
        assert!(cgroup.stats().is_err());
    }
}
