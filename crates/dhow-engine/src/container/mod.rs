//! Containers as the engine keeps and shows them: records, states and views.

mod health;
mod record;
mod state;
mod view;

pub use health::{Health, HealthStatus, Probe};
pub use record::{ContainerRecord, ImageRef, MountPoint, PublishedPort};
pub use state::{State, Status};
pub use view::{
    Created, Details, Exit, ListOptions, LogsOptions, Paths, Pruned, RemoveOptions, Size,
    StopOptions, Summary, SummaryPort, Top, WaitCondition,
};
