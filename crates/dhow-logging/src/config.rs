//! Which driver, where, and with which options.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The drivers there are.
pub const DRIVERS: &[&str] = &["json-file", "none"];

/// Which of a container's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, and all output of a container with a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name in a log file: `stdout` or `stderr`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// The first byte of a frame's header: 1 or 2.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

/// A container's log: its driver and where that keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// `json-file` or `none`; empty means `json-file`.
    pub driver: String,
    /// The log file (`<data-root>/containers/<id>/<id>-json.log`); unused by `none`.
    pub path: PathBuf,
    /// The options, as in Docker: `max-size`, `max-file`, ...
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Extra attributes of every entry (`attrs` in the file), made by [`attributes`].
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// Checks a driver's name and options, with Docker's texts.
///
/// # Errors
/// [`Error::UnknownDriver`], [`Error::UnknownOption`], [`Error::BadValue`], or [`Error::Unsupported`] for what Docker
/// has and Dhow has not yet.
pub fn validate(driver: &str, options: &BTreeMap<String, String>) -> Result<(), Error> {
    todo!("{driver} {options:?}")
}

/// The extra attributes which the options `labels`, `labels-regex`, `env`, `env-regex` and `tag` select.
///
/// `env` is the container's environment as `KEY=value`.
#[must_use]
pub fn attributes(
    options: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    env: &[String],
) -> BTreeMap<String, String> {
    todo!("{options:?} {labels:?} {env:?}")
}
