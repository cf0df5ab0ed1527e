//! Volumes and their drivers.
//!
//! A *volume* is a named directory that outlives containers: `<root>/<name>/_data`. The one driver is `local`: a plain
//! directory, or (with the options `type`, `device`, `o`) a file system that is mounted there while a container uses
//! the volume. Who uses a volume is recorded ([`Volumes::acquire`], [`Volumes::release`]), so that a volume in use
//! can't be removed, whatever dies in between.

mod error;
mod name;
mod options;
mod populate;
mod record;
mod usage;
mod volumes;

pub use error::Error;
pub use populate::{PopulateError, populate};
pub use record::{ANONYMOUS_LABEL, CreateVolume, Pruned, VolumeRecord};
pub use volumes::Volumes;
