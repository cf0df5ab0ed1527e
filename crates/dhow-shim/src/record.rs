//! What a shim leaves on disk: how its container ended, and how its execs did.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;

/// How a container's init ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The exit code; 128 + the signal's number when a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The kernel killed a process of the container for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// When.
    pub finished_at: Timestamp,
}

/// How an exec ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRecord {
    /// The exec's id.
    pub id: String,
    /// The exit code; 128 + the signal's number when a signal ended it.
    pub code: i32,
    /// When.
    pub finished_at: Timestamp,
}

/// The exit record in a shim's state folder; `None` when the container has not ended (or its shim was killed).
///
/// # Errors
/// When the file is there and can't be read.
pub fn exit_record(state_dir: &Path) -> Result<Option<ExitRecord>, Error> {
    todo!("{state_dir:?}")
}

/// The records of the execs that ended, oldest first (the newest few hundred of them).
///
/// # Errors
/// When the file is there and can't be read.
pub fn exec_records(state_dir: &Path) -> Result<Vec<ExecRecord>, Error> {
    todo!("{state_dir:?}")
}
