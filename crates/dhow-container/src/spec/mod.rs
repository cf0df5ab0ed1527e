//! What a container is asked to be: the engine's own, validated form of a create request.
//!
//! The server turns Docker's wire types into these; they are also what is kept on disk within a
//! [`ContainerRecord`](crate::ContainerRecord). Strings that have a grammar (modes, ports, signals) are
//! types of their own with `FromStr`, whose errors have Docker's text, and `Display`, which gives back what was
//! parsed. Nothing here touches the machine.

mod config;
mod health;
mod host;
pub mod merge;
mod mode;
mod mount;
mod networking;
mod port;
mod publish;
mod resources;
mod restart;
mod signal;
mod storage;
pub mod validate;

pub use config::{ContainerConfig, CreateContainer};
pub use health::Healthcheck;
pub use host::{HostConfig, LogConfig};
pub use mode::{CgroupnsMode, IpcMode, NetworkMode, PidMode, UsernsMode, UtsMode};
pub use mount::{
    BindOptions, ImageOptions, MountKind, MountSpec, Propagation, TmpfsOptions, VolumeDriver,
    VolumeOptions,
};
pub use networking::{EndpointIpam, EndpointSettings};
pub use port::{Port, PortBinding, PortRange, Protocol};
pub use publish::{PublishChange, PublishPlan, Published, Unpublish, plan as plan_publishing};
pub use resources::{
    DeviceLimits, DeviceMapping, DeviceRequest, Resources, ThrottleDevice, Ulimit, Update,
    WeightDevice,
};
pub use restart::{RestartName, RestartPolicy};
pub use signal::Signal;
pub use storage::storage_size;

/// A value of a create request that can't be accepted; the text is Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// With Docker's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl dhow_errdefs::Classify for Invalid {
    fn kind(&self) -> dhow_errdefs::ErrorKind {
        dhow_errdefs::ErrorKind::InvalidArgument
    }
}
