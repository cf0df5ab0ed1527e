//! What a device changes in a container.

use std::path::PathBuf;

use serde::Deserialize;

/// Changes to a container's OCI specification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Edits {
    /// Variables, `NAME=value`.
    pub env: Vec<String>,
    /// Nodes in the container.
    pub device_nodes: Vec<DeviceNode>,
    /// Mounts in the container.
    pub mounts: Vec<Mount>,
    /// Programs of the host to run at points of the container's life.
    pub hooks: Vec<Hook>,
    /// Further groups of the program.
    #[serde(rename = "additionalGIDs", alias = "additionalGids")]
    pub additional_gids: Vec<u32>,
    /// Intel's resource director; refused where it is set.
    pub intel_rdt: Option<serde_json::Value>,
    /// Network interfaces to be moved; refused where they are set.
    pub net_devices: Vec<serde_json::Value>,
}

/// A device node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeviceNode {
    /// Its path in the container.
    pub path: String,
    /// Its path on the host; the same when empty.
    pub host_path: String,
    /// `b`, `c`, `u` or `p`; looked up on the host when empty.
    #[serde(rename = "type")]
    pub kind: String,
    /// The driver's number; looked up when there is no type.
    pub major: i64,
    /// The device's number with its driver.
    pub minor: i64,
    /// The permission bits; the host's when missing.
    pub file_mode: Option<u32>,
    /// What the program may do with it, `rwm`; everything but `m` when empty.
    pub permissions: String,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

/// A mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Mount {
    /// The host's path.
    pub host_path: PathBuf,
    /// The path in the container.
    pub container_path: PathBuf,
    /// The file system's type; a bind mount when empty.
    #[serde(rename = "type")]
    pub kind: String,
    /// Mount options.
    pub options: Vec<String>,
}

/// A hook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hook {
    /// `prestart`, `createRuntime`, `createContainer`, `startContainer`, `poststart` or `poststop`.
    pub hook_name: String,
    /// The program, an absolute path.
    pub path: PathBuf,
    /// Its arguments, its name first.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<String>,
    /// Seconds it may take.
    pub timeout: Option<i64>,
}

impl Edits {
    /// Adds what another device needs.
    pub fn append(&mut self, other: &Self) {
        self.env.extend(other.env.iter().cloned());
        self.device_nodes.extend(other.device_nodes.iter().cloned());
        self.mounts.extend(other.mounts.iter().cloned());
        self.hooks.extend(other.hooks.iter().cloned());
        let gids = other.additional_gids.iter().copied();
        self.additional_gids.extend(gids.filter(|gid| *gid != 0));
    }
}
