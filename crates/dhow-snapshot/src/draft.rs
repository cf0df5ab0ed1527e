//! Layers that are written in place: by a command, or by copying.
//!
//! A *draft* is an upper directory on a chain that belongs to no container. What is written to it becomes a layer by being
//! renamed, without having been unpacked. Drafts have no records: one that is dropped, or found at the next start, is
//! removed.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_archive::Written;
use dhow_archive::tar::Sink;
use dhow_oci::Digest;

use crate::folders::{Folders, open_dir};
use crate::record::{LayerRecord, chain};
use crate::recover::boot_id;
use crate::{ChainId, Error, Mounts, Snapshots, Staging};

/// A layer being written.
#[derive(Debug)]
pub struct Draft {
    staging: Staging,
    parent: Option<ChainId>,
    lower: Vec<PathBuf>,
    skeleton: PathBuf,
}

impl Draft {
    /// What to mount for a command: as for a container, with the places that engines mount something on.
    #[must_use]
    pub fn container_mounts(&self) -> Mounts {
        let mut mounts = self.mounts();
        mounts.lower.push(self.skeleton.clone());
        mounts
    }

    /// What to mount to write to it, and nothing else.
    #[must_use]
    pub fn mounts(&self) -> Mounts {
        Mounts {
            lower: self.lower.clone(),
            upper: Some(self.upper()),
            work: Some(self.staging.path().join("work")),
            read_only: false,
            // Until it is flushed a layer is forgotten after a loss of power, whatever became of its files.
            volatile: true,
        }
    }

    /// The directory that what is written goes to.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.staging.path().join("upper")
    }

    /// The layer it stands on.
    #[must_use]
    pub fn parent(&self) -> Option<&ChainId> {
        self.parent.as_ref()
    }

    /// A folder for whatever goes with it; removed with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.staging.path()
    }

    /// Writes it as a layer's tar. Nothing may be mounted or written any more.
    ///
    /// # Errors
    /// When something can't be read or `out` fails.
    pub fn write(&self, out: impl Sink) -> Result<Written, Error> {
        let upper = open_dir(&self.upper())?;
        let below = self.below()?;
        dhow_archive::layer(upper.as_fd(), below.as_ref().map(AsFd::as_fd), out).map_err(|source| {
            Error::Tree {
                step: "read",
                key: "draft".into(),
                source,
            }
        })
    }

    fn below(&self) -> Result<Option<OwnedFd>, Error> {
        match self.lower.is_empty() {
            true => Ok(None),
            false => self.mounts().image().mount().map(Some),
        }
    }
}

impl Snapshots {
    /// Begins a layer on top of `parent` (`None`: on nothing), to be written in place.
    ///
    /// The caller sees to it that `parent` stays.
    ///
    /// # Errors
    /// [`Error::NoLayer`], or when the directories can't be made.
    pub fn draft(&self, parent: Option<&ChainId>) -> Result<Draft, Error> {
        let lower = self.db.read(|tx| self.ancestors(tx, parent))?;
        let staging = self.begin()?;
        Folders::make_writable(staging.path(), lower.first().map(PathBuf::as_path))?;
        Ok(Draft {
            staging,
            parent: parent.copied(),
            lower,
            skeleton: self.folders.skeleton.clone(),
        })
    }

    /// Makes the layer `layer` a layer on top of `parent` as well; its files are not copied.
    ///
    /// # Errors
    /// [`Error::NoLayer`], or when a directory can't be made.
    pub fn restack(&self, layer: &ChainId, parent: Option<&ChainId>) -> Result<ChainId, Error> {
        let record = self
            .db
            .get::<LayerRecord>(&layer.to_string())?
            .ok_or(Error::NoLayer(*layer))?;
        let id = chain(parent, &record.diff_id);
        if self.contains(&id)? {
            return Ok(id);
        }
        let draft = self.draft(parent)?;
        let from = open_dir(&self.folders.layer(layer))?;
        let to = open_dir(&draft.upper())?;
        dhow_archive::clone_tree(from.as_fd(), to.as_fd()).map_err(|source| Error::Tree {
            step: "link",
            key: layer.to_string(),
            source,
        })?;
        // What is below says what the root is like, unless there is nothing.
        if let Some(below) = draft.lower.first() {
            crate::folders::adopt_root(&draft.upper(), below)?;
        }
        self.commit_draft(draft, &record.diff_id, record.size)
    }

    /// Makes a draft, whose tar has the digest `diff_id` and `size` bytes of files, the layer on top of its parent.
    ///
    /// Where the layer exists already it is left as it is.
    ///
    /// # Errors
    /// [`Error::NoLayer`] when the parent doesn't exist any more.
    pub fn commit_draft(
        &self,
        draft: Draft,
        diff_id: &Digest,
        size: u64,
    ) -> Result<ChainId, Error> {
        let parent = draft.parent;
        let id = chain(parent.as_ref(), diff_id);
        let record = LayerRecord {
            diff_id: *diff_id,
            parent,
            size,
            unflushed_since_boot: Some(boot_id()),
        };
        self.db.write(|tx| {
            if tx.get::<LayerRecord>(&id.to_string())?.is_some() {
                return Ok(());
            }
            if let Some(parent) = parent {
                tx.get::<LayerRecord>(&parent.to_string())?
                    .ok_or(Error::NoLayer(parent))?;
            }
            self.folders
                .place(&draft.upper(), &self.folders.layer(&id))?;
            tx.put(&id.to_string(), &record).map_err(Error::from)
        })?;
        Ok(id)
    }
}
