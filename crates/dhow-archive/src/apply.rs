//! A layer's tar stream into an overlay layer directory.

use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::extract::{Form, extract};
use crate::{Error, Limits};

/// How a layer is applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyOptions {
    /// How much the layer may contain.
    pub limits: Limits,
}

/// A hard link whose target is not in this layer but, if anywhere, in one below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignLink {
    /// Where the link belongs, relative to the layer's root.
    pub path: PathBuf,
    /// What it links to, relative to the root.
    pub target: PathBuf,
}

/// What was applied, and what is still to be settled with the layers below. All paths are relative to the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The bytes of the files' contents, as the sum of their sizes.
    pub bytes: u64,
    /// The number of entries in the tar.
    pub entries: u64,
    /// Directories that were made because something is in them; parents before children.
    pub implicit_dirs: Vec<PathBuf>,
    /// Links that were not made.
    pub foreign_hardlinks: Vec<ForeignLink>,
    /// Whiteouts that were made.
    pub whiteouts: Vec<PathBuf>,
    /// Whether the layer hides everything below it; overlayfs doesn't look for that mark on a layer's root.
    pub opaque_root: bool,
}

impl Applied {
    /// Whether [`crate::settle`] has to look at the layers below.
    #[must_use]
    pub fn needs_lower(&self) -> bool {
        self.opaque_root
            || !(self.implicit_dirs.is_empty()
                && self.foreign_hardlinks.is_empty()
                && self.whiteouts.is_empty())
    }
}

/// Applies the layer `tar` to `root`, an empty directory, and reads the stream to its very end.
///
/// The stream is the uncompressed tar; what decompresses and hashes it stands in front of `tar`. After an error the
/// directory holds a part of the layer and is to be removed.
///
/// # Errors
/// When the stream breaks off or is no tar, exceeds the limits, or the file system refuses.
pub fn apply(tar: impl Read, root: &Path, options: &ApplyOptions) -> Result<Applied, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty()).map_err(|e| Error::File {
        step: "open",
        path: root.to_owned(),
        source: e.into(),
    })?;
    let form = Form {
        layer: true,
        ..Form::default()
    };
    extract(tar, root, form, &options.limits)
}
