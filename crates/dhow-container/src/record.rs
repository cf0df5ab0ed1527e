//! What is kept of a container on disk.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dhow_logging::LogConfig;
use dhow_metadata::Record;
use dhow_oci::{Descriptor, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::State;
use crate::spec::{ContainerConfig, EndpointSettings, HostConfig, MountKind, Port};

/// The image a container was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// The image's id: the digest of its manifest or index.
    pub id: Digest,
    /// The manifest that was chosen.
    pub manifest: Option<Descriptor>,
    /// The top layer, if there is any.
    pub chain: Option<Digest>,
    /// `linux`.
    pub os: String,
}

/// Another container that one is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other one's id.
    pub container: String,
    /// What it is called by the one with the link.
    pub alias: String,
}

/// Something mounted into a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountPoint {
    /// What kind of thing it is.
    pub kind: MountKind,
    /// The volume's name.
    pub name: String,
    /// The host's path; of a volume, where it is kept.
    pub source: String,
    /// The path within the container.
    pub destination: String,
    /// The volume's driver.
    pub driver: String,
    /// The options after the second colon of a bind, `ro,z` for instance.
    pub mode: String,
    /// Whether it can be written to.
    pub rw: bool,
    /// How later mounts spread; empty for volumes.
    pub propagation: String,
    /// The volume has no name of the user's and goes with the container.
    pub anonymous: bool,
    /// An empty volume is filled with what the image has at the destination.
    pub copy: bool,
    /// The folder within the volume that is mounted.
    pub subpath: String,
    /// Mount options that go to the kernel as they are.
    pub options: Vec<String>,
    /// The bind mount's source is made when it is missing.
    pub create_source: bool,
    /// It came with the long form (`--mount`), which the list shows differently.
    pub long_form: bool,
    /// Of an image: its top layer; nothing where it has none.
    pub chain: Option<Digest>,
}

/// Where a port of a running container is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The host's address.
    pub host_ip: IpAddr,
    /// The host's port.
    pub host_port: u16,
}

/// A container as it is kept on disk, by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The name, without a slash.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it was made from.
    pub image: ImageRef,
    /// The portable part, the image's merged in.
    pub config: ContainerConfig,
    /// The part about the host, defaults filled in.
    pub host: HostConfig,
    /// Its endpoints by network name.
    #[serde(default)]
    pub networks: BTreeMap<String, EndpointSettings>,
    /// Its ports while it runs: where they are published, nothing for exposed ones.
    #[serde(default)]
    pub ports: BTreeMap<Port, Vec<PublishedPort>>,
    /// What is mounted.
    #[serde(default)]
    pub mounts: Vec<MountPoint>,
    /// The containers it is linked to.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Its log.
    pub log: LogConfig,
    /// What it is doing.
    #[serde(default)]
    pub state: State,
    /// How often the restart policy has started it again.
    #[serde(default)]
    pub restart_count: u32,
    /// The user stopped it; `unless-stopped` minds that.
    #[serde(default)]
    pub manually_stopped: bool,
    /// It ran at least once.
    #[serde(default)]
    pub started_before: bool,
}

impl Record for ContainerRecord {
    const COLLECTION: &'static str = "containers";
}

impl ContainerRecord {
    /// The first twelve digits of the id.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}
