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
    let (major, minor) = parts.next()?.split_once(':')?;
    let operation = parts.next()?;
    Some((
        major.parse().ok()?,
        minor.parse().ok()?,
        operation,
        parts.next()?.parse().ok()?,
    ))
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
        let Some((major, minor)) = parts.next().and_then(|device| device.split_once(':')) else {
            continue;
        };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else {
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
    use super::*;

    #[test]
    fn io_lines_of_both_versions_are_understood() {
        assert_eq!(io_line("8:16 Read 4096"), Some((8, 16, "Read", 4096)));
        assert_eq!(io_line("Total 4096"), None);
        let lines = io_v2("254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n");
        assert_eq!(
            (
                lines[1].operation.as_str(),
                lines[1].bytes,
                lines[1].operations
            ),
            ("write", 20, 2)
        );
    }
}
