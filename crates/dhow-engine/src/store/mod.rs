//! Containers in memory: the view that lists and look-ups use, with the database as the durable truth behind it.

mod container;
mod journal;
mod set;

pub(crate) use container::{Container, Exits, Pending};
pub(crate) use journal::{Journal, Undertaking};
pub(crate) use set::ContainerSet;
