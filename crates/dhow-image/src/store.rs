//! What all parts of the image store share: collaborators, parsed documents, locks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dhow_content::ContentStore;
use dhow_distribution::Registry;
use dhow_metadata::{Database, Transaction};
use dhow_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, ManifestOrIndex};
use dhow_snapshot::Snapshots;
use tokio::sync::Semaphore;

use crate::lease::Leases;
use crate::lookup::Named;
use crate::meter::Audiences;
use crate::records::ImageRecord;
use crate::{BundledImage, Error, ImagesConfig};

/// The largest manifest or config that is read.
pub(crate) const LARGEST_DOCUMENT: u64 = 8 << 20;
/// How many parsed documents are kept.
const MOST_CACHED: usize = 256;
/// How many layers are fetched and unpacked at the same time, over all pulls.
const PARALLEL_LAYERS: usize = 4;
/// How many connections all pulls together may have beyond one for each layer.
const MORE_CONNECTIONS: usize = 6;

/// The shared insides of [`crate::Images`].
pub(crate) struct Store {
    pub(crate) content: ContentStore,
    pub(crate) snapshots: Snapshots,
    pub(crate) db: Database,
    pub(crate) registry: Registry,
    pub(crate) bundled: Vec<BundledImage>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) layer_permits: Arc<Semaphore>,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) audiences: Audiences,
    names: Mutex<Names>,
    documents: Mutex<HashMap<Digest, Document>>,
    work: Mutex<HashMap<Work, Weak<tokio::sync::Mutex<()>>>>,
}

/// What is to be done once. A layer's blob and its place may have the same digest: the lowest one's that isn't packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// Fetching a blob.
    Blob(Digest),
    /// Putting a layer in its place.
    Layer(Digest),
}

/// All records as last read, until one changes.
#[derive(Default)]
struct Names {
    generation: u64,
    records: Option<Arc<Vec<Named>>>,
}

#[derive(Clone)]
enum Document {
    Manifest(Arc<Manifest>),
    Index(Arc<Index>),
    Config(Arc<ImageConfig>),
}

/// A manifest with its config.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) descriptor: Descriptor,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) config: Arc<ImageConfig>,
}

impl Store {
    pub(crate) fn new(config: ImagesConfig) -> Self {
        Self {
            content: config.content,
            snapshots: config.snapshots,
            db: config.db,
            registry: config.registry,
            bundled: config.bundled,
            leases: Arc::default(),
            layer_permits: Arc::new(Semaphore::new(PARALLEL_LAYERS)),
            connections: Arc::new(Semaphore::new(MORE_CONNECTIONS)),
            audiences: Audiences::default(),
            names: Mutex::default(),
            documents: Mutex::default(),
            work: Mutex::default(),
        }
    }

    /// All names.
    pub(crate) fn records(&self) -> Result<Arc<Vec<Named>>, Error> {
        let lock = || self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = {
            let names = lock();
            if let Some(records) = &names.records {
                return Ok(Arc::clone(records));
            }
            names.generation
        };
        let records = Arc::new(self.db.list::<ImageRecord>()?);
        let mut names = lock();
        if names.generation == generation {
            names.records = Some(Arc::clone(&records));
        }
        Ok(records)
    }

    /// Changes names in one transaction.
    pub(crate) fn change_names<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = self.db.write(change);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.generation += 1;
        names.records = None;
        result
    }

    /// A manifest or index of the content store.
    pub(crate) fn manifest_or_index(&self, descriptor: &Descriptor) -> Result<DocumentRef, Error> {
        match self.cached(&descriptor.digest) {
            Some(Document::Manifest(manifest)) => return Ok(DocumentRef::Manifest(manifest)),
            Some(Document::Index(index)) => return Ok(DocumentRef::Index(index)),
            _ => {}
        }
        let digest = descriptor.digest;
        let bytes = self.content.read(&digest, LARGEST_DOCUMENT)?;
        let parsed = ManifestOrIndex::parse(&bytes, Some(&descriptor.media_type))
            .map_err(|source| Error::Manifest { digest, source })?;
        Ok(match parsed {
            ManifestOrIndex::Manifest(manifest) => {
                let manifest = Arc::new(manifest);
                self.cache(digest, Document::Manifest(Arc::clone(&manifest)));
                DocumentRef::Manifest(manifest)
            }
            ManifestOrIndex::Index(index) => {
                let index = Arc::new(index);
                self.cache(digest, Document::Index(Arc::clone(&index)));
                DocumentRef::Index(index)
            }
        })
    }

    /// An image config of the content store.
    pub(crate) fn config(&self, digest: &Digest) -> Result<Arc<ImageConfig>, Error> {
        if let Some(Document::Config(config)) = self.cached(digest) {
            return Ok(config);
        }
        let bytes = self.content.read(digest, LARGEST_DOCUMENT)?;
        let config: ImageConfig =
            serde_json::from_slice(&bytes).map_err(|source| Error::Config {
                digest: *digest,
                source,
            })?;
        let config = Arc::new(config);
        self.cache(*digest, Document::Config(Arc::clone(&config)));
        Ok(config)
    }

    /// A manifest that is none of an index, with its config.
    pub(crate) fn loaded(&self, descriptor: &Descriptor) -> Result<Loaded, Error> {
        let DocumentRef::Manifest(manifest) = self.manifest_or_index(descriptor)? else {
            return Err(Error::Invalid(format!(
                "{} is an index within an index",
                descriptor.digest
            )));
        };
        let config = self.config(&manifest.config.digest)?;
        Ok(Loaded {
            descriptor: descriptor.clone(),
            manifest,
            config,
        })
    }

    fn cached(&self, digest: &Digest) -> Option<Document> {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned()
    }

    fn cache(&self, digest: Digest, document: Document) {
        let mut documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if documents.len() >= MOST_CACHED {
            documents.clear();
        }
        documents.insert(digest, document);
    }

    /// Forgets the parsed form of what was removed.
    pub(crate) fn forget(&self, digest: &Digest) {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(digest);
    }

    /// The lock of whoever does `what`, so that two do it one after the other and the second finds it done.
    pub(crate) fn work_on(&self, what: Work) -> Arc<tokio::sync::Mutex<()>> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = work.get(&what).and_then(Weak::upgrade) {
            return lock;
        }
        work.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        work.insert(what, Arc::downgrade(&lock));
        lock
    }
}

/// A parsed manifest or index, shared.
#[derive(Debug, Clone)]
pub(crate) enum DocumentRef {
    Manifest(Arc<Manifest>),
    Index(Arc<Index>),
}
