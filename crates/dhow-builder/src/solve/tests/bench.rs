//! A builder in a folder of its own, with a client and an executor made for tests.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use dhow_content::ContentStore;
use dhow_distribution::{Registry, RegistryConfig};
use dhow_dockerfile::{Network, Security};
use dhow_image::{Images, ImagesConfig};
use dhow_metadata::Database;
use dhow_oci::{Descriptor, Digest, Platform};
use dhow_snapshot::Snapshots;
use futures::future::BoxFuture;

use crate::builder::BuilderConfig;
use crate::cache::Cache;
use crate::client::{Client, ClientError, ClientStore, Tree};
use crate::error::Error;
use crate::executor::{Command, CommandMountKind, Executor, ExecutorError};
use crate::graph::{
    CopyAction, FileAction, FileOp, Graph, Limits, LocalOp, Op, RunOp, Vertex, VertexId,
};
use crate::progress::{Listener, Progress};
use crate::result::Root;
use crate::solve::{Flights, Job, JobParts, solve};
use crate::usage::Bounds;

/// What a test has.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) config: Arc<BuilderConfig>,
    pub(super) cache: Cache,
    pub(super) flights: Flights,
    pub(super) executor: Arc<Commands>,
    pub(super) client: Arc<Files>,
    pub(super) told: Arc<Heard>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Bounds {
            free_percent: 0,
            ..Bounds::default()
        })
    }

    pub(super) fn with(bounds: Bounds) -> Self {
        Self::open(tempfile::tempdir().unwrap(), bounds)
    }

    pub(super) fn open(folder: tempfile::TempDir, bounds: Bounds) -> Self {
        // Another test may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let at = folder.path();
        let db = Database::open(&at.join("db")).unwrap();
        let content = ContentStore::open(&at.join("content")).unwrap();
        let snapshots = Snapshots::open(&at.join("layers"), db.clone()).unwrap();
        let registry = Registry::new(RegistryConfig::default()).unwrap();
        let images = Images::open(ImagesConfig {
            content: content.clone(),
            snapshots: snapshots.clone(),
            db: db.clone(),
            registry: registry.clone(),
            bundled: Vec::new(),
        })
        .unwrap();
        let executor = Arc::new(Commands::default());
        let config = Arc::new(BuilderConfig {
            images,
            content,
            snapshots,
            db,
            registry,
            executor: executor.clone(),
            http: Arc::new(LazyLock::new(Box::new(|| Ok(reqwest::Client::new())))),
            folder: at.join("builder"),
            memory: at.join("memory"),
            bounds,
        });
        std::fs::create_dir_all(at.join("builder/work")).unwrap();
        std::fs::create_dir_all(at.join("memory")).unwrap();
        Self {
            cache: Cache::open(Arc::clone(&config)).unwrap(),
            config,
            flights: Flights::default(),
            executor,
            client: Arc::new(Files {
                root: at.join("context"),
                secrets: Mutex::default(),
            }),
            told: Arc::default(),
            folder,
        }
    }

    /// As after the end of the process.
    pub(super) fn reopened(self) -> Self {
        let bounds = self.config.bounds;
        let Self { folder, .. } = self;
        Self::open(folder, bounds)
    }

    pub(super) fn job(&self) -> Arc<Job> {
        Arc::new(Job::new(JobParts {
            cache: self.cache.clone(),
            flights: self.flights.clone(),
            client: self.client.clone(),
            listener: self.told.clone(),
            entitlements: Vec::new(),
            memory: self.config.memory.clone(),
        }))
    }

    /// Solves the last vertex.
    pub(super) async fn solve(&self, graph: &Graph) -> Result<Root, Error> {
        self.solve_in(&self.job(), graph).await
    }

    /// The same as part of a build.
    pub(super) async fn solve_in(&self, job: &Arc<Job>, graph: &Graph) -> Result<Root, Error> {
        let target = VertexId(graph.vertices.len() - 1);
        let roots = solve(job, graph, &|_| None, &[target]).await?;
        Ok(roots.into_iter().next().unwrap())
    }

    /// Writes a file of the context.
    pub(super) fn write(&self, path: &str, content: &str) {
        let path = self.client.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The root's files: paths with what is in them, directories with a slash.
    pub(super) fn files(&self, root: &Root) -> BTreeMap<String, String> {
        let Some(chain) = root.chain_id() else {
            return BTreeMap::new();
        };
        let mount = self.config.snapshots.view(&chain).unwrap().mount().unwrap();
        let top = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
        let mut files = BTreeMap::new();
        list(&top, "", &mut files);
        files
    }

    /// A file's attributes.
    pub(super) fn stat(&self, root: &Root, path: &str) -> rustix::fs::Stat {
        let chain = root.chain_id().unwrap();
        let mount = self.config.snapshots.view(&chain).unwrap().mount().unwrap();
        dhow_archive::fd::stat(mount.as_fd(), path.as_bytes()).unwrap()
    }
}

