//! The handle of containers: a file for each group of verbs.

mod attach;
mod changes;
mod commit;
mod copy;
mod create;
mod inspect;
mod list;
mod logs;
mod pause;
mod prune;
mod remove;
mod rename;
mod start;
mod stats;
mod stop;
mod top;
mod update;
mod wait;

use std::sync::Arc;

use crate::services::Services;

pub(crate) use inspect::DRIVER;

/// Containers, each named by its name, its id or the beginning of its id.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) services: Arc<Services>,
}
