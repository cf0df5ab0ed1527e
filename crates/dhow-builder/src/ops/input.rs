//! Inputs that files are taken from.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use dhow_dockerfile::IgnorePatterns;
use dhow_snapshot::{Draft, Mounts, Snapshots};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::client::Tree;
use crate::copy::{Selection, select};
use crate::error::Error;
use crate::graph::{CopyAction, LocalOp};
use crate::solve::Value;

/// An input's files, opened.
pub(crate) struct Input {
    directory: OwnedFd,
    /// The tree it is, if it is one.
    pub(crate) tree: Option<Arc<dyn Tree>>,
    /// What was asked of the client.
    local: Option<Arc<LocalOp>>,
    /// The empty directory that an empty root is.
    _empty: Option<Draft>,
}

impl Input {
    /// Opens an input.
    ///
    /// # Errors
    /// When it can't be mounted or opened.
    pub(crate) fn open(snapshots: &Snapshots, value: &Value) -> Result<Self, Error> {
        match value {
            Value::Root(root) => {
                let (mounts, empty) = root_mounts(snapshots, root.chain_id().as_ref())?;
                Ok(Self {
                    directory: mounts.mount()?,
                    tree: None,
                    local: None,
                    _empty: empty,
                })
            }
            Value::Tree(tree, local) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let directory = openat(CWD, tree.path(), flags, Mode::empty())
                    .map_err(|e| Error::file("open", "context", e))?;
                Ok(Self {
                    directory,
                    tree: Some(Arc::clone(tree)),
                    local: local.clone(),
                    _empty: None,
                })
            }
        }
    }

    /// Its root.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Finds the sources of a copy in it.
    ///
    /// # Errors
    /// One is missing; where `.dockerignore` leaves it out, a hint says so.
    pub(crate) fn select(&self, copy: &CopyAction) -> Result<Selection, Error> {
        select(self.directory(), copy).map_err(|error| match error {
            Error::NotFound { text, .. } => Error::NotFound {
                hint: self.ignored(copy),
                text,
            },
            error => error,
        })
    }

    fn ignored(&self, copy: &CopyAction) -> Option<String> {
        let local = self.local.as_ref()?;
        let patterns = local.exclude.iter().map(String::as_str);
        let ignore = IgnorePatterns::new(patterns).ok()?;
        let source = copy
            .sources
            .iter()
            .find(|source| ignore.excludes(source.trim_matches('/')))?;
        Some(format!(
            "{source:?} is left out of the build context by .dockerignore"
        ))
    }
}

/// What to mount to read a root; an empty one is an empty directory.
///
/// # Errors
/// When a layer is missing.
pub(crate) fn root_mounts(
    snapshots: &Snapshots,
    chain: Option<&dhow_oci::Digest>,
) -> Result<(Mounts, Option<Draft>), Error> {
    match chain {
        Some(chain) => Ok((snapshots.view(chain)?, None)),
        None => {
            let empty = snapshots.draft(None)?;
            let mounts = Mounts {
                lower: vec![empty.upper()],
                read_only: true,
                ..Mounts::default()
            };
            Ok((mounts, Some(empty)))
        }
    }
}
