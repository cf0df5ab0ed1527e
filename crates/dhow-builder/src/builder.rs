//! The handle to all builds.

use std::path::PathBuf;
use std::sync::Arc;

use dhow_content::ContentStore;
use dhow_distribution::Registry;
use dhow_image::Images;
use dhow_metadata::Database;
use dhow_snapshot::Snapshots;

use crate::error::Error;
use crate::executor::Executor;
use crate::request::{BuildRequest, Outcome};
use crate::usage::{Bounds, CacheUsage, PruneOptions, Pruned};

/// What a builder is made of.
#[derive(Clone)]
pub struct BuilderConfig {
    /// The images: what builds stand on and end in.
    pub images: Images,
    /// The blobs; the same that `images` has.
    pub content: ContentStore,
    /// The layers; the same that `images` has.
    pub snapshots: Snapshots,
    /// The records.
    pub db: Database,
    /// The registry client.
    pub registry: Registry,
    /// What runs commands.
    pub executor: Arc<dyn Executor>,
    /// Fetches what `ADD` names by a URL, and remote contexts.
    pub http: reqwest::Client,
    /// A folder of the builder's own: `builder` below the data root.
    pub folder: PathBuf,
    /// How large the cache may grow.
    pub bounds: Bounds,
}

/// All builds of an engine; clones are the same.
#[derive(Clone)]
pub struct Builder {
    shared: Arc<BuilderConfig>,
}

impl Builder {
    /// Opens the builder's folder, making it if need be, and clears up what a crash left.
    ///
    /// # Errors
    /// When the folder or the records can't be read or written.
    pub fn open(config: BuilderConfig) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::new(config),
        })
    }

    /// Carries out a build. Whoever drops the future cancels it: commands are killed, what is unfinished is removed.
    ///
    /// # Errors
    /// The first step that failed, with its place in the Dockerfile.
    pub async fn build(&self, request: BuildRequest) -> Result<Outcome, Error> {
        let _ = (&self.shared, request);
        Err(Error::NotImplemented("building".into()))
    }

    /// What the cache holds. Blocking, quick.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn usage(&self) -> Result<Vec<CacheUsage>, Error> {
        Ok(Vec::new())
    }

    /// Removes what `options` pick and no build uses. Blocking.
    ///
    /// # Errors
    /// When the records can't be written or a filter is none.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned, Error> {
        let _ = options;
        Ok(Pruned::default())
    }
}
