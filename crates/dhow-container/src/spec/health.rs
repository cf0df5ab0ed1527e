//! How a container's health is asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A health check as a container or its image declares it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", argv..]` or `["CMD-SHELL", line]`; empty inherits the image's.
    pub test: Vec<String>,
    /// From the end of one probe to the start of the next; zero means 30 s.
    pub interval: Duration,
    /// How long a probe may take; zero means 30 s.
    pub timeout: Duration,
    /// Failures in a row until the container is unhealthy; zero means 3.
    pub retries: u32,
    /// How long failures don't count after the start.
    pub start_period: Duration,
    /// The interval during the start period; zero means 5 s.
    pub start_interval: Duration,
}

impl Healthcheck {
    /// Whether there is anything to run.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(
            self.test.first().map(String::as_str),
            Some("CMD" | "CMD-SHELL")
        )
    }
}
