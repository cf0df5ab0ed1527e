//! What containers use, with the fields that Docker fills for each version of control groups.

use dhow_api::{Map, ZERO_TIME, stats as wire};
use dhow_engine::stats::{CgroupVersion, IoStats, Sample, Stats, Traffic, Usage};

use super::time;

/// The lines of `memory.stat` that Docker shows on v1; each comes with `total_` before it as well.
const MEMORY_V1: [&str; 15] = [
    "active_anon",
    "active_file",
    "cache",
    "dirty",
    "inactive_anon",
    "inactive_file",
    "mapped_file",
    "pgfault",
    "pgmajfault",
    "pgpgin",
    "pgpgout",
    "rss",
    "rss_huge",
    "unevictable",
    "writeback",
];

/// Further lines of v1.
const LIMITS_V1: [&str; 2] = ["hierarchical_memory_limit", "hierarchical_memsw_limit"];

/// The lines of `memory.stat` that Docker shows on v2.
const MEMORY_V2: [&str; 31] = [
    "active_anon",
    "active_file",
    "anon",
    "anon_thp",
    "file",
    "file_dirty",
    "file_mapped",
    "file_writeback",
    "inactive_anon",
    "inactive_file",
    "kernel_stack",
    "pgactivate",
    "pgdeactivate",
    "pgfault",
    "pglazyfree",
    "pglazyfreed",
    "pgmajfault",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "shmem",
    "slab",
    "slab_reclaimable",
    "slab_unreclaimable",
    "sock",
    "thp_collapse_alloc",
    "thp_fault_alloc",
    "unevictable",
    "workingset_activate",
    "workingset_nodereclaim",
    "workingset_refault",
];

/// A sample beside the one before, as `GET /containers/{id}/stats` shows it.
pub(crate) fn stats(stats: &Stats) -> wire::Stats {
    let read = |sample: Option<&Sample>| {
        sample.map_or_else(|| ZERO_TIME.to_owned(), |s| time::rfc3339(s.read))
    };
    let (now, before) = (stats.now.as_deref(), stats.before.as_deref());
    wire::Stats {
        name: format!("/{}", stats.name),
        id: stats.id.clone(),
        os_type: "linux".to_owned(),
        read: read(now),
        preread: read(before),
        pids_stats: now.map(pids).unwrap_or_default(),
        blkio_stats: now.map(blocks).unwrap_or_default(),
        cpu_stats: now.map(processors).unwrap_or_default(),
        precpu_stats: before.map(processors).unwrap_or_default(),
        memory_stats: now.map(memory).unwrap_or_default(),
        networks: now.map(networks),
        ..wire::Stats::default()
    }
}

fn pids(sample: &Sample) -> wire::PidsStats {
    wire::PidsStats {
        current: sample.usage.pids,
        limit: sample.usage.pids_limit.unwrap_or(0),
    }
}

fn blocks(sample: &Sample) -> wire::BlkioStats {
    let entries = |value: fn(&IoStats) -> u64| -> Vec<wire::BlkioEntry> {
        let entry = |io: &IoStats| wire::BlkioEntry {
            major: io.major.into(),
            minor: io.minor.into(),
            op: io.operation.clone(),
            value: value(io),
        };
        sample.usage.io.iter().map(entry).collect()
    };
    match sample.version {
        CgroupVersion::V1 => wire::BlkioStats {
            io_service_bytes_recursive: Some(entries(|io| io.bytes)),
            io_serviced_recursive: Some(entries(|io| io.operations)),
            // Schedulers that the kernel no longer has filled the others.
            io_queue_recursive: Some(Vec::new()),
            io_service_time_recursive: Some(Vec::new()),
            io_wait_time_recursive: Some(Vec::new()),
            io_merged_recursive: Some(Vec::new()),
            io_time_recursive: Some(Vec::new()),
            sectors_recursive: Some(Vec::new()),
        },
        CgroupVersion::V2 => {
            let mut bytes = entries(|io| io.bytes);
            bytes.retain(|entry| entry.op == "read" || entry.op == "write");
            wire::BlkioStats {
                io_service_bytes_recursive: (!bytes.is_empty()).then_some(bytes),
                ..wire::BlkioStats::default()
            }
        }
    }
}

fn processors(sample: &Sample) -> wire::CpuStats {
    let cpu = &sample.usage.cpu;
    wire::CpuStats {
        cpu_usage: wire::CpuUsage {
            total_usage: cpu.total,
            percpu_usage: (!cpu.per_cpu.is_empty()).then(|| cpu.per_cpu.clone()),
            usage_in_kernelmode: cpu.system,
            usage_in_usermode: cpu.user,
        },
        system_cpu_usage: sample.machine.time,
        online_cpus: sample.machine.online,
        throttling_data: wire::ThrottlingData {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_time,
        },
    }
}

fn memory(sample: &Sample) -> wire::MemoryStats {
    let memory = &sample.usage.memory;
    let v1 = sample.version == CgroupVersion::V1;
    wire::MemoryStats {
        usage: memory.usage,
        max_usage: memory.max_usage.filter(|_| v1).unwrap_or(0),
        stats: Some(if v1 {
            details_v1(&sample.usage)
        } else {
            details_v2(&sample.usage)
        }),
        failcnt: memory.failures,
        limit: memory.limit.unwrap_or(0),
    }
}

