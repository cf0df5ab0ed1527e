//! Looking for results in caches elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use dhow_distribution::Credentials;
use dhow_oci::{Descriptor, Digest, ImageConfig, Manifest, ManifestOrIndex, Platform, Reference};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::format::{CONFIG, CacheConfig, INLINE, MOUNT};
use crate::client::ClientStore;
use crate::error::Error;
use crate::key::KeyWriter;
use crate::ops;
use crate::request::CacheSource;
use crate::result::{Layer, Root};
use crate::solve::{Job, Told};

/// The largest manifest or configuration that is read from a client.
const LARGEST: usize = 16 << 20;

/// All that was found in caches elsewhere.
#[derive(Default)]
pub(crate) struct Imported {
    sources: Vec<Source>,
    /// Where a key's result is: the source, and the topmost layer.
    records: HashMap<Digest, (usize, usize)>,
}

struct Source {
    place: Place,
    config: CacheConfig,
    /// The directories of cache mounts, by id.
    mounts: HashMap<String, Descriptor>,
}

/// Where blobs come from.
enum Place {
    Registry(Reference, Credentials),
    Client(Arc<dyn ClientStore>),
}

impl Imported {
    /// Reads what caches there are. One that can't be read is told, and the build goes on without it.
    pub(crate) async fn load(job: &Arc<Job>, sources: &[CacheSource]) -> Self {
        let mut imported = Self::default();
        for source in sources {
            let name = match source {
                CacheSource::Registry(reference) => reference.familiar(),
                CacheSource::Local { digest, .. } => format!("local:{digest}"),
            };
            let name = format!("importing cache manifest from {name}");
            let mut digest = KeyWriter::new("import");
            digest.text(&name);
            let told = Told::begin_alone(&job.listener, digest.finish(), &name);
            match load(job, source).await {
                Ok(found) => {
                    imported.add(found);
                    told.end(false);
                }
                Err(error) => told.fail(&dhow_errdefs::chain(&error).to_string()),
            }
        }
        imported
    }

    fn add(&mut self, source: Source) {
        let position = self.sources.len();
        for record in &source.config.records {
            if let Some(result) = record.layers.last() {
                self.records
                    .entry(record.digest)
                    .or_insert((position, result.layer));
            }
        }
        self.sources.push(source);
    }

    /// The result that a key has elsewhere, fetched and unpacked; `None` where there is none, or it can't be had.
    pub(crate) async fn find(&self, job: &Arc<Job>, key: &Digest) -> Option<Root> {
        let (position, top) = *self.records.get(key)?;
        let source = &self.sources[position];
        let layers = source.config.layers_of(top)?;
        match fetch(job, source, layers).await {
            Ok(root) => Some(root),
            Err(error) => {
                tracing::warn!(error = %dhow_errdefs::chain(&error), "a result of an imported cache");
                None
            }
        }
    }

    /// Has the blob of a cache mount here, and protects it.
    pub(crate) async fn mount(&self, job: &Arc<Job>, id: &str) -> Option<Descriptor> {
        let source = self
            .sources
            .iter()
            .find(|source| source.mounts.contains_key(id))?;
        let blob = source.mounts[id].clone();
        job.protection().extend([blob.digest]);
        match source.blob(job, &blob).await {
            Ok(()) => Some(blob),
            Err(error) => {
                tracing::warn!(error = %dhow_errdefs::chain(&error), "a cache mount of an imported cache");
                None
            }
        }
    }
}

impl Source {
    /// Has a blob here.
    async fn blob(&self, job: &Arc<Job>, blob: &Descriptor) -> Result<(), Error> {
        let kit = &job.cache.config;
        if kit.content.contains(&blob.digest) {
            return Ok(());
        }
        let mut ingest = kit.content.ingest_once()?;
        ingest.expect_size(blob.size);
        match &self.place {
            Place::Client(store) => {
                let read = store.read(&blob.digest, &mut ingest).await;
                read.map_err(client)?;
            }
            Place::Registry(reference, credentials) => {
                use std::io::Write;
                let repository = kit.registry.repository(reference, credentials);
                let failed = |e: dhow_distribution::Error| {
                    Error::Remote(dhow_errdefs::chain(&e).to_string())
                };
                let mut stream = repository.fetch_blob(blob, 0).await.map_err(failed)?;
                while let Some(piece) = stream.chunk().await.map_err(failed)? {
                    ingest
                        .write_all(&piece)
                        .map_err(|e| Error::file("write", "a blob", e))?;
                }
            }
        }
        ingest.commit_pending(&blob.digest, Some(blob.size))?;
        Ok(())
    }
}

fn client(source: crate::client::ClientError) -> Error {
    Error::Client {
        what: "the client's cache".into(),
        source,
    }
}

