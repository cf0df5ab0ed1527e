//! The builder: put together with the engine, the server and BuildKit's services.
#![allow(
    clippy::result_large_err,
    reason = "these errors are made once, when the daemon ends"
)]

mod executor;
mod sessions;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use dhow_builder::request::{BuildRequest, Outcome};
use dhow_builder::usage::{CacheUsage, PruneOptions, Pruned};
use dhow_builder::{Builder, BuilderConfig};
use dhow_buildkit::{BuildKit, BuildKitConfig, Maker};
use dhow_content::ContentStore;
use dhow_distribution::Registry;
use dhow_engine::Engine;
use dhow_errdefs::chain;
use dhow_image::Images;
use dhow_metadata::Database;
use dhow_server::Builds;
use dhow_snapshot::Snapshots;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::assemble::{Error, folder};
use crate::settings::Settings;

/// How often the cache is looked at, where there are rules for it.
const PRUNE: Duration = Duration::from_secs(60);

/// What the builder works with.
pub(crate) struct Stores {
    pub(crate) images: Images,
    pub(crate) content: ContentStore,
    pub(crate) snapshots: Snapshots,
    pub(crate) db: Database,
    pub(crate) registry: Registry,
}

/// Puts the builder together; `stop` ends what is under way.
pub(crate) fn assemble(
    settings: &Settings,
    engine: &Engine,
    stores: Stores,
    stop: &CancellationToken,
) -> Result<(Builds, BuildKit), Error> {
    let root = settings.paths.data_root.join("builder");
    folder(&root, 0o700)?;
    let contexts = root.join("contexts");
    empty(&contexts)?;
    let executor = executor::StepExecutor {
        steps: engine.steps(),
        allowed: settings.builder.entitlements.clone(),
    };
    let builder = Builder::open(BuilderConfig {
        images: stores.images.clone(),
        content: stores.content.clone(),
        snapshots: stores.snapshots,
        db: stores.db.clone(),
        registry: stores.registry,
        executor: Arc::new(executor),
        http: Arc::new(LazyLock::new(Box::new(http_client))),
        folder: root.clone(),
        memory: settings.paths.exec_root.join("builder"),
        bounds: settings.builder.bounds,
    })?;
    let steps = engine.steps();
    let buildkit = BuildKit::open(BuildKitConfig {
        maker: Arc::new(Telling {
            builder: builder.clone(),
            images: engine.images(),
        }),
        images: stores.images,
        content: stores.content,
        db: stores.db,
        folder: root.join("sync"),
        host_gateway: Arc::new(move || steps.host_gateway()),
        policy: settings.builder.policy.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        stop: stop.clone(),
    })?;
    let builds = Builds {
        builder,
        sessions: Arc::new(sessions::BuildKitSessions(buildkit.clone())),
        contexts,
        running: Default::default(),
        images: engine.images(),
        steps: engine.steps(),
        experimental: settings.engine.experimental,
        buildkit: settings.builder.buildkit,
    };
    Ok((builds, buildkit))
}

/// The builder, and the engine that tells of the images it makes.
struct Telling {
    builder: Builder,
    images: dhow_engine::images::Images,
}

impl Maker for Telling {
    fn build(&self, request: BuildRequest) -> BoxFuture<'_, Result<Outcome, dhow_builder::Error>> {
        Box::pin(async move {
            let outcome = self.builder.build(request).await?;
            self.images.built(&outcome.names);
            Ok(outcome)
        })
    }

    fn usage(&self) -> Result<Vec<CacheUsage>, Box<dhow_builder::Error>> {
        self.builder.usage().map_err(Box::new)
    }

    fn prune(&self, options: &PruneOptions) -> Result<Pruned, Box<dhow_builder::Error>> {
        self.builder.prune(options).map_err(Box::new)
    }
}

/// Makes the folder anew: what a daemon that died has left in it is nobody's.
fn empty(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Folder {
            path: path.to_owned(),
            source,
        }),
        _ => folder(path, 0o700),
    }
}

/// Prunes the cache by the rules of the settings from time to time, until `stop`.
pub(crate) async fn prune(builder: Builder, rules: Vec<PruneOptions>, stop: CancellationToken) {
    if rules.is_empty() {
        return;
    }
    let mut times = tokio::time::interval(PRUNE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = times.tick() => {}
        }
        let (builder, rules) = (builder.clone(), rules.clone());
        let work = tokio::task::spawn_blocking(move || {
            for rule in &rules {
                if let Err(error) = builder.prune(rule) {
                    tracing::warn!("prune the build cache: {}", chain(&error));
                }
            }
        });
        if let Err(error) = work.await {
            tracing::warn!("prune the build cache: {error}");
        }
    }
}

/// Trusts whom the system trusts.
fn http_client() -> Result<reqwest::Client, String> {
    let tls = dhow_tls::client(Some(dhow_tls::Roots::system()), None)
        .map_err(|error| chain(&error).to_string())?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| chain(&error).to_string())
}
