//! An image store in a folder of its own, and what tests need around it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "tests")]

pub mod fixture;

use std::path::Path;

use dhow_content::ContentStore;
use dhow_distribution::{Registry, RegistryConfig};
use dhow_image::{BundledImage, Images, ImagesConfig, Progress, ProgressSender};
use dhow_metadata::Database;
use dhow_snapshot::Snapshots;

/// A store that vanishes when dropped.
pub struct TestStore {
    pub images: Images,
    pub content: ContentStore,
    pub snapshots: Snapshots,
    pub db: Database,
    pub folder: tempfile::TempDir,
}

pub fn store() -> TestStore {
    store_in(tempfile::tempdir().unwrap(), RegistryConfig::default())
}

pub fn store_with(bundled: Vec<BundledImage>) -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    let (images, content, snapshots, db) =
        open_with(folder.path(), RegistryConfig::default(), bundled);
    TestStore {
        images,
        content,
        snapshots,
        db,
        folder,
    }
}

pub fn store_in(folder: tempfile::TempDir, config: RegistryConfig) -> TestStore {
    let (images, content, snapshots, db) = open(folder.path(), config);
    TestStore {
        images,
        content,
        snapshots,
        db,
        folder,
    }
}

pub fn open(folder: &Path, config: RegistryConfig) -> (Images, ContentStore, Snapshots, Database) {
    open_with(folder, config, vec![])
}

fn open_with(
    folder: &Path,
    config: RegistryConfig,
    bundled: Vec<BundledImage>,
) -> (Images, ContentStore, Snapshots, Database) {
    let db = Database::open(&folder.join("dhow.db")).unwrap();
    let content = ContentStore::open(&folder.join("content")).unwrap();
    let snapshots = Snapshots::open(&folder.join("layers"), db.clone()).unwrap();
    let images = Images::open(ImagesConfig {
        content: content.clone(),
        snapshots: snapshots.clone(),
        db: db.clone(),
        registry: Registry::new(config).unwrap(),
        bundled,
    })
    .unwrap();
    (images, content, snapshots, db)
}

/// A sender whose messages are collected.
pub fn progress() -> (ProgressSender, tokio::task::JoinHandle<Vec<Progress>>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
    let collected = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(message) = receiver.recv().await {
            all.push(message);
        }
        all
    });
    (sender, collected)
}

/// Whether this may make device nodes and overlay attributes; says loudly when not.
pub fn is_root(test: &str) -> bool {
    dhow_testkit::root_or_skip(test)
}
