//! An engine on simulated supervisors and networks, for tests without privileges.

#![allow(clippy::unwrap_used, reason = "tests")]

mod lifecycle;
mod many;
mod network;
mod restore;
mod steps;
mod supervisor;
mod verbs;

use std::sync::Arc;

use dhow_content::ContentStore;
use dhow_distribution::{Registry, RegistryConfig};
use dhow_image::{Images, ImagesConfig, ImportOptions};
use dhow_metadata::Database;
use dhow_oci::Reference;
use dhow_snapshot::Snapshots;
use dhow_volume::Volumes;

use crate::config::{About, Defaults, EngineConfig};
use crate::engine::{Engine, Stores};
use dhow_container::spec::{ContainerConfig, CreateContainer};

pub(crate) use network::SimNetworks;
pub(crate) use supervisor::{Sim, SimSupervisor};

/// A folder with an engine in it, which can be ended and begun again.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) supervisor: Arc<SimSupervisor>,
    pub(crate) networks: Arc<SimNetworks>,
    db: Database,
    root: tempfile::TempDir,
}

impl World {
    /// A new engine with the image `box`.
    pub(crate) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["data", "run"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let db = Database::open(&root.path().join("data/dhow.db")).unwrap();
        let supervisor = Arc::new(SimSupervisor::default());
        let networks = Arc::new(SimNetworks::default());
        let engine = engine(&root, &db, &networks, &supervisor);
        let options = ImportOptions {
            reference: Some(Reference::parse("box:latest").unwrap()),
            changes: vec!["CMD [\"sh\"]".into()],
            ..ImportOptions::default()
        };
        // Two empty blocks: an archive of nothing.
        engine
            .images()
            .import(std::io::Cursor::new(vec![0_u8; 1024]), options)
            .await
            .unwrap();
        Self {
            engine,
            supervisor,
            networks,
            db,
            root,
        }
    }

    /// The engine dies (without a word) and another one begins on what it left.
    pub(crate) async fn reborn(self) -> Self {
        let Self {
            engine,
            supervisor,
            networks,
            db,
            root,
        } = self;
        drop(engine);
        supervisor.disconnect_all();
        let engine = self::engine(&root, &db, &networks, &supervisor);
        engine.restore().await.unwrap();
        Self {
            engine,
            supervisor,
            networks,
            db,
            root,
        }
    }

    /// Makes a container of that name and gives its id.
    pub(crate) async fn create(
        &self,
        name: &str,
        change: impl FnOnce(&mut CreateContainer),
    ) -> String {
        let mut request = request(name);
        change(&mut request);
        self.engine.containers().create(request).await.unwrap().id
    }

    /// Makes and starts a container, and gives what simulates it.
    pub(crate) async fn run(
        &self,
        name: &str,
        change: impl FnOnce(&mut CreateContainer),
    ) -> Arc<Sim> {
        let id = self.create(name, change).await;
        self.engine.containers().start(name).await.unwrap();
        self.supervisor.sim(&id)
    }

    /// How many files a folder below the root has; none when it is not there.
    pub(crate) fn count(&self, folder: &str) -> usize {
        std::fs::read_dir(self.root.path().join(folder)).map_or(0, Iterator::count)
    }

    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }
}

fn engine(
    root: &tempfile::TempDir,
    db: &Database,
    networks: &Arc<SimNetworks>,
    supervisor: &Arc<SimSupervisor>,
) -> Engine {
    let data = root.path().join("data");
    let snapshots = Snapshots::open(&data.join("layers"), db.clone()).unwrap();
    let images = Images::open(ImagesConfig {
        content: ContentStore::open(&data.join("content")).unwrap(),
        snapshots: snapshots.clone(),
        db: db.clone(),
        registry: Registry::new(RegistryConfig::default()).unwrap(),
        bundled: Vec::new(),
    })
    .unwrap();
    let volumes = Volumes::open(&data.join("volumes"), db.clone()).unwrap();
    let config = EngineConfig {
        data_root: data,
        exec_root: root.path().join("run"),
        program: "/proc/self/exe".into(),
        cgroup_parent: "/test".into(),
        runtimes: std::collections::BTreeMap::new(),
        default_runtime: "runc".into(),
        defaults: Defaults::default(),
        about: About::default(),
    };
    let stores = Stores {
        db: db.clone(),
        images,
        snapshots,
        volumes,
    };
    Engine::assemble(config, stores, networks.clone(), supervisor.clone()).unwrap()
}

/// A request for a container of the image `box`.
pub(crate) fn request(name: &str) -> CreateContainer {
    CreateContainer {
        name: Some(name.to_owned()),
        config: ContainerConfig {
            image: "box".into(),
            ..ContainerConfig::default()
        },
        ..CreateContainer::default()
    }
}