fn details_v1(usage: &Usage) -> Map<u64> {
    let lines = &usage.memory.details;
    let value = |name: &str| lines.get(name).copied().unwrap_or(0);
    let plain = MEMORY_V1.iter().chain(&LIMITS_V1);
    let plain = plain.map(|name| ((*name).to_owned(), value(name)));
    let total = MEMORY_V1.iter().map(|name| format!("total_{name}"));
    let total = total.map(|name| {
        let value = value(&name);
        (name, value)
    });
    plain.chain(total).collect()
}

fn details_v2(usage: &Usage) -> Map<u64> {
    let lines = &usage.memory.details;
    let value = |name: &str| lines.get(name).copied().unwrap_or(0);
    let mut details: Map<u64> = MEMORY_V2
        .iter()
        .map(|name| ((*name).to_owned(), value(name)))
        .collect();
    // Newer kernels count the two kinds apart.
    if let Some(sum) = details.get_mut("workingset_refault")
        && *sum == 0
    {
        *sum = value("workingset_refault_anon") + value("workingset_refault_file");
    }
    details
}

fn networks(sample: &Sample) -> Map<wire::NetworkStats> {
    let one = |(name, traffic): (&String, &Traffic)| {
        let counters = wire::NetworkStats {
            rx_bytes: traffic.rx_bytes,
            rx_packets: traffic.rx_packets,
            rx_errors: traffic.rx_errors,
            rx_dropped: traffic.rx_dropped,
            tx_bytes: traffic.tx_bytes,
            tx_packets: traffic.tx_packets,
            tx_errors: traffic.tx_errors,
            tx_dropped: traffic.tx_dropped,
        };
        (name.clone(), counters)
    };
    sample.networks.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use dhow_engine::stats::{MemoryStats, Processors};
    use serde_json::{Value, json};

    use super::*;

    fn sample(version: CgroupVersion, operation: &str) -> Sample {
        let details = [
            ("inactive_file", 5),
            ("total_inactive_file", 6),
            ("swap", 7),
            ("workingset_refault_file", 8),
        ];
        Sample {
            read: "2026-11-21T01:52:07Z".parse().unwrap(),
            version,
            usage: Usage {
                memory: MemoryStats {
                    usage: 100,
                    max_usage: Some(200),
                    limit: Some(1000),
                    details: details.map(|(key, value)| (key.to_owned(), value)).into(),
                    ..MemoryStats::default()
                },
                pids: 3,
                io: vec![IoStats {
                    major: 254,
                    operation: operation.to_owned(),
                    bytes: 10,
                    operations: 2,
                    ..IoStats::default()
                }],
                ..Usage::default()
            },
            networks: [("eth0".to_owned(), Traffic::default())].into(),
            machine: Processors {
                time: 1_000,
                online: 2,
            },
        }
    }

    fn shown(now: Option<Sample>, before: Option<Sample>) -> Value {
        let stats = stats(&Stats {
            id: "c0ffee".to_owned(),
            name: "web".to_owned(),
            now: now.map(Arc::new),
            before: before.map(Arc::new),
        });
        serde_json::to_value(stats).unwrap()
    }

    #[test]
    fn a_container_that_does_not_run_has_empty_figures() {
        let view = shown(None, None);
        assert_eq!(view["name"], "/web");
        assert_eq!(view["read"], ZERO_TIME);
        assert_eq!(view["memory_stats"], json!({}));
        assert_eq!(view["pids_stats"], json!({}));
        assert_eq!(
            view["blkio_stats"]["io_service_bytes_recursive"],
            Value::Null
        );
        assert!(view["cpu_stats"].get("system_cpu_usage").is_none());
        assert!(view.get("networks").is_none());
    }

    #[test]
    fn v1_has_the_lists_and_the_totals() {
        let view = shown(Some(sample(CgroupVersion::V1, "Read")), None);
        let lists = &view["blkio_stats"];
        let entry = |value: u64| json!([{"major": 254, "minor": 0, "op": "Read", "value": value}]);
        assert_eq!(lists["io_service_bytes_recursive"], entry(10));
        assert_eq!(lists["io_serviced_recursive"], entry(2));
        assert_eq!(lists["sectors_recursive"], json!([]));
        let memory = &view["memory_stats"];
        assert_eq!(memory["max_usage"], 200);
        assert_eq!(memory["stats"]["total_inactive_file"], 6);
        assert_eq!(memory["stats"].as_object().unwrap().len(), 32);
        assert_eq!(view["pids_stats"], json!({"current": 3}));
        assert_eq!(view["precpu_stats"]["cpu_usage"]["total_usage"], 0);
        assert_eq!(view["networks"]["eth0"]["rx_bytes"], 0);
    }

    #[test]
    fn v2_has_bytes_only_and_no_maximum() {
        let before = sample(CgroupVersion::V2, "write");
        let view = shown(Some(sample(CgroupVersion::V2, "write")), Some(before));
        let lists = &view["blkio_stats"];
        assert_eq!(lists["io_service_bytes_recursive"][0]["op"], "write");
        assert_eq!(lists["io_serviced_recursive"], Value::Null);
        let memory = &view["memory_stats"];
        assert!(memory.get("max_usage").is_none());
        assert_eq!(memory["stats"]["inactive_file"], 5);
        assert_eq!(memory["stats"]["workingset_refault"], 8);
        assert!(memory["stats"].get("swap").is_none());
        assert_eq!(view["precpu_stats"]["system_cpu_usage"], 1000);
        let other = shown(Some(sample(CgroupVersion::V2, "discard")), None);
        assert_eq!(
            other["blkio_stats"]["io_service_bytes_recursive"],
            Value::Null
        );
    }
}