fn list(top: &Path, path: &str, files: &mut BTreeMap<String, String>) {
    let mut names: Vec<_> = std::fs::read_dir(top.join(path))
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        let name = format!("{path}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.insert(format!("{name}/"), String::new());
            list(top, &format!("{name}/"), files);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            files.insert(name, format!("-> {}", target.display()));
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            files.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        } else {
            files.insert(name, "special".into());
        }
    }
}

/// Runs what tests name: `write PATH TEXT`, `append PATH TEXT`, `rm PATH`, `fail CODE`, `wait`, `print TEXT`, `env NAME PATH`.
#[derive(Default)]
pub(super) struct Commands {
    pub(super) runs: AtomicUsize,
    /// How many run at the same time at most, and now.
    pub(super) most: AtomicUsize,
    now: AtomicUsize,
    /// Lets commands that wait go on.
    pub(super) gate: tokio::sync::Notify,
    pub(super) waiting: tokio::sync::Notify,
    pub(super) killed: AtomicUsize,
}

struct Alive<'a>(&'a Commands, bool);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            self.0.killed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Executor for Commands {
    fn run<'a>(&'a self, command: Command) -> BoxFuture<'a, Result<i32, ExecutorError>> {
        Box::pin(async move {
            self.runs.fetch_add(1, Ordering::SeqCst);
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let mut alive = Alive(self, false);
            let mount = command.root.mount().unwrap();
            let top = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
            for mounted in &command.mounts {
                // As a runtime does it: what it is mounted on is made.
                let directory =
                    !matches!(&mounted.kind, CommandMountKind::Bind(path) if path.is_file());
                let place = Path::new(&mounted.target);
                dhow_archive::make_place(mount.as_fd(), place, directory).unwrap();
            }
            let words: Vec<&str> = command.args.iter().map(String::as_str).collect();
            let code = self.perform(&words, &top, &command).await?;
            alive.1 = true;
            Ok(code)
        })
    }
}

