//! Containers: what they are created from, and the views of them.

mod config;
mod host;
mod inspect;
mod summary;

pub use config::{Config, CreateRequest, CreateResponse, Healthcheck};
pub use host::{
    BindOptions, BlkioDevice, BlkioWeight, DeviceMapping, DeviceRequest, Driver, HostConfig,
    ImageOptions, LogConfig, Mount, PortBinding, PortMap, RestartPolicy, TmpfsOptions, Ulimit,
    VolumeOptions,
};
pub use inspect::{
    ContainerInspect, ContainerState, Health, HealthResult, MountPoint, NetworkSettings,
    RootFsStorage, SnapshotStorage, Storage,
};
pub use summary::{
    Change, ContainerPruneReport, ContainerSummary, HealthSummary, PathStat, Port,
    SummaryHostConfig, SummaryNetworks, TopResponse, UpdateRequest, UpdateResponse, WaitError,
    WaitResponse,
};
