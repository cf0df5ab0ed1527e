//! Folders that go when nobody needs them any more.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use dhow_archive::remove_tree;

use crate::client::Tree;
use crate::error::Error;

/// A folder that is removed when it is dropped; what a crash leaves is removed at the next start.
#[derive(Debug)]
pub(crate) struct TempFolder(PathBuf);

impl TempFolder {
    /// Makes one in `parent`.
    ///
    /// # Errors
    /// When it can't be made.
    pub(crate) fn new(parent: &Path) -> Result<Self, Error> {
        let path = parent.join(crate::id::random());
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|e| Error::file("make", path.display().to_string(), e))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        use std::os::fd::AsFd;
        let (Some(parent), Some(name)) = (self.0.parent(), self.0.file_name()) else {
            return;
        };
        let removed = std::fs::File::open(parent)
            .map_err(|e| e.to_string())
            .and_then(|parent| {
                remove_tree(parent.as_fd(), Path::new(name)).map_err(|e| e.to_string())
            });
        if let Err(error) = removed {
            tracing::warn!(path = %self.0.display(), error, "a folder of a build stays");
        }
    }
}

/// A directory in such a folder, as a tree.
#[derive(Debug)]
pub(crate) struct FolderTree {
    path: PathBuf,
    _folder: TempFolder,
}

impl FolderTree {
    /// The directory `path` in `folder`.
    pub(crate) fn new(folder: TempFolder, path: PathBuf) -> Self {
        Self {
            path,
            _folder: folder,
        }
    }
}

impl Tree for FolderTree {
    fn path(&self) -> &Path {
        &self.path
    }
}
