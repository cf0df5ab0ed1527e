//! Control groups: v1 (hybrid included) and v2 behind one type.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_errdefs::{Classify, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::spec::LinuxResources;

/// Which hierarchy controls processes on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// One tree a controller, beside a v2 tree without controllers perhaps (hybrid).
    V1,
    /// One tree.
    V2,
}

/// The version of this machine.
#[must_use]
pub fn version() -> Version {
    todo!()
}

/// The v1 controllers mounted, or the v2 controllers there are (`cpu`, `memory`, `pids`, ...).
#[must_use]
pub fn controllers() -> Vec<String> {
    todo!()
}

/// What went wrong with a control group.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that can't be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read`, `write "…" to`, `create`, `remove`.
        action: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A limit for a controller that is not there.
    #[error("the {0} controller is not available here")]
    NoController(String),
    /// A value the kernel has no form for.
    #[error("{0}")]
    Invalid(String),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            _ => ErrorKind::System,
        }
    }
}

/// The control group of a container: one directory on v2, one a controller on v1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    version: Version,
    /// The directory of each controller; on v2 the one directory under the empty name.
    paths: BTreeMap<String, PathBuf>,
}

impl Cgroup {
    /// The control group `path` of the spec (`/docker/<id>`, or systemd's `slice:prefix:name`), made where it is not there.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let _ = path;
        todo!()
    }

    /// The control group of the process `pid`.
    ///
    /// # Errors
    /// Where the process is not there.
    pub fn of(pid: i32) -> Result<Self, Error> {
        let _ = pid;
        todo!()
    }

    /// Which version it is of.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The directory of a v1 controller, or the one of v2.
    #[must_use]
    pub fn directory(&self, controller: &str) -> Option<&Path> {
        self.paths
            .get(controller)
            .or_else(|| self.paths.get(""))
            .map(PathBuf::as_path)
    }

    /// Sets the limits that are given; gives warnings for what this machine lacks.
    ///
    /// # Errors
    /// Where the kernel refuses a value.
    pub fn set(&self, resources: &LinuxResources) -> Result<Vec<String>, Error> {
        let _ = resources;
        todo!()
    }

    /// The processes in it and below it.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn pids(&self) -> Result<Vec<i32>, Error> {
        todo!()
    }

    /// Freezes (or thaws) its processes, and returns when they are.
    ///
    /// # Errors
    /// Where it can't be done.
    pub fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let _ = frozen;
        todo!()
    }

    /// Whether it is frozen.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn is_frozen(&self) -> Result<bool, Error> {
        todo!()
    }

    /// Sends `signal` to every process in it and below it; for SIGKILL none escapes by forking.
    ///
    /// # Errors
    /// Where it can't be done.
    pub fn kill(&self, signal: i32) -> Result<(), Error> {
        let _ = signal;
        todo!()
    }

    /// What its processes use.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn stats(&self) -> Result<Stats, Error> {
        todo!()
    }

    /// How many processes the kernel has killed in it for want of memory; 0 where nothing counts them.
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        todo!()
    }

    /// Watches for out-of-memory kills.
    ///
    /// # Errors
    /// Where the memory controller is not there.
    pub fn watch_oom(&self) -> Result<OomWatch, Error> {
        todo!()
    }

    /// Removes it with everything below it; nothing is done where it is gone.
    ///
    /// # Errors
    /// Where processes are still in it.
    pub fn remove(&self) -> Result<(), Error> {
        todo!()
    }
}

/// Tells of out-of-memory kills: its descriptor becomes readable; then ask [`Cgroup::oom_kills`].
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
}

impl OomWatch {
    /// The descriptor to poll for reading.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.fd.as_fd()
    }

    /// Takes what is pending, so that the descriptor is not readable any more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn drain(&self) -> io::Result<()> {
        todo!()
    }
}

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
    /// Times the limit was hit.
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
    /// `read`, `write`, `sync`, `async`, `discard`, `total`.
    pub operation: String,
    /// Bytes.
    pub bytes: u64,
    /// Operations.
    pub operations: u64,
}
