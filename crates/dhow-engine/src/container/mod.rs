//! Containers as the engine keeps and shows them: records, states and views.

mod view;

pub use dhow_container::{
    ContainerRecord, Health, HealthStatus, ImageRef, MountPoint, Probe, PublishedPort, State,
    Status,
};
pub use view::{
    Created, Details, Exit, ListOptions, LogsOptions, Paths, Pruned, RemoveOptions, Size,
    StopOptions, Summary, SummaryPort, Top, WaitCondition,
};
