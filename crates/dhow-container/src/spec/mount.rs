//! Mounts in the long form of the API (`--mount`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::mode::as_string;

/// What kind of thing is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume, named or anonymous.
    #[default]
    Volume,
    /// Memory.
    Tmpfs,
    /// The content of an image.
    Image,
    /// A Windows pipe; refused.
    NamedPipe,
    /// A cluster volume; refused.
    Cluster,
}

impl FromStr for MountKind {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "bind" => Self::Bind,
            "volume" => Self::Volume,
            "tmpfs" => Self::Tmpfs,
            "image" => Self::Image,
            "npipe" => Self::NamedPipe,
            "cluster" => Self::Cluster,
            _ => {
                return Err(Invalid::new(format!(
                    "invalid mount config for type \"{text}\": mount type unknown"
                )));
            }
        })
    }
}

impl fmt::Display for MountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Image => "image",
            Self::NamedPipe => "npipe",
            Self::Cluster => "cluster",
        })
    }
}

/// How mounts made later spread between host and container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// Not at all, submounts included.
    RPrivate,
    /// Both ways.
    Shared,
    /// Both ways, submounts included.
    RShared,
    /// From the host into the container.
    Slave,
    /// From the host into the container, submounts included.
    RSlave,
}

impl FromStr for Propagation {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "private" => Self::Private,
            "rprivate" => Self::RPrivate,
            "shared" => Self::Shared,
            "rshared" => Self::RShared,
            "slave" => Self::Slave,
            "rslave" => Self::RSlave,
            _ => return Err(Invalid::new(format!("invalid propagation mode: {text}"))),
        })
    }
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::RPrivate => "rprivate",
            Self::Shared => "shared",
            Self::RShared => "rshared",
            Self::Slave => "slave",
            Self::RSlave => "rslave",
        })
    }
}

as_string!(MountKind, Propagation);

/// One mount of the long form, as asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountSpec {
    /// What kind of thing is mounted.
    pub kind: MountKind,
    /// The host's path or the volume's name; empty for an anonymous volume or memory.
    pub source: String,
    /// The path within the container.
    pub target: String,
    /// Whether it can't be written to.
    pub read_only: bool,
    /// `default`, `consistent`, `cached` or `delegated`; only kept.
    pub consistency: String,
    /// Set for a bind mount with options.
    pub bind: Option<BindOptions>,
    /// Set for a volume with options.
    pub volume: Option<VolumeOptions>,
    /// Set for memory with options.
    pub tmpfs: Option<TmpfsOptions>,
    /// Set for an image with options.
    pub image: Option<ImageOptions>,
}

/// Options of an image mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageOptions {
    /// What of the image is mounted instead of all of it.
    pub subpath: String,
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BindOptions {
    /// Whether later mounts spread.
    pub propagation: Option<Propagation>,
    /// Leave out what is mounted below the source.
    pub non_recursive: bool,
    /// Make the source when it is missing.
    pub create_mountpoint: bool,
    /// Read-only covers the mount alone, not what is below it.
    pub read_only_non_recursive: bool,
    /// Fail when what is below can't be made read-only.
    pub read_only_force_recursive: bool,
}

/// Options of a volume mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeOptions {
    /// Don't fill an empty volume with what the image has at the target.
    pub no_copy: bool,
    /// Labels of a volume that is made for this mount.
    pub labels: BTreeMap<String, String>,
    /// The driver of a volume that is made for this mount.
    pub driver: Option<VolumeDriver>,
    /// What of the volume is mounted instead of all of it.
    pub subpath: String,
}

/// A volume driver and its options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeDriver {
    /// The driver's name; `local` when empty.
    pub name: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// Options of a memory file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TmpfsOptions {
    /// Bytes it may take; zero for half of the machine's memory.
    pub size: u64,
    /// Permission bits of its root; zero for 01777.
    pub mode: u32,
    /// Further options, `[name]` or `[name, value]`.
    pub options: Vec<Vec<String>>,
}
