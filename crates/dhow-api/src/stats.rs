//! What a container uses, as `GET /containers/{id}/stats` streams it.

use crate::Map;
use crate::wire::{is_blank, is_default};

wire! {"snake_case";
    /// One sample; `precpu_stats` is the sample before.
    pub struct Stats {
        pub name: String,
        pub id: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub os_type: String,
        pub read: String,
        pub preread: String,
        pub pids_stats: PidsStats,
        pub blkio_stats: BlkioStats,
        pub num_procs: u32,
        pub storage_stats: crate::Empty,
        pub cpu_stats: CpuStats,
        pub precpu_stats: CpuStats,
        pub memory_stats: MemoryStats,
        #[serde(skip_serializing_if = "is_blank")]
        pub networks: Option<Map<NetworkStats>>,
    }

    /// Processes and threads.
    pub struct PidsStats {
        #[serde(skip_serializing_if = "is_default")]
        pub current: u64,
        #[serde(skip_serializing_if = "is_default")]
        pub limit: u64,
    }

    /// Block devices; lists that v2 does not fill are null.
    pub struct BlkioStats {
        pub io_service_bytes_recursive: Option<Vec<BlkioEntry>>,
        pub io_serviced_recursive: Option<Vec<BlkioEntry>>,
        pub io_queue_recursive: Option<Vec<BlkioEntry>>,
        pub io_service_time_recursive: Option<Vec<BlkioEntry>>,
        pub io_wait_time_recursive: Option<Vec<BlkioEntry>>,
        pub io_merged_recursive: Option<Vec<BlkioEntry>>,
        pub io_time_recursive: Option<Vec<BlkioEntry>>,
        pub sectors_recursive: Option<Vec<BlkioEntry>>,
    }

    /// One counter of one device.
    pub struct BlkioEntry {
        pub major: u64,
        pub minor: u64,
        pub op: String,
        pub value: u64,
    }

    /// Processor time.
    pub struct CpuStats {
        pub cpu_usage: CpuUsage,
        #[serde(skip_serializing_if = "is_default")]
        pub system_cpu_usage: u64,
        #[serde(skip_serializing_if = "is_default")]
        pub online_cpus: u32,
        pub throttling_data: ThrottlingData,
    }

    /// Processor time in nanoseconds.
    pub struct CpuUsage {
        pub total_usage: u64,
        #[serde(skip_serializing_if = "is_blank")]
        pub percpu_usage: Option<Vec<u64>>,
        pub usage_in_kernelmode: u64,
        pub usage_in_usermode: u64,
    }

    /// How often the quota ran out.
    pub struct ThrottlingData {
        pub periods: u64,
        pub throttled_periods: u64,
        pub throttled_time: u64,
    }

    /// Memory in bytes.
    pub struct MemoryStats {
        #[serde(skip_serializing_if = "is_default")]
        pub usage: u64,
        #[serde(skip_serializing_if = "is_default")]
        pub max_usage: u64,
        #[serde(skip_serializing_if = "is_blank")]
        pub stats: Option<Map<u64>>,
        #[serde(skip_serializing_if = "is_default")]
        pub failcnt: u64,
        #[serde(skip_serializing_if = "is_default")]
        pub limit: u64,
    }

    /// Counters of one interface.
    pub struct NetworkStats {
        pub rx_bytes: u64,
        pub rx_packets: u64,
        pub rx_errors: u64,
        pub rx_dropped: u64,
        pub tx_bytes: u64,
        pub tx_packets: u64,
        pub tx_errors: u64,
        pub tx_dropped: u64,
    }
}
