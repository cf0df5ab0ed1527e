//! What happens in a container's life, step by step; the verbs of [`Containers`](crate::Containers) are built of it.

pub(crate) mod abandoned;
pub(crate) mod create;
pub(crate) mod exit;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod links;
mod log;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod publish;
pub(crate) mod remove;
pub(crate) mod restart;
pub(crate) mod restore;
pub(crate) mod start;
mod undo;
mod unhealthy;
mod wish;

use undo::Undo;
pub(crate) use undo::report;
