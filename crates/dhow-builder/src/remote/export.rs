//! Writing a cache elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;

use base64::Engine;
use bytes::Bytes;
use dhow_distribution::{Credentials, Repository};
use dhow_oci::{Descriptor, Digest, ImageConfig, Manifest, Reference, media_type};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::format::{CONFIG, Collected, INLINE, MOUNT};
use crate::client::ClientStore;
use crate::error::Error;
use crate::key::KeyWriter;
use crate::ops;
use crate::request::CacheTarget;
use crate::result::Root;
use crate::solve::{Job, Task, Told};

/// What the image's own configuration gets for a cache within it.
pub(crate) fn inline(job: &Job, root: &Root, config: &mut ImageConfig) -> Result<(), Error> {
    let collected = collect(job, std::slice::from_ref(root), false);
    let bytes = encode(&collected)?;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    config.extra.insert(INLINE.to_owned(), text.into());
    Ok(())
}

/// Writes a build's cache to where it is wanted, and gives the manifest of the last one; `roots` are the build's results.
///
/// # Errors
/// The registry or the client refuses it.
pub(crate) async fn export(
    job: &Arc<Job>,
    targets: &[CacheTarget],
    roots: &[Root],
) -> Result<Option<Descriptor>, Error> {
    let mut written = None;
    for target in targets {
        let (name, place, all, mounts) = match target {
            CacheTarget::Inline => continue,
            CacheTarget::Registry {
                reference,
                all,
                mounts,
            } => {
                let reference = reference.clone().with_default_tag();
                let credentials = ops::image::credentials(job, reference.domain()).await;
                let place = Place::Registry(reference, credentials);
                ("exporting cache to registry", place, *all, *mounts)
            }
            CacheTarget::Local { store, all, mounts } => {
                let store = job.client.store(store).ok_or_else(|| {
                    Error::not_found(format!("the client has no content store {store:?}"))
                })?;
                let place = Place::Client(store);
                ("exporting cache to client directory", place, *all, *mounts)
            }
        };
        let mut digest = KeyWriter::new("export");
        digest.text(name).text(format!("{target:?}"));
        let told = Told::begin_alone(&job.listener, digest.finish(), name);
        let mut collected = collect(job, roots, all);
        let result = match mounts {
            true => add_mounts(job, &mut collected).await,
            false => Ok(()),
        };
        let result = match result {
            Ok(()) => write(job, &place, &collected, &told).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(manifest) => {
                told.end(false);
                written = Some(manifest);
            }
            Err(error) => {
                told.fail(&dhow_errdefs::chain(&error).to_string());
                return Err(error);
            }
        }
    }
    Ok(written)
}

enum Place {
    Registry(Reference, Credentials),
    Client(Arc<dyn ClientStore>),
}

/// The results of a build's steps: all, or only those that are part of what came out.
fn collect(job: &Job, roots: &[Root], all: bool) -> Collected {
    let layers = roots.iter().flat_map(|root| &root.layers);
    let chains: HashSet<Digest> = layers.map(|layer| layer.chain_id).collect();
    let mut collected = Collected::default();
    for step in job.steps().iter() {
        let part = step
            .root
            .chain_id()
            .is_some_and(|chain| chains.contains(&chain));
        if all || part {
            collected.add(&step.keys, &step.root);
        }
    }
    collected
}

fn encode(collected: &Collected) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(&collected.config).map_err(|e| Error::invalid(format!("cache: {e}")))
}

