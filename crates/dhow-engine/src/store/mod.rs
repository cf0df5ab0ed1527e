//! Containers in memory: the view that lists and look-ups use, with the database as the durable truth behind it.

mod container;
mod exits;
mod journal;
mod outline;
mod packed;
mod pool;
mod set;
mod shelf;

pub(crate) use container::{Container, Pending};
pub(crate) use exits::Exits;
pub(crate) use journal::{Journal, Undertaking};
pub use outline::{Outline, OutlineConfig, OutlineHost, OutlineState};
pub(crate) use set::ContainerSet;
