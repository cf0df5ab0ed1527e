//! Folders that go when nobody needs them any more.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use dhow_archive::remove_tree;

use dhow_oci::Digest;

use crate::client::Tree;
use crate::error::Error;

/// Where every machine has a file system in memory.
const SHARED_MEMORY: &str = "/dev/shm/";

/// A folder in memory for a builder: `wanted`, if it is in memory, else one below `/dev/shm`.
pub(crate) fn in_memory(wanted: &Path) -> PathBuf {
    let there = wanted.ancestors().find(|path| path.exists());
    if there.is_some_and(is_memory) || !is_memory(Path::new(SHARED_MEMORY)) {
        return wanted.to_owned();
    }
    let name = Digest::of(wanted.as_os_str().as_encoded_bytes()).short();
    Path::new(SHARED_MEMORY).join(format!("dhow-build-{name}"))
}

fn is_memory(path: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == TMPFS)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

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
        if self
            .0
            .parent()
            .is_some_and(|parent| parent.starts_with(SHARED_MEMORY))
        {
            // The last one takes the folder along that only builds have.
            let _ = std::fs::remove_dir(parent_of(&self.0));
        }
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
