//! The portable half of a container's settings.

use crate::network::NetworkingConfig;
use crate::wire::{is_blank, is_default};
use crate::{Map, Set, Words};

use super::HostConfig;

wire! {"PascalCase";
    /// What a container runs, independent of the host; images carry defaults for it.
    pub struct Config {
        pub hostname: String,
        pub domainname: String,
        pub user: String,
        pub attach_stdin: bool,
        pub attach_stdout: bool,
        pub attach_stderr: bool,
        #[serde(skip_serializing_if = "is_blank")]
        pub exposed_ports: Option<Set>,
        pub tty: bool,
        pub open_stdin: bool,
        pub stdin_once: bool,
        pub env: Option<Vec<String>>,
        pub cmd: Option<Words>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub healthcheck: Option<Healthcheck>,
        #[serde(skip_serializing_if = "is_default")]
        pub args_escaped: bool,
        pub image: String,
        pub volumes: Option<Set>,
        pub working_dir: String,
        pub entrypoint: Option<Words>,
        #[serde(skip_serializing_if = "is_default")]
        pub network_disabled: bool,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub mac_address: String,
        #[serde(skip_serializing_if = "is_blank")]
        pub on_build: Option<Vec<String>>,
        pub labels: Option<Map<String>>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub stop_signal: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub stop_timeout: Option<i64>,
        #[serde(skip_serializing_if = "is_blank")]
        pub shell: Option<Vec<String>>,
    }

    /// How a container is probed; durations in nanoseconds.
    pub struct Healthcheck {
        #[serde(skip_serializing_if = "is_blank")]
        pub test: Option<Vec<String>>,
        #[serde(skip_serializing_if = "is_default")]
        pub interval: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub timeout: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub start_period: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub start_interval: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub retries: i64,
    }

    /// The answer to container create.
    pub struct CreateResponse {
        pub id: String,
        pub warnings: Vec<String>,
    }
}

/// The body of `POST /containers/create`: a [`Config`] with two more keys.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateRequest {
    #[serde(flatten)]
    pub config: Config,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_config: Option<HostConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking_config: Option<NetworkingConfig>,
}
