//! What the engine asks the machine: its name, its kernel, its devices.

pub(crate) mod cdi;
pub(crate) mod devices;
pub(crate) mod machine;
pub(crate) mod ps;
