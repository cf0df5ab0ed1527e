//! What operations on containers take and give.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::{ContainerRecord, Outline};
use crate::filters::Filters;
use dhow_container::spec::{Port, Protocol};

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// What was asked for and will not happen.
    pub warnings: Vec<String>,
}

/// How `stop` and `restart` go about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopOptions {
    /// The signal to begin with, as named by the user; the container's own when missing.
    pub signal: Option<String>,
    /// Seconds until SIGKILL; negative for never; the container's own when missing.
    pub timeout: Option<i64>,
}

/// How `remove` goes about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Kill it when it runs.
    pub force: bool,
    /// Remove its anonymous volumes too.
    pub volumes: bool,
    /// Remove a link (`parent/alias`) instead of the container.
    pub link: bool,
}

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run; at once when it does not.
    #[default]
    NotRunning,
    /// That it ends the next time.
    NextExit,
    /// That it is gone.
    Removed,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: i32,
    /// What went wrong besides.
    pub error: Option<String>,
}

/// Which containers to list, and how.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Not only the running ones.
    pub all: bool,
    /// At most that many, the newest ones; also those that don't run.
    pub limit: Option<usize>,
    /// Measure what they take on disk.
    pub size: bool,
    /// Which ones: `id`, `name`, `label`, `status`, `exited`, `ancestor`, `before`, `since`, `volume`, `network`,
    /// `publish`, `expose`, `health`, `is-task`, `isolation`.
    pub filters: Filters,
}

/// What a container takes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of what it wrote.
    pub rw: u64,
    /// Bytes of its whole root file system.
    pub root_fs: u64,
}

/// A container in a list.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The record in short, at the time of listing.
    pub record: Arc<Outline>,
    /// The name of its image to show: as it was given, or its id when that name means another image now.
    pub image: Arc<str>,
    /// Further names that links give it, `parent/alias`.
    pub linked_as: Vec<String>,
    /// `Up 5 minutes (healthy)`, `Exited (0) 2 days ago`, …
    pub status: String,
    /// Between two runs: when it is started again.
    pub next_start: Option<Timestamp>,
    /// Its ports.
    pub ports: Vec<SummaryPort>,
    /// What it takes on disk, when asked for.
    pub size: Option<Size>,
}

/// A port in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SummaryPort {
    /// The container's port.
    pub private: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The host's address, when published.
    pub ip: Option<IpAddr>,
    /// The host's port, when published.
    pub public: Option<u16>,
}

/// Where a container's files are; empty for one that never ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// Its `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// Its `/etc/hostname`.
    pub hostname: PathBuf,
    /// Its `/etc/hosts`.
    pub hosts: PathBuf,
    /// Its log.
    pub log: PathBuf,
}

/// A container, inspected.
#[derive(Debug, Clone)]
pub struct Details {
    /// The record.
    pub record: Arc<ContainerRecord>,
    /// Its files.
    pub paths: Paths,
    /// The network namespace's id and path while it runs; empty strings else.
    pub sandbox_id: String,
    /// See `sandbox_id`.
    pub sandbox_key: String,
    /// The ids of its execs; nothing when there are none.
    pub exec_ids: Vec<String>,
    /// Its ports while it runs.
    pub ports: Vec<(Port, Vec<super::PublishedPort>)>,
    /// Its links as `/name:/parent/alias`.
    pub links: Vec<String>,
    /// Between two runs: when it is started again.
    pub next_start: Option<Timestamp>,
    /// Its AppArmor profile, or `unconfined`; empty where there is no AppArmor.
    pub apparmor: String,
    /// The storage driver's name.
    pub driver: &'static str,
    /// What it takes on disk, when asked for.
    pub size: Option<Size>,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The ids (or names) of what was removed.
    pub removed: Vec<String>,
    /// Bytes given back.
    pub space_reclaimed: u64,
}

/// The processes of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// The columns.
    pub titles: Vec<String>,
    /// A row for each process.
    pub processes: Vec<Vec<String>>,
}

/// Which part of a log to read, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogsOptions {
    /// What was written to stdout.
    pub stdout: bool,
    /// What was written to stderr.
    pub stderr: bool,
    /// Go on until the container ends.
    pub follow: bool,
    /// Nothing older.
    pub since: Option<Timestamp>,
    /// Nothing newer.
    pub until: Option<Timestamp>,
    /// Only that many of the last lines.
    pub tail: Option<u64>,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Each line begins with its attributes.
    pub details: bool,
}
