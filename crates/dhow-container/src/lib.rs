//! What a container is, without anything that it takes to run one: the validated specification ([`spec`]), the record
//! kept on disk ([`ContainerRecord`]) with its [`State`], its mounts ([`mount`]), and the OCI runtime specification that
//! is generated from them ([`oci`]).
//!
//! Everything is pure: what has to be looked up on a machine comes in as an argument.

pub mod cdi;
pub mod mount;
pub mod oci;
pub mod spec;

mod health;
mod record;
mod state;

pub use health::{Health, HealthStatus, Probe};
pub use record::{ContainerRecord, ImageRef, Link, MountPoint, PublishedPort};
pub use state::{State, Status};
