//! Layers and the writable snapshots of containers, on overlayfs.
//!
//! # Life of a layer
//!
//! [`Snapshots::begin`] gives a [`Staging`] directory. `dhow_archive::apply` fills it, without any other layer; so all
//! layers of an image are filled at the same time. [`Snapshots::commit`] puts them in order, lowest first: what only
//! the layers below can tell is put right, the directory gets its name, the *chain id* (the digest that stands for this
//! layer on all those below it), with one rename, and the record is written. Two who commit the same chain get the same
//! layer. A layer never changes any more; [`Snapshots::remove_layer`] refuses while another layer or a container stands
//! on it.
//!
//! # Life of a container's snapshot
//!
//! [`Snapshots::prepare`] makes an upper and a work directory over a chain, [`Snapshots::mounts`] says what to mount
//! ([`Mounts`]), [`Snapshots::changes`] and [`Snapshots::diff`] tell what the container has written,
//! [`Snapshots::remove`] takes all of it away.
//!
//! # Life of a draft
//!
//! [`Snapshots::draft`] gives an upper directory that no container has; what a build's step writes to it becomes a layer
//! ([`Snapshots::commit_draft`]) by a rename.
//!
//! # Death at any instruction
//!
//! Directories and records change together in one transaction that ends after the rename; what was between the two is
//! found by [`Snapshots::open`]: directories without a record and half-removed ones are removed, records without a
//! directory are forgotten. After a loss of power, layers that [`Snapshots::flush`] had not yet written to the disk are
//! forgotten too, to be unpacked again.
//!
//! # On disk
//!
//! `layers/<hex of the chain id>/`: a layer in overlayfs' form. `active/<key>/{upper,work}`: containers.
//! `staging/<n>/`, `trash/<n>/`: emptied at each start. `skeleton/`: the lowest layer of every container, with the places
//! that engines mount something on.

mod draft;
mod error;
mod folders;
mod layers;
mod mounts;
mod quota;
mod record;
mod recover;
mod skeleton;
mod snapshots;
mod staging;

pub use draft::Draft;
pub use error::Error;
pub use mounts::Mounts;
pub use record::{ChainId, LayerInfo};
pub use snapshots::Snapshots;
pub use staging::Staging;
