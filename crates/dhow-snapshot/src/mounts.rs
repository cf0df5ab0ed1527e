//! What to mount for a snapshot.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use dhow_sys::overlay::OverlayMount;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The directories that make up a file system, for whoever mounts it (the shim, or [`Mounts::mount`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounts {
    /// The layers, topmost first.
    pub lower: Vec<PathBuf>,
    /// The writable directory of a container.
    pub upper: Option<PathBuf>,
    /// The work directory that belongs to it.
    pub work: Option<PathBuf>,
    /// Whether nothing may be written.
    pub read_only: bool,
    /// Whether the container's changes need not survive a loss of power; see [`OverlayMount::volatile`].
    #[serde(default)]
    pub volatile: bool,
}

impl Mounts {
    /// The same for `dhow-sys`.
    #[must_use]
    pub fn overlay(&self) -> OverlayMount {
        OverlayMount {
            lower: self.lower.clone(),
            upper: self.upper.clone(),
            work: self.work.clone(),
            read_only: self.read_only,
            volatile: self.volatile,
        }
    }

    /// The same without what the container has written: what is below it, to be read only.
    #[must_use]
    pub fn image(&self) -> Self {
        Self {
            lower: self.lower.clone(),
            read_only: true,
            ..Self::default()
        }
    }

    /// The same to be read only, so that it does not get in the way of another mount that writes; it shows nothing that
    /// is written after it was made.
    #[must_use]
    pub fn frozen(&self) -> Self {
        Self {
            lower: self.upper.iter().chain(&self.lower).cloned().collect(),
            read_only: true,
            ..Self::default()
        }
    }

    /// Mounts it, attached nowhere; it vanishes with its last descriptor.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn mount(&self) -> Result<OwnedFd, Error> {
        Ok(self.overlay().detached()?)
    }
}
