//! What goes wrong around an engine: full disks, no descriptors, no processes, clients that break off or talk nonsense.
//! One clear error each, nothing half-made, and the engine goes on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that fails or is skipped says where and why"
)]

mod badinput {
    pub(crate) mod clients;
    pub(crate) mod disk;
    pub(crate) mod limits;
    pub(crate) mod registries;
}
