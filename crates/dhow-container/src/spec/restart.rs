//! What happens when a container's program ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::mode::as_string;

/// The policy's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartName {
    /// The container stays ended.
    #[default]
    No,
    /// It is started again, also when the engine starts.
    Always,
    /// Like always, but not when the user had stopped it before the engine ended.
    UnlessStopped,
    /// It is started again after a failure.
    OnFailure,
    /// As on failure, and it is stopped and started again when its health check says that it is unhealthy. Dhow's own.
    OnUnhealthy,
}

impl FromStr for RestartName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "" | "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => Self::OnFailure,
            "on-unhealthy" => Self::OnUnhealthy,
            _ => {
                return Err(Invalid::new(format!(
                    "invalid restart policy: unknown policy '{text}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
                )));
            }
        })
    }
}

impl fmt::Display for RestartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
            Self::OnFailure => "on-failure",
            Self::OnUnhealthy => "on-unhealthy",
        })
    }
}

as_string!(RestartName);

/// What happens when a container's program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// The policy.
    pub name: RestartName,
    /// How often `on-failure` and `on-unhealthy` try; zero for ever.
    pub maximum_retry_count: u32,
}
