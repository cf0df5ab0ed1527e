//! What clients and shims say to each other.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::ExitRecord;

/// What a subscriber is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum ShimEvent {
    /// The container's init runs (also said first to one who subscribes later).
    Started,
    /// The container ended; the record is on disk, the runtime has forgotten the container. The last event.
    Exited(ExitRecord),
    /// An exec ended; the record is on disk and all its output was sent or is on its way.
    ExecExited {
        /// The exec's id.
        id: String,
        /// Its exit code.
        code: i32,
    },
    /// The kernel killed a process of the container for want of memory.
    OomKilled,
    /// A newer shim said something this program does not know.
    #[serde(other)]
    Unknown,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShimStatus {
    /// Made, its init waits for the start.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Ended.
    Stopped,
}

/// What a shim knows of its container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimState {
    /// The container's id.
    pub id: String,
    /// What it is doing.
    pub status: ShimStatus,
    /// The process id of its init.
    pub pid: u32,
    /// The shim's own process id.
    pub shim_pid: u32,
    /// When it was started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default)]
    pub exit: Option<ExitRecord>,
    /// The running execs.
    #[serde(default)]
    pub execs: Vec<ExecState>,
    /// Chunks of output that could not be stored in the log.
    #[serde(default)]
    pub log_failures: u64,
}

/// What a shim knows of an exec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecState {
    /// The exec's id.
    pub id: String,
    /// Its process id.
    pub pid: u32,
    /// Its exit code, once it ended.
    #[serde(default)]
    pub exit_code: Option<i32>,
}
