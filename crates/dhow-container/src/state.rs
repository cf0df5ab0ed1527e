//! What a container is doing.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Health;
use crate::spec::Invalid;

/// A container's phase, by Docker's words.
///
/// ```text
/// created ──start──▶ running ◀──unpause/pause──▶ paused
///                       │ exit
///                       ├──────▶ restarting ──▶ running
///                       └──────▶ exited ──remove──▶ removing ──▶ (gone, or dead when that failed)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Made, never (successfully) started.
    #[default]
    Created,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Its program ended and will be started again.
    Restarting,
    /// It is being removed.
    Removing,
    /// Its program ended.
    Exited,
    /// Its removal failed half-way.
    Dead,
}

impl Status {
    /// Every status, in the order Docker lists them.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Running,
        Self::Paused,
        Self::Restarting,
        Self::Removing,
        Self::Exited,
        Self::Dead,
    ];

    /// Docker's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether Docker counts it as running: also while paused and between restarts.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// Whether there is a process now.
    #[must_use]
    pub const fn has_process(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| {
                Invalid::new(format!(
                    "invalid value for state ({text}): must be one of created, running, paused, \
                 restarting, removing, exited, dead"
                ))
            })
    }
}

/// A container's phase and what came with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The phase.
    pub status: Status,
    /// The host's process id of its init; 0 when there is none.
    pub pid: u32,
    /// The last exit code.
    pub exit_code: i32,
    /// Why the last start failed; empty when it did not.
    pub error: String,
    /// A process of the last run was killed for want of memory.
    pub oom_killed: bool,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub finished_at: Option<Timestamp>,
    /// Its health, if it has a check.
    pub health: Option<Health>,
}