async fn write(
    job: &Arc<Job>,
    place: &Place,
    collected: &Collected,
    told: &Told,
) -> Result<Descriptor, Error> {
    let config = encode(collected)?;
    let config_blob = Descriptor::of(CONFIG, &config);
    let manifest = Manifest::oci(config_blob.clone(), collected.blobs.clone());
    let manifest =
        serde_json::to_vec(&manifest).map_err(|e| Error::invalid(format!("cache: {e}")))?;
    let target = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    for blob in &collected.blobs {
        let file = job.cache.config.content.open_blob(&blob.digest)?;
        let started = begin(told, "layer", blob);
        send(job, place, blob, file).await?;
        end(told, "layer", blob, started);
    }
    for (what, blob, bytes) in [
        ("config", &config_blob, &config),
        ("cache image manifest", &target, &manifest),
    ] {
        let started = begin(told, what, blob);
        match (place, what) {
            (Place::Registry(reference, credentials), "cache image manifest") => {
                let tag = reference.tag().unwrap_or("latest").to_owned();
                let bytes = Bytes::copy_from_slice(bytes);
                repository(job, reference, credentials)
                    .push_manifest(&tag, media_type::OCI_MANIFEST, bytes)
                    .await
                    .map_err(remote)?;
            }
            _ => send(job, place, blob, in_memory(job, bytes)?).await?,
        }
        end(told, what, blob, started);
    }
    Ok(target)
}

fn begin(told: &Told, what: &str, blob: &Descriptor) -> Timestamp {
    let started = Timestamp::now();
    task(told, what, blob, started, false);
    started
}

fn end(told: &Told, what: &str, blob: &Descriptor, started: Timestamp) {
    task(told, what, blob, started, true);
}

fn task(told: &Told, what: &str, blob: &Descriptor, started: Timestamp, done: bool) {
    told.task(Task {
        id: &format!("writing {what} {}", blob.digest),
        current: 0,
        total: 0,
        started,
        done,
    });
}

fn repository(job: &Job, reference: &Reference, credentials: &Credentials) -> Repository {
    job.cache.config.registry.repository(reference, credentials)
}

fn remote(error: dhow_distribution::Error) -> Error {
    Error::Remote(dhow_errdefs::chain(&error).to_string())
}

/// Has the place keep a blob.
async fn send(job: &Arc<Job>, place: &Place, blob: &Descriptor, file: File) -> Result<(), Error> {
    match place {
        Place::Registry(reference, credentials) => {
            let repository = repository(job, reference, credentials);
            if repository.blob_exists(&blob.digest).await.map_err(remote)? {
                return Ok(());
            }
            repository
                .push_blob(blob, &file, Arc::new(|_| ()))
                .await
                .map_err(remote)
        }
        Place::Client(store) => store
            .write(blob, file)
            .await
            .map_err(|source| Error::Client {
                what: "the client's cache".into(),
                source,
            }),
    }
}

/// A file of these bytes that has no name.
fn in_memory(job: &Job, bytes: &[u8]) -> Result<File, Error> {
    let failed = |e| Error::file("write", "a document", e);
    let folder = ops::TempFolder::new(&job.cache.config.folder.join("work"))?;
    let path = folder.path().join("document");
    let write = || {
        std::fs::write(&path, bytes)?;
        File::open(&path)
    };
    write().map_err(failed)
}

/// Packs the directories of the cache mounts that the build used.
async fn add_mounts(job: &Arc<Job>, collected: &mut Collected) -> Result<(), Error> {
    let used = job.mounts();
    for (id, path) in used {
        let job = Arc::clone(job);
        let blob = ops::blocking(move || pack(&job, &id, &path)).await?;
        collected.blobs.push(blob);
    }
    Ok(())
}

fn pack(job: &Job, id: &str, path: &std::path::Path) -> Result<Descriptor, Error> {
    let kit = &job.cache.config;
    let folder = File::open(path).map_err(|e| Error::file("open", id, e))?;
    let mut encoder = GzEncoder::new(kit.content.ingest_once()?, Compression::new(1));
    dhow_archive::export(folder.as_fd(), &mut encoder)?;
    let failed = |e| Error::file("write", id, e);
    encoder.flush().map_err(failed)?;
    let ingest = encoder.finish().map_err(failed)?;
    let pause = kit.images.pause_collection();
    let (digest, size) = ingest.commit_any_pending()?;
    job.protection().extend([digest]);
    drop(pause);
    let mut blob = Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size);
    blob.annotations = BTreeMap::from([(MOUNT.to_owned(), id.to_owned())]);
    Ok(blob)
}
