//! What all vertices of one build share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use dhow_image::Protection;
use dhow_oci::Digest;

use crate::cache::Cache;
use crate::client::{Client, Tree};
use crate::copy::Cancelled;
use crate::error::Error;
use crate::graph::LocalOp;
use crate::progress::Listener;
use crate::remote::Imported;
use crate::result::Root;
use crate::solve::Flights;

/// One build.
pub(crate) struct Job {
    pub(crate) cache: Cache,
    pub(crate) flights: Flights,
    pub(crate) client: Arc<dyn Client>,
    pub(crate) listener: Arc<dyn Listener>,
    /// What the client allows.
    pub(crate) entitlements: Vec<String>,
    /// A folder in memory, for secrets and agents.
    pub(crate) memory: PathBuf,
    pub(crate) cancelled: Cancelled,
    protection: Mutex<Protection>,
    /// The records it uses.
    used: Mutex<Vec<Digest>>,
    /// The steps it has results of.
    steps: Mutex<Vec<DoneStep>>,
    /// The cache mounts it used: ids and directories.
    mounts: Mutex<BTreeMap<String, PathBuf>>,
    /// What there is elsewhere.
    imported: OnceLock<Imported>,
}

/// A step with a result.
pub(crate) struct DoneStep {
    /// All that it is known by.
    pub(crate) keys: Vec<Digest>,
    pub(crate) root: Root,
}

/// What a build is made with.
pub(crate) struct JobParts {
    pub(crate) cache: Cache,
    pub(crate) flights: Flights,
    pub(crate) client: Arc<dyn Client>,
    pub(crate) listener: Arc<dyn Listener>,
    pub(crate) entitlements: Vec<String>,
    pub(crate) memory: PathBuf,
}

/// What a vertex gives.
#[derive(Clone)]
pub(crate) enum Value {
    /// A stack of layers.
    Root(Root),
    /// A directory; of the client's files also what was asked for.
    Tree(Arc<dyn Tree>, Option<Arc<LocalOp>>),
}

impl Value {
    /// The root it is.
    ///
    /// # Errors
    /// It is a tree.
    pub(crate) fn into_root(self) -> Result<Root, Error> {
        match self {
            Self::Root(root) => Ok(root),
            Self::Tree(..) => Err(Error::invalid("files of a context are no root")),
        }
    }

    /// The root it is.
    ///
    /// # Errors
    /// It is a tree.
    pub(crate) fn root(&self) -> Result<&Root, Error> {
        match self {
            Self::Root(root) => Ok(root),
            Self::Tree(..) => Err(Error::invalid("files of a context are no root")),
        }
    }
}

impl Job {
    pub(crate) fn new(parts: JobParts) -> Self {
        let protection = parts.cache.config.images.protect([]);
        Self {
            cache: parts.cache,
            flights: parts.flights,
            client: parts.client,
            listener: parts.listener,
            entitlements: parts.entitlements,
            memory: parts.memory,
            cancelled: Cancelled::default(),
            protection: Mutex::new(protection),
            used: Mutex::default(),
            steps: Mutex::default(),
            mounts: Mutex::default(),
            imported: OnceLock::new(),
        }
    }

    /// Says what there is elsewhere; before anything is solved.
    pub(crate) fn import(&self, imported: Imported) {
        // It is said once.
        let _ = self.imported.set(imported);
    }

    /// What there is elsewhere, if anything.
    pub(crate) fn imported(&self) -> Option<&Imported> {
        self.imported.get()
    }

    /// The steps that have results.
    pub(crate) fn steps(&self) -> MutexGuard<'_, Vec<DoneStep>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cache mounts that were used: ids and directories.
    pub(crate) fn mounts(&self) -> BTreeMap<String, PathBuf> {
        let mounts = self.mounts.lock();
        mounts.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A command uses a cache mount.
    pub(crate) fn mounted(&self, id: &str, path: &Path) {
        let mounts = self.mounts.lock();
        mounts
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), path.to_owned());
    }

    /// What keeps everything that the build has from being removed.
    pub(crate) fn protection(&self) -> MutexGuard<'_, Protection> {
        self.protection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The build uses a record of the cache, which counts that already.
    pub(crate) fn uses(&self, key: Digest) {
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(key);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancelled.cancel();
        let used = std::mem::take(self.used.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !used.is_empty() {
            self.cache.release(&used);
        }
    }
}