/// Has the layers here and unpacked.
async fn fetch(
    job: &Arc<Job>,
    source: &Source,
    layers: Vec<(Descriptor, Digest, Option<Timestamp>)>,
) -> Result<Root, Error> {
    let kit = &job.cache.config;
    if let Place::Client(_) = source.place {
        for (blob, _, _) in &layers {
            job.protection().extend([blob.digest]);
            source.blob(job, blob).await?;
        }
    }
    let (reference, credentials) = match &source.place {
        Place::Registry(reference, credentials) => (reference.clone(), credentials.clone()),
        Place::Client(_) => {
            let name =
                Reference::parse("localhost/cache").map_err(|e| Error::invalid(e.to_string()))?;
            (name, Credentials::anonymous())
        }
    };
    let wanted = layers
        .iter()
        .map(|(blob, diff_id, _)| (blob.clone(), *diff_id))
        .collect();
    let (progress, mut nobody) = mpsc::channel(16);
    let fetching = async {
        let result = kit
            .images
            .fetch_layers(&reference, wanted, &credentials, &progress)
            .await;
        drop(progress);
        result
    };
    let listening = async { while nobody.recv().await.is_some() {} };
    let (protection, ()) = tokio::join!(fetching, listening);
    let protection = protection?;
    let mut root = Root::default();
    for (blob, diff_id, created) in layers {
        let chain_id = match root.chain_id() {
            None => diff_id,
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        let size = kit.snapshots.layer(&chain_id)?.size;
        root.layers.push(Layer {
            diff_id,
            chain_id,
            blob,
            size,
            created,
        });
    }
    job.protection().extend(crate::cache::digests(&root));
    drop(protection);
    Ok(root)
}

async fn load(job: &Arc<Job>, source: &CacheSource) -> Result<Source, Error> {
    match source {
        CacheSource::Registry(reference) => registry(job, reference).await,
        CacheSource::Local { store, digest } => local(job, store, digest).await,
    }
}

async fn registry(job: &Arc<Job>, reference: &Reference) -> Result<Source, Error> {
    let reference = reference.clone().with_default_tag();
    let credentials = ops::image::credentials(job, reference.domain()).await;
    let repository = job
        .cache
        .config
        .registry
        .repository(&reference, &credentials);
    let failed = |e: dhow_distribution::Error| Error::Remote(dhow_errdefs::chain(&e).to_string());
    let mut target = repository.resolve(&reference).await.map_err(failed)?;
    let broken = || Error::Remote(format!("{} holds no cache", reference.familiar()));
    let manifest = loop {
        let bytes = repository.fetch_manifest(&target).await.map_err(failed)?;
        match ManifestOrIndex::parse(&bytes, Some(&target.media_type)).map_err(|_| broken())? {
            ManifestOrIndex::Manifest(manifest) => break manifest,
            ManifestOrIndex::Index(index) => {
                let host = Platform::host();
                let fits =
                    |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|p| host.matches(p));
                target = index
                    .manifests
                    .iter()
                    .find(fits)
                    .cloned()
                    .ok_or_else(broken)?;
            }
        }
    };
    let bytes = repository
        .fetch_manifest(&manifest.config)
        .await
        .map_err(failed)?;
    let config = understood(&manifest, &bytes).ok_or_else(broken)?;
    Ok(Source {
        place: Place::Registry(reference, credentials),
        mounts: mounts(&manifest),
        config,
    })
}

async fn local(job: &Arc<Job>, store: &str, digest: &Digest) -> Result<Source, Error> {
    let store = job
        .client
        .store(store)
        .ok_or_else(|| Error::not_found(format!("the client has no content store {store:?}")))?;
    let bytes = document(&*store, digest).await?;
    let broken = || Error::Remote(format!("{digest} is no cache"));
    let Ok(ManifestOrIndex::Manifest(manifest)) = ManifestOrIndex::parse(&bytes, None) else {
        return Err(broken());
    };
    let bytes = document(&*store, &manifest.config.digest).await?;
    let config = understood(&manifest, &bytes).ok_or_else(broken)?;
    Ok(Source {
        place: Place::Client(store),
        mounts: mounts(&manifest),
        config,
    })
}

/// A small blob of the client's, checked.
async fn document(store: &dyn ClientStore, digest: &Digest) -> Result<Vec<u8>, Error> {
    let mut bytes = Bounded(Vec::new());
    store.read(digest, &mut bytes).await.map_err(client)?;
    match Digest::of(&bytes.0) == *digest {
        true => Ok(bytes.0),
        false => Err(Error::Remote(format!(
            "{digest} is not what its digest says"
        ))),
    }
}

struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The cache that a manifest is, or that the configuration of its image has inside.
fn understood(manifest: &Manifest, config: &[u8]) -> Option<CacheConfig> {
    if manifest.config.media_type == CONFIG {
        return serde_json::from_slice(config).ok();
    }
    use base64::Engine;
    let image: ImageConfig = serde_json::from_slice(config).ok()?;
    let text = image.extra.get(INLINE)?.as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()?;
    let mut cache: CacheConfig = serde_json::from_slice(&bytes).ok()?;
    // The image's layers may have been compressed otherwise.
    for layer in &mut cache.layers {
        let told = layer.annotations.as_mut()?;
        let position = image
            .rootfs
            .diff_ids
            .iter()
            .position(|id| Some(*id) == told.diff_id)?;
        let blob = manifest.layers.get(position)?;
        layer.blob = Some(blob.digest);
        told.media_type.clone_from(&blob.media_type);
        told.size = blob.size;
    }
    Some(cache)
}

fn mounts(manifest: &Manifest) -> HashMap<String, Descriptor> {
    manifest
        .layers
        .iter()
        .filter_map(|layer| Some((layer.annotation(MOUNT)?.to_owned(), layer.clone())))
        .collect()
}