impl Commands {
    async fn perform(
        &self,
        words: &[&str],
        top: &Path,
        command: &Command,
    ) -> Result<i32, ExecutorError> {
        let at = |path: &str| {
            let mounted = command
                .mounts
                .iter()
                .find(|mount| path.starts_with(&mount.target));
            match mounted.map(|mount| (&mount.kind, &mount.target)) {
                Some((CommandMountKind::Bind(source), target)) => {
                    PathBuf::from(format!("{}{}", source.display(), &path[target.len()..]))
                }
                _ => top.join(path.trim_start_matches('/')),
            }
        };
        match words {
            ["write", path, text] => {
                let path = at(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            ["append", path, text] => {
                use std::io::Write;
                let path = at(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                let mut options = std::fs::File::options();
                let mut file = options.append(true).create(true).open(path).unwrap();
                file.write_all(text.as_bytes()).unwrap();
            }
            ["cat", from, to] => {
                let bytes = std::fs::read(at(from)).unwrap();
                std::fs::write(at(to), bytes).unwrap();
            }
            ["env", name, to] => {
                let start = format!("{name}=");
                let found = command.env.iter().find_map(|env| env.strip_prefix(&start));
                std::fs::write(at(to), found.unwrap_or("none")).unwrap();
            }
            ["rm", path] => {
                let path = at(path);
                match path.is_dir() {
                    true => std::fs::remove_dir_all(path).unwrap(),
                    false => std::fs::remove_file(path).unwrap(),
                }
            }
            ["print", text] => command.output.write(1, text.as_bytes()),
            ["wait", ..] => {
                self.waiting.notify_one();
                self.gate.notified().await;
            }
            ["fail", code] => return Ok(code.parse().unwrap()),
            ["true", ..] => {}
            words => return Err(ExecutorError(format!("exec: {:?}: not found", words[0]))),
        }
        Ok(0)
    }
}

/// A client with a folder.
pub(super) struct Files {
    pub(super) root: PathBuf,
    pub(super) secrets: Mutex<HashMap<String, Vec<u8>>>,
}

struct Folder(PathBuf);

impl Tree for Folder {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Client for Files {
    fn files<'a>(&'a self, _: &'a LocalOp) -> BoxFuture<'a, Result<Arc<dyn Tree>, ClientError>> {
        let folder: Arc<dyn Tree> = Arc::new(Folder(self.root.clone()));
        Box::pin(async move { Ok(folder) })
    }

    fn store(&self, name: &str) -> Option<Arc<dyn ClientStore>> {
        let folder = self.root.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Some(Arc::new(Blobs(folder)))
    }

    fn secret<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, ClientError>> {
        let secret = self.secrets.lock().unwrap().get(id).cloned();
        Box::pin(async move { Ok(secret) })
    }
}

/// A content store of the client.
struct Blobs(PathBuf);

impl ClientStore for Blobs {
    fn read<'a>(
        &'a self,
        digest: &'a Digest,
        to: &'a mut (dyn std::io::Write + Send),
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(async move {
            let bytes = std::fs::read(self.0.join(digest.hex()));
            let bytes = bytes.map_err(|e| ClientError(e.to_string()))?;
            to.write_all(&bytes).map_err(|e| ClientError(e.to_string()))
        })
    }

    fn write<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        mut file: std::fs::File,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(async move {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
            assert_eq!(Digest::of(&bytes), descriptor.digest);
            std::fs::write(self.0.join(descriptor.digest.hex()), bytes).unwrap();
            Ok(())
        })
    }
}

/// All that was told.
#[derive(Default)]
pub(super) struct Heard(pub(super) Mutex<Vec<Progress>>);

impl Listener for Heard {
    fn tell(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress);
    }
}

impl Heard {
    /// The names of vertices that have ended, in their order, those of the cache with a `*`, those that failed with `!`.
    pub(super) fn ended(&self) -> Vec<String> {
        let ended = |progress: &Progress| match progress {
            Progress::Vertex(vertex) if vertex.completed.is_some() => {
                let mark = match (vertex.cached, vertex.error.is_empty()) {
                    (true, _) => "*",
                    (_, false) => "!",
                    _ => "",
                };
                Some(format!("{}{mark}", vertex.name))
            }
            _ => None,
        };
        std::mem::take(&mut *self.0.lock().unwrap())
            .iter()
            .filter_map(ended)
            .collect()
    }
}

/// A graph being drawn.
#[derive(Default)]
pub(super) struct Draw(pub(super) Graph);

impl Draw {
    pub(super) fn add(&mut self, name: &str, op: Op, inputs: &[VertexId]) -> VertexId {
        self.0.vertices.push(Vertex {
            op,
            inputs: inputs.to_vec(),
            name: name.to_owned(),
            platform: Platform::host(),
            no_cache: false,
            lines: None,
        });
        VertexId(self.0.vertices.len() - 1)
    }

    pub(super) fn scratch(&mut self) -> VertexId {
        self.add("", Op::Scratch, &[])
    }

    pub(super) fn context(&mut self) -> VertexId {
        let op = LocalOp {
            name: "context".into(),
            follow: Vec::new(),
            exclude: vec!["ignored".into()],
        };
        self.add("[internal] load build context", Op::Local(op), &[])
    }

    pub(super) fn run(&mut self, root: VertexId, words: &[&str]) -> VertexId {
        self.add(
            &format!("RUN {}", words.join(" ")),
            Op::Run(Box::new(run(words))),
            &[root],
        )
    }

    pub(super) fn copy(
        &mut self,
        root: VertexId,
        from: VertexId,
        sources: &[&str],
        destination: &str,
    ) -> VertexId {
        let action = copy(sources, destination);
        self.file(root, from, action)
    }

    pub(super) fn file(&mut self, root: VertexId, from: VertexId, action: CopyAction) -> VertexId {
        let name = format!("COPY {} {}", action.sources.join(" "), action.destination);
        let op = FileOp {
            actions: vec![FileAction::Copy(action)],
        };
        self.add(&name, Op::File(op), &[root, from])
    }
}

pub(super) fn copy(sources: &[&str], destination: &str) -> CopyAction {
    CopyAction {
        input: 1,
        sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        destination: destination.to_owned(),
        owner: None,
        mode: None,
        parents: false,
        exclude: Vec::new(),
        unpack: false,
        foreign_owners: true,
        epoch: None,
    }
}

pub(super) fn run(words: &[&str]) -> RunOp {
    RunOp {
        args: words.iter().map(|word| (*word).to_owned()).collect(),
        env: vec!["PATH=/bin".into()],
        unkeyed_env: Vec::new(),
        working_dir: "/".into(),
        user: String::new(),
        mounts: Vec::new(),
        network: Network::Default,
        security: Security::Sandbox,
        devices: Vec::new(),
        files: Vec::new(),
        limits: Limits::default(),
    }
}
