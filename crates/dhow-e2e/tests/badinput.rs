//! What goes wrong around an engine: full disks, no descriptors, no processes, clients that break off or talk nonsense.
//! One clear error each, nothing half-made, and the engine goes on.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod badinput {
    pub(crate) mod clients;
    pub(crate) mod disk;
    pub(crate) mod limits;
}
