//! The engine itself: what it is, what it runs on, what it takes.

mod check;
mod info;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use dhow_image::{CheckOptions, Finding};
use dhow_volume::VolumeRecord;
use jiff::Timestamp;

use crate::config::About;
use crate::container::{ListOptions, Summary};
use crate::containers::Containers;
use crate::filters::Filters;
use crate::images::{ImageSummary, Images};
use crate::services::{Services, blocking};
use crate::{Error, Result, host};

/// What `GET /version` tells.
#[derive(Debug, Clone, Default)]
pub struct Version {
    /// What the engine says of itself.
    pub about: About,
    /// `linux`.
    pub os: &'static str,
    /// The architecture in Go's words.
    pub arch: &'static str,
    /// The kernel's release.
    pub kernel: String,
}

/// How many containers there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub all: usize,
    /// Those that run.
    pub running: usize,
    /// Those that are paused.
    pub paused: usize,
    /// The others.
    pub stopped: usize,
}

/// The machine and its kernel.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The host's name.
    pub name: String,
    /// The kernel's release.
    pub kernel: String,
    /// The distribution, for people.
    pub operating_system: String,
    /// The distribution's version.
    pub os_version: String,
    /// The architecture in `uname`'s words.
    pub architecture: String,
    /// Processors.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// `1` or `2`.
    pub cgroup_version: &'static str,
    /// The cgroup controllers that can be used.
    pub controllers: Vec<String>,
    /// IPv4 packets are forwarded.
    pub ipv4_forwarding: bool,
    /// The kernel has seccomp filters.
    pub seccomp: bool,
    /// Swap can be limited.
    pub swap_limit: bool,
}

/// What `GET /info` tells.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// The engine's id, made once for its data root.
    pub id: String,
    /// Containers.
    pub containers: Counts,
    /// How many images there are.
    pub images: usize,
    /// The storage driver's name.
    pub driver: &'static str,
    /// What is known of the storage driver.
    pub driver_status: Vec<(String, String)>,
    /// The machine.
    pub machine: Machine,
    /// What the engine says of itself.
    pub about: About,
    /// Where everything durable is kept.
    pub data_root: PathBuf,
    /// The runtimes by name: the path of their program.
    pub runtimes: BTreeMap<String, PathBuf>,
    /// Where vendors' specifications of devices (CDI) are.
    pub cdi_folders: Vec<PathBuf>,
    /// The runtime containers get that ask for none.
    pub default_runtime: String,
    /// The default log driver.
    pub logging_driver: String,
    /// The log drivers there are.
    pub log_drivers: Vec<String>,
    /// The network drivers there are.
    pub network_drivers: Vec<String>,
    /// The volume drivers there are.
    pub volume_drivers: Vec<String>,
    /// `name=seccomp,profile=builtin`, …
    pub security_options: Vec<String>,
    /// Open descriptors of the engine.
    pub descriptors: usize,
    /// Who listens to events.
    pub listeners: usize,
    /// Now.
    pub time: Timestamp,
    /// What does not work as one would expect.
    pub warnings: Vec<String>,
}

/// A volume and what it takes.
#[derive(Debug, Clone)]
pub struct VolumeUsage {
    /// The volume.
    pub record: VolumeRecord,
    /// Bytes in it.
    pub size: u64,
    /// How many containers refer to it.
    pub containers: usize,
}

/// Kinds of things that take room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Images and their layers.
    pub images: bool,
    /// Containers.
    pub containers: bool,
    /// Volumes.
    pub volumes: bool,
}

/// What `GET /system/df` tells; of kinds that were not asked for, nothing.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    /// Bytes of all images' layers.
    pub layers_size: u64,
    /// Images.
    pub images: Vec<ImageSummary>,
    /// Containers, with their sizes.
    pub containers: Vec<Summary>,
    /// Volumes.
    pub volumes: Vec<VolumeUsage>,
}

/// The engine itself.
#[derive(Debug, Clone)]
pub struct System {
    pub(crate) services: Arc<Services>,
}

impl System {
    /// What the engine is and what it runs on.
    ///
    /// # Errors
    /// The records can't be read.
    pub async fn info(&self) -> Result<Info> {
        let services = self.services.clone();
        blocking(move || info::gather(&services)).await
    }

    /// Versions.
    #[must_use]
    pub fn version(&self) -> Version {
        Version {
            about: self.services.config.about.clone(),
            os: "linux",
            arch: go_arch(),
            kernel: host::machine::kernel(),
        }
    }

    /// What everything of these kinds takes on disk; of the others, nothing is looked at.
    ///
    /// # Errors
    /// The records can't be read.
    pub async fn disk_usage(&self, kinds: Kinds) -> Result<DiskUsage> {
        let mut usage = DiskUsage::default();
        if kinds.containers {
            let containers = Containers {
                services: self.services.clone(),
            };
            let options = ListOptions {
                all: true,
                size: true,
                ..ListOptions::default()
            };
            usage.containers = containers.list(&options).await?;
        }
        let images = Images {
            services: self.services.clone(),
        };
        let services = self.services.clone();
        blocking(move || {
            if kinds.images {
                usage.layers_size = services.images.disk_usage()?;
                usage.images = images.list(&Filters::default(), true)?;
            }
            if kinds.volumes {
                usage.volumes = volumes(&services)?;
            }
            Ok::<_, Error>(usage)
        })
        .await
    }
}

fn volumes(services: &Services) -> Result<Vec<VolumeUsage>> {
    let mut list = Vec::new();
    for record in services.volumes.list()? {
        let size = services.volumes.size(&record.name)?;
        let containers = services.volumes.users(&record.name)?.len();
        list.push(VolumeUsage {
            record,
            size,
            containers,
        });
    }
    Ok(list)
}

/// The architecture in Go's words.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
