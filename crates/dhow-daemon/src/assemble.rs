//! The composition root: everything the daemon is made of, put together.
#![allow(
    clippy::result_large_err,
    reason = "these errors are made once, when the daemon ends"
)]

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dhow_buildkit::BuildKit;
use dhow_content::ContentStore;
use dhow_distribution::{Registry, RegistryConfig};
use dhow_engine::{About, Collaborators, Engine, EngineConfig};
use dhow_image::{BundledImage, Images, ImagesConfig};
use dhow_metadata::Database;
use dhow_network::{Networks, NetworksConfig};
use dhow_server::Builds;
use dhow_snapshot::Snapshots;
use dhow_volume::Volumes;
use tokio_util::sync::CancellationToken;

use crate::builder;
use crate::settings::Settings;

/// Which part could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot make {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot find the running program")]
    Program(#[source] io::Error),
    #[error("cannot open the records")]
    Metadata(#[from] dhow_metadata::Error),
    #[error("cannot open the content store")]
    Content(#[from] dhow_content::Error),
    #[error("cannot open the layers")]
    Snapshots(#[from] dhow_snapshot::Error),
    #[error("cannot set the registry client up")]
    Registry(#[from] dhow_distribution::Error),
    #[error("cannot open the images")]
    Images(#[from] dhow_image::Error),
    #[error("cannot open the volumes")]
    Volumes(#[from] dhow_volume::Error),
    #[error("Error initializing network controller")]
    Networks(#[from] dhow_network::Error),
    #[error("cannot open the builder")]
    Builder(#[from] dhow_builder::Error),
    #[error("cannot open BuildKit's services")]
    BuildKit(#[from] dhow_buildkit::Error),
    #[error("cannot make the engine")]
    Engine(#[from] dhow_engine::Error),
}

/// What the routes work with.
pub(crate) struct Assembled {
    pub(crate) engine: Engine,
    pub(crate) registry: Registry,
    pub(crate) images: Images,
    pub(crate) builds: Builds,
    pub(crate) buildkit: BuildKit,
}

/// Makes the folders of the state and of the run, for root alone.
pub(crate) fn folders(settings: &Settings) -> Result<(), Error> {
    for (path, mode) in [
        (&settings.paths.data_root, 0o710),
        (&settings.paths.exec_root, 0o711),
    ] {
        folder(path, mode)?;
    }
    Ok(())
}

pub(crate) fn folder(path: &Path, mode: u32) -> Result<(), Error> {
    let fail = |source| Error::Folder {
        path: path.to_owned(),
        source,
    };
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(fail)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(fail)
}

/// Puts the engine together; nothing is restored yet.
pub(crate) fn assemble(settings: &Settings, stop: &CancellationToken) -> Result<Assembled, Error> {
    let root = &settings.paths.data_root;
    let db = Database::open(&root.join("dhow.db"))?;
    let content = ContentStore::open(&root.join("content"))?;
    let snapshots = Snapshots::open(root, db.clone())?;
    let registry = Registry::new(registry_config(settings))?;
    let images = Images::open(ImagesConfig {
        content: content.clone(),
        snapshots: snapshots.clone(),
        db: db.clone(),
        registry: registry.clone(),
        bundled: vec![BundledImage {
            reference: dhow_hello::REFERENCE,
            archive: dhow_hello::archive,
        }],
    })?;
    let volumes = Volumes::open(&root.join("volumes"), db.clone())?;
    let networks = Networks::open(networks_config(settings, db.clone()))?;
    let engine = engine_config(settings)?.build(Collaborators {
        db: db.clone(),
        images: images.clone(),
        snapshots: snapshots.clone(),
        networks,
        volumes,
    })?;
    let stores = builder::Stores {
        images: images.clone(),
        content,
        snapshots,
        db,
        registry: registry.clone(),
    };
    let (builds, buildkit) = builder::assemble(settings, &engine, stores, stop)?;
    Ok(Assembled {
        engine,
        registry,
        images,
        builds,
        buildkit,
    })
}

fn registry_config(settings: &Settings) -> RegistryConfig {
    RegistryConfig {
        insecure: settings.registry.insecure.clone(),
        mirrors: settings.registry.mirrors.clone(),
        retries: settings.registry.attempts,
        proxies: settings.registry.proxies.clone(),
        ..RegistryConfig::default()
    }
}

pub(crate) fn networks_config(settings: &Settings, db: Database) -> NetworksConfig {
    let network = &settings.network;
    let instance = settings.instance();
    let mut config = NetworksConfig::new(db);
    if instance != config.instance {
        config.bridge_name.clone_from(&instance);
        config.instance = instance;
    }
    match network.bridge.as_deref() {
        None => {}
        Some("none") => config.default_bridge = false,
        Some(name) => name.clone_into(&mut config.bridge_name),
    }
    config.bip = network.bip;
    config.fixed_cidr = network.fixed_cidr;
    config.address_pools.clone_from(&network.pools);
    config.mtu = network.mtu;
    config.default_bind = network.bind;
    config.ip_forward = network.ip_forward;
    config.icc = network.icc;
    config.ip_masq = network.ip_masq;
    config
}

fn engine_config(settings: &Settings) -> Result<EngineConfig, Error> {
    let engine = &settings.engine;
    Ok(EngineConfig {
        data_root: settings.paths.data_root.clone(),
        exec_root: settings.paths.exec_root.clone(),
        program: std::env::current_exe().map_err(Error::Program)?,
        cgroup_parent: cgroup_parent(settings),
        runtimes: engine.runtimes.clone(),
        default_runtime: engine.default_runtime.clone(),
        defaults: engine.defaults.clone(),
        about: about(settings),
    })
}

/// The group in which the containers' control groups are.
pub(crate) fn cgroup_parent(settings: &Settings) -> String {
    let given = settings.engine.cgroup_parent.clone();
    given.unwrap_or_else(|| format!("/{}", settings.instance()))
}

fn about(settings: &Settings) -> About {
    About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: crate::GIT_COMMIT.to_owned(),
        build_time: crate::BUILD_TIME.to_owned(),
        api_version: dhow_api::API_VERSION.to_owned(),
        min_api_version: dhow_api::MIN_API_VERSION.to_owned(),
        labels: settings.engine.labels.clone(),
        debug: settings.engine.debug,
        experimental: settings.engine.experimental,
        insecure_registries: settings.registry.insecure.clone(),
        registry_mirrors: settings.registry.mirrors.clone(),
    }
}
