//! Layers being unpacked.

use std::path::{Path, PathBuf};

use crate::folders::Folders;

/// An empty directory for a layer to be unpacked into; removed when it is dropped without being committed.
#[derive(Debug)]
pub struct Staging {
    path: Option<PathBuf>,
}

impl Staging {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path: Some(path) }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.path
            .as_deref()
            .expect("the path is only taken by commit, which takes the staging")
    }

    /// The directory has another name and owner now.
    pub(crate) fn placed(mut self) {
        self.path = None;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What can't be removed now is removed at the next start.
            let _ = Folders::remove_dir(path);
        }
    }
}
