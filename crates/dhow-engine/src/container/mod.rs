//! Containers as the engine keeps and shows them: records, states and views.

mod files;
mod view;

pub use crate::store::{Outline, OutlineConfig, OutlineHost, OutlineState};
pub use dhow_archive::tar::Mtime;
pub use dhow_archive::{Change, ChangeKind, PathStat};
pub use dhow_container::{
    ContainerRecord, Health, HealthStatus, ImageRef, MountPoint, Probe, PublishedPort, State,
    Status,
};
pub use files::{Commit, CopyIn};
pub use view::{
    Created, Details, Exit, ListOptions, LogsOptions, Paths, Pruned, RemoveOptions, Size,
    StopOptions, Summary, SummaryPort, Top, WaitCondition,
};
