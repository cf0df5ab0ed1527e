//! Caches elsewhere: in a registry, in an image, in a folder of the client.
//!
//! What is written has BuildKit's shape: a manifest whose configuration lists layers, each with the one it stands on, and
//! records, each with its key and its layer. Keys are ours, so that each engine finds what it wrote itself and ignores
//! the rest. The directories of cache mounts come as further layers of the manifest, marked by an annotation.

mod export;
mod format;
mod import;

pub(crate) use export::{export, inline};
pub(crate) use import::Imported;
