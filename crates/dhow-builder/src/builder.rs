//! The handle to all builds.

use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use dhow_content::ContentStore;
use dhow_distribution::Registry;
use dhow_image::{Finding, Images};
use dhow_metadata::Database;
use dhow_snapshot::Snapshots;
use futures::future::BoxFuture;

use crate::cache::Cache;
use crate::client::Tree;
use crate::copy::Cancelled;
use crate::error::Error;
use crate::executor::Executor;
use crate::export::export;
use crate::graph::{Op, Vertex};
use crate::ops;
use crate::prepare::{Prepared, Sources, prepare};
use crate::remote::{self, Imported};
use crate::request::{BuildRequest, CacheTarget, Outcome};
use crate::solve::{self, Flights, Job, JobParts, solve};
use crate::usage::{Bounds, CacheUsage, PruneOptions, Pruned};

/// A client for plain HTTP and HTTPS, made when it is first needed: reading the system's certificates takes time and
/// memory that most builds can do without. The error is a text for the one who builds.
pub type HttpClient = LazyLock<Result<reqwest::Client, String>, MakeHttpClient>;

/// Makes an [`HttpClient`].
pub type MakeHttpClient = Box<dyn FnOnce() -> Result<reqwest::Client, String> + Send>;

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
    pub http: Arc<HttpClient>,
    /// A folder of the builder's own: `builder` below the data root.
    pub folder: PathBuf,
    /// A folder of the builder's own on a file system in memory, for secrets: `builder` below the run folder.
    pub memory: PathBuf,
    /// How large the cache may grow.
    pub bounds: Bounds,
}

/// All builds of an engine; clones are the same.
#[derive(Clone)]
pub struct Builder {
    config: Arc<BuilderConfig>,
    cache: Cache,
    flights: Flights,
    memory: PathBuf,
}

impl Builder {
    /// Opens the builder's folder, making it if need be, and clears up what a crash left.
    ///
    /// # Errors
    /// When the folder or the records can't be read or written.
    pub fn open(config: BuilderConfig) -> Result<Self, Error> {
        let config = Arc::new(config);
        make_folder(&config.folder)?;
        let memory = ops::in_memory(&config.memory);
        // What a crash left; nobody uses any of it now.
        if memory.exists() {
            empty(&memory)?;
        }
        let work = config.folder.join("work");
        make_folder(&work)?;
        empty(&work)?;
        Ok(Self {
            cache: Cache::open(Arc::clone(&config))?,
            flights: Flights::default(),
            memory,
            config,
        })
    }

    /// Carries out a build. Whoever drops the future cancels it: commands are killed, what is unfinished is removed.
    ///
    /// # Errors
    /// The first step that failed, with its place in the Dockerfile.
    pub async fn build(&self, request: BuildRequest) -> Result<Outcome, Error> {
        let job = Arc::new(Job::new(JobParts {
            cache: self.cache.clone(),
            flights: self.flights.clone(),
            client: Arc::clone(&request.client),
            listener: Arc::clone(&request.listener),
            entitlements: request.options.entitlements.clone(),
            memory: self.memory.clone(),
        }));
        let _given_up = CancelOnDrop(job.cancelled.clone());
        job.import(Imported::load(&job, &request.cache_from).await);
        let mut plan = match prepare(&request, &self.config, &JobSources(&job)).await? {
            Prepared::Plan(plan) => plan,
            Prepared::Answer(outcome) => return Ok(outcome),
        };
        let targets: Vec<_> = plan.targets.iter().map(|target| target.vertex).collect();
        let roots = {
            let locate = |vertex: &Vertex| plan.location(vertex);
            solve(&job, &plan.graph, &locate, &targets).await?
        };
        if request.cache_to.contains(&CacheTarget::Inline) {
            for (target, root) in plan.targets.iter_mut().zip(&roots) {
                remote::inline(&job, root, &mut target.image)?;
            }
        }
        let mut outcome = export(&request, &self.config, &plan, &roots).await?;
        if let Some(manifest) = remote::export(&job, &request.cache_to, &roots).await? {
            let text = serde_json::to_string(&manifest).unwrap_or_default();
            outcome.metadata.insert("cache.manifest".into(), text);
        }
        Ok(outcome)
    }

    /// What the cache holds, the newest last. Blocking.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn usage(&self) -> Result<Vec<CacheUsage>, Error> {
        self.cache.usage()
    }

    /// Looks whether records, layers and folders agree, and sets right what it can if asked to. Blocking.
    ///
    /// # Errors
    /// When the records or folders can't be read.
    pub fn check(&self, repair: bool) -> Result<Vec<Finding>, Error> {
        self.cache.check(repair)
    }

    /// Removes what `options` pick and no build uses. Blocking.
    ///
    /// # Errors
    /// When the records can't be written or a filter is none.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned, Error> {
        self.cache.prune(options)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

/// Tells the threads of a build that it was given up.
struct CancelOnDrop(Cancelled);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Sources that are fetched before there is a graph.
struct JobSources<'a>(&'a Arc<Job>);

impl Sources for JobSources<'_> {
    fn tree<'a>(
        &'a self,
        op: &'a Op,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn Tree>, Error>> {
        Box::pin(solve::source(self.0, op, name))
    }
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| Error::file("make", folder.display().to_string(), e))
}

/// Removes all that is in a folder.
fn empty(folder: &Path) -> Result<(), Error> {
    let failed = |e| Error::file("empty", folder.display().to_string(), e);
    let opened = std::fs::File::open(folder).map_err(failed)?;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        dhow_archive::remove_tree(opened.as_fd(), Path::new(&name))?;
    }
    Ok(())
}

/// Builds are spawned.
#[expect(dead_code, reason = "it is enough that it compiles")]
fn builds_can_be_spawned(builder: &'static Builder, request: BuildRequest) {
    fn is_send<T: Send>(_: T) {}
    is_send(builder.build(request));
}
