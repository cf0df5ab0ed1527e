//! What all vertices of one build share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dhow_image::Protection;
use dhow_oci::Digest;

use crate::cache::Cache;
use crate::client::{Client, Tree};
use crate::copy::Cancelled;
use crate::error::Error;
use crate::graph::LocalOp;
use crate::progress::Listener;
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
    pub(crate) memory: std::path::PathBuf,
    pub(crate) cancelled: Cancelled,
    protection: Mutex<Protection>,
    /// The records it uses.
    used: Mutex<Vec<Digest>>,
}

/// What a build is made with.
pub(crate) struct JobParts {
    pub(crate) cache: Cache,
    pub(crate) flights: Flights,
    pub(crate) client: Arc<dyn Client>,
    pub(crate) listener: Arc<dyn Listener>,
    pub(crate) entitlements: Vec<String>,
    pub(crate) memory: std::path::PathBuf,
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
        }
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
