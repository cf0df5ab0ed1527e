//! The part of a container that does not depend on the host.

use std::collections::{BTreeMap, BTreeSet};

use dhow_oci::Platform;
use serde::{Deserialize, Serialize};

use super::{EndpointSettings, Healthcheck, HostConfig, Port, Signal};

/// Everything `POST /containers/create` says.
#[derive(Debug, Clone, Default)]
pub struct CreateContainer {
    /// The wanted name, with or without the leading slash; generated when missing.
    pub name: Option<String>,
    /// Which variant of a multi-platform image to take.
    pub platform: Option<Platform>,
    /// The portable part.
    pub config: ContainerConfig,
    /// The part about this host.
    pub host: HostConfig,
    /// Wishes for the endpoints, by network name or id.
    pub networking: BTreeMap<String, EndpointSettings>,
}

/// The portable part of a container: what to run and what it looks like from within.
///
/// Before the image is merged in, a missing value means "what the image says".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// The container's host name; the short id when empty.
    pub hostname: String,
    /// The container's NIS domain name.
    pub domainname: String,
    /// `user[:group]`, by name or number.
    pub user: String,
    /// The creator wants to be attached to stdin.
    pub attach_stdin: bool,
    /// The creator wants to be attached to stdout.
    pub attach_stdout: bool,
    /// The creator wants to be attached to stderr.
    pub attach_stderr: bool,
    /// Ports the program listens on.
    pub exposed_ports: BTreeSet<Port>,
    /// Whether to give the program a terminal.
    pub tty: bool,
    /// Whether stdin is kept open while nobody is attached.
    pub open_stdin: bool,
    /// Whether stdin ends when its first client goes away.
    pub stdin_once: bool,
    /// `KEY=value`, or `KEY` to take it out.
    pub env: Vec<String>,
    /// Arguments, or the command when there is no entrypoint.
    pub cmd: Option<Vec<String>>,
    /// The command; an empty one (or one empty string) resets the image's.
    pub entrypoint: Option<Vec<String>>,
    /// How to find out whether the program is well.
    pub healthcheck: Option<Healthcheck>,
    /// Windows only; kept for inspection.
    pub args_escaped: bool,
    /// The image as it was named.
    pub image: String,
    /// Paths that get an anonymous volume.
    pub volumes: BTreeSet<String>,
    /// Where the program starts.
    pub working_dir: String,
    /// No network at all.
    pub network_disabled: bool,
    /// Build triggers of the image.
    pub on_build: Vec<String>,
    /// Labels, the image's merged in.
    pub labels: BTreeMap<String, String>,
    /// The signal `stop` sends first, as it was named; SIGTERM when missing.
    pub stop_signal: Option<String>,
    /// Seconds `stop` waits before it kills; negative waits for ever.
    pub stop_timeout: Option<i64>,
    /// The shell of shell-form instructions.
    pub shell: Option<Vec<String>>,
}

impl ContainerConfig {
    /// Docker's seconds between the first signal and SIGKILL.
    const STOP_TIMEOUT: i64 = 10;

    /// The signal that a stop sends first.
    #[must_use]
    pub fn signal_to_stop(&self) -> Signal {
        let own = self.stop_signal.as_deref();
        own.and_then(|signal| signal.parse().ok())
            .unwrap_or(Signal::TERM)
    }

    /// Seconds that a stop waits before it kills; negative waits for ever.
    #[must_use]
    pub fn seconds_to_stop(&self) -> i64 {
        self.stop_timeout.unwrap_or(Self::STOP_TIMEOUT)
    }
}
