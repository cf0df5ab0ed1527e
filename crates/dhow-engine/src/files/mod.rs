//! A container's files as they are seen from outside, for `cp`, `export` and the like.
//!
//! A [`View`] is a tree of mounts made for one request: the container's root file system, its volumes and bind mounts
//! and, while it runs, its memory file systems, but not the kernel's (`/proc`, `/sys`, `/dev`): what they hide is seen,
//! as in Docker. The tree stands in a mount namespace of its own, which lives as long as the view. Nobody is in it, and
//! nothing in it can be executed or opened as a device.
//!
//! The root file system of a running container is the very one it has: it is cloned within the container's mount
//! namespace, by a thread that goes there for that and does nothing else. That of a container without processes is its
//! snapshot, mounted for the view.
//!
//! All paths in a view are resolved by the kernel with the view's root as `/`, so that it doesn't matter what the
//! container does to its files meanwhile.

mod assemble;
mod sources;
mod view;

pub(crate) use sources::{Purpose, stopped};
pub(crate) use view::{Ground, Running, View};
