//! What operations on containers' files take.

use dhow_container::spec::ContainerConfig;
use dhow_oci::Reference;

/// How an archive is unpacked in a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyIn {
    /// Refuse to replace a directory by something else, and the other way round.
    pub keep_kinds: bool,
    /// Give everything to the container's user, not to those the archive names.
    pub own: bool,
}

/// What an image made of a container is to be.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Its name, if it gets one.
    pub reference: Option<Reference>,
    /// Who made it; the parent's author when empty.
    pub author: String,
    /// The comment in its history.
    pub comment: String,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// What its containers start with, in place of the container's own; what it leaves open is the container's.
    pub config: Option<ContainerConfig>,
    /// Dockerfile instructions that change that.
    pub changes: Vec<String>,
}
