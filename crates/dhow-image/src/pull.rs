//! Pulling: what a reference leads to, the manifest for the platform, its layers all at once, the name last.

use std::sync::Arc;

use dhow_distribution::{Credentials, Repository};
use dhow_oci::{
    Descriptor, Digest, ImageConfig, Manifest, ManifestOrIndex, Platform, Reference, media_type,
};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::fetch::{LayerJob, fetch_layer};
use crate::lease::Lease;
use crate::lookup::{by_preference, chain_list, is_image};
use crate::meter::Meter;
use crate::records::{LeaseRecord, MOST_SOURCES, SourceRecord};
use crate::room::is_full;
use crate::store::{DocumentRef, Store};
use crate::unpack::check_layers;
use crate::{BaseImage, Error, Image, Progress, ProgressSender, Protection};

/// A pull under way.
struct Pull<'a> {
    store: &'a Arc<Store>,
    repository: Repository,
    reference: &'a Reference,
    progress: &'a ProgressSender,
    lease: Lease,
}

/// What is to be pulled.
struct Selected {
    descriptor: Descriptor,
    manifest: Manifest,
    config: ImageConfig,
}

/// What a pull gave.
pub(crate) struct Pulled {
    pub(crate) image: Image,
    /// Whether something of it was not here before.
    pub(crate) newer: bool,
}

impl Pulled {
    /// The line that ends a pull of `name`.
    pub(crate) fn status(name: &str, newer: bool) -> Progress {
        Progress::line(if newer {
            format!("Status: Downloaded newer image for {name}")
        } else {
            format!("Status: Image is up to date for {name}")
        })
    }
}

impl Store {
    /// Pulls `reference`, which has a tag or a digest.
    pub(crate) async fn pull(
        self: &Arc<Self>,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<Pulled, Error> {
        let mut pull = Pull {
            store: self,
            repository: self.registry.repository(reference, credentials),
            reference,
            progress,
            lease: self.leases.take([]),
        };
        let target = match pull.repository.resolve(reference).await {
            Ok(target) => target,
            Err(error) => return Err(pull.denied(error)),
        };
        pull.lease.extend([target.digest]);
        let shown = reference
            .tag()
            .map_or_else(|| target.digest.to_string(), str::to_owned);
        let name = reference.familiar_name();
        pull.tell(Progress {
            id: Some(shown),
            ..Progress::line(format!("Pulling from {}", reference.path()))
        })
        .await;
        let old = self
            .find(&reference.canonical())
            .ok()
            .map(|found| found.target.digest);
        let result = pull.run(&target, platform).await;
        let done = match result {
            Ok(selected) => selected,
            Err(error) => {
                drop(pull);
                self.give_up(&target.digest, &error).await;
                return Err(error);
            }
        };
        self.put_name(&reference.canonical(), &target, None)?;
        self.db.delete::<LeaseRecord>(&target.digest.to_string())?;
        self.flush_later();
        pull.tell(Progress::line(format!("Digest: {}", target.digest)))
            .await;
        tracing::debug!(%name, digest = %target.digest, "pulled");
        let newer = old != Some(target.digest) || done.fetched;
        let loaded = self.loaded(&done.descriptor)?;
        let found = self.find(&reference.canonical())?;
        let image = self.image(&target, loaded, &found.all)?;
        Ok(Pulled { image, newer })
    }

    /// Has the image of `reference`'s digest here and unpacked, without giving it a name.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<(BaseImage, Protection), Error> {
        let mut pull = Pull {
            store: self,
            repository: self.registry.repository(reference, credentials),
            reference,
            progress,
            lease: self.leases.take(reference.digest().copied()),
        };
        let target = match reference.digest().and_then(|digest| self.described(digest)) {
            Some(target) => target,
            None => match pull.repository.resolve(reference).await {
                Ok(target) => target,
                Err(error) => return Err(pull.denied(error)),
            },
        };
        pull.lease.extend([target.digest]);
        // One manifest is taken whatever it is for: who builds on it is warned elsewhere.
        let platform = platform.filter(|_| media_type::is_index(&target.media_type));
        let done = match pull.run(&target, platform).await {
            Ok(done) => done,
            Err(error) => {
                drop(pull);
                self.give_up(&target.digest, &error).await;
                return Err(error);
            }
        };
        if done.fetched {
            self.flush_later();
        }
        let loaded = self.loaded(&done.descriptor)?;
        let base = BaseImage {
            manifest: loaded.descriptor,
            layers: loaded.manifest.layers.clone(),
            config: loaded.config,
            fetched: done.fetched,
        };
        Ok((base, Protection(pull.lease)))
    }

    /// Has layers here and unpacked, fetched from the repository of `reference` where they are missing.
    pub(crate) async fn fetch_layers(
        self: &Arc<Self>,
        reference: &Reference,
        layers: Vec<Descriptor>,
        diff_ids: Vec<Digest>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<Protection, Error> {
        if layers.len() != diff_ids.len() {
            return Err(Error::Invalid("layers without diff ids".into()));
        }
        let mut pull = Pull {
            store: self,
            repository: self.registry.repository(reference, credentials),
            reference,
            progress,
            lease: self.leases.take(layers.iter().map(|layer| layer.digest)),
        };
        pull.lease.extend(chain_list(&diff_ids));
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids = diff_ids;
        let nothing = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let selected = Selected {
            descriptor: nothing.clone(),
            manifest: Manifest::oci(nothing, layers),
            config,
        };
        if !pull.is_complete(&selected)? {
            pull.layers(&selected).await?;
            self.flush_later();
        }
        Ok(Protection(pull.lease))
    }

    /// After a failed pull: what can't be gone on with is removed, the rest is kept for the next attempt.
    async fn give_up(self: &Arc<Self>, target: &Digest, error: &Error) {
        let passing = match error {
            Error::Registry(error) => may_pass(error),
            error => matches!(error, Error::Cancelled(_)),
        };
        let (store, key, full) = (Arc::clone(self), target.to_string(), is_full(error));
        let collecting = tokio::task::spawn_blocking(move || {
            let lease = store.db.get::<LeaseRecord>(&key)?;
            if passing && lease.is_some() {
                return Ok(0);
            }
            // On a full disk nothing is kept for another attempt: the room is what is needed most.
            for digest in lease
                .iter()
                .flat_map(|lease| &lease.digests)
                .filter(|_| full)
            {
                store.content.discard_parts(digest)?;
            }
            store.db.delete::<LeaseRecord>(&key)?;
            store.collect_garbage()
        });
        if let Ok(Err(error)) = collecting.await {
            tracing::warn!(%error, "clearing up after a failed pull");
        }
    }

    /// Has new blobs and layers written to the disk for good, without anyone waiting for it.
    pub(crate) fn flush_later(self: &Arc<Self>) {
        let store = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = store.content.flush() {
                tracing::warn!(%error, "blobs can't be flushed");
            }
            if let Err(error) = store.snapshots.flush() {
                tracing::warn!(%error, "layers can't be flushed");
            }
        });
    }

    /// Remembers that a blob is in a repository.
    pub(crate) fn remember_source(
        &self,
        digest: &Digest,
        repository: &Reference,
    ) -> Result<(), Error> {
        let (key, name) = (digest.to_string(), repository.name());
        self.db.write(|tx| {
            let mut record = tx.get::<SourceRecord>(&key)?.unwrap_or_default();
            if record.repositories.len() < MOST_SOURCES && record.repositories.insert(name) {
                tx.put(&key, &record)?;
            }
            Ok(())
        })
    }
}

/// What a pull did.
struct Done {
    descriptor: Descriptor,
    /// Whether anything had to be fetched or unpacked.
    fetched: bool,
}

impl Pull<'_> {
    async fn tell(&self, progress: Progress) {
        // Nobody listening is no reason to stop.
        let _ = self.progress.send(progress).await;
    }

    /// Checks that what is here already is as large as it is told to be; what is fetched is checked on the way.
    fn is_of_its_size(&self, part: &Descriptor) -> Result<(), Error> {
        match self.store.content.size(&part.digest) {
            Ok(found) if found != part.size => Err(dhow_distribution::Error::Size {
                expected: part.size,
                found,
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// moby's text for what may be private or missing.
    fn denied(&self, error: dhow_distribution::Error) -> Error {
        let text = dhow_errdefs::chain(&error).to_string();
        let hidden = text.contains("authorization failed") && !text.contains("no basic auth");
        match hidden {
            true => Error::Denied(self.reference.familiar_name()),
            false => error.into(),
        }
    }

    async fn run(
        &mut self,
        target: &Descriptor,
        platform: Option<&Platform>,
    ) -> Result<Done, Error> {
        let selected = self.select(target, platform).await?;
        let digest = &selected.descriptor.digest;
        let diff_ids = &selected.config.rootfs.diff_ids;
        check_layers(digest, selected.manifest.layers.len(), diff_ids.len())?;
        let parts = std::iter::once(&selected.manifest.config);
        for part in parts.chain(&selected.manifest.layers) {
            self.is_of_its_size(part)?;
        }
        for layer in &selected.manifest.layers {
            acceptable(layer)?;
        }
        self.lease
            .extend(selected.manifest.layers.iter().map(|layer| layer.digest));
        self.lease.extend(chain_list(diff_ids));
        if self.is_complete(&selected)? {
            return Ok(Done {
                descriptor: selected.descriptor,
                fetched: false,
            });
        }
        self.store.has_room(&selected.manifest.layers, diff_ids)?;
        self.keep_unfinished(target, &selected)?;
        self.layers(&selected).await?;
        Ok(Done {
            descriptor: selected.descriptor,
            fetched: true,
        })
    }

    /// Fetches the documents and picks the manifest for the platform.
    async fn select(
        &mut self,
        target: &Descriptor,
        platform: Option<&Platform>,
    ) -> Result<Selected, Error> {
        let (descriptor, manifest) = match self.document(target).await? {
            DocumentRef::Manifest(manifest) => (target.clone(), manifest),
            DocumentRef::Index(index) => {
                let wanted = platform.cloned().unwrap_or_else(Platform::host);
                let descriptor = self.pick(&index.manifests, &wanted).await?;
                let DocumentRef::Manifest(manifest) = self.document(&descriptor).await? else {
                    return Err(Error::Invalid(format!(
                        "{} is an index within an index",
                        descriptor.digest
                    )));
                };
                (descriptor, manifest)
            }
        };
        let manifest = Manifest::clone(&manifest);
        if !media_type::is_config(&manifest.config.media_type) {
            return Err(Error::MediaType {
                digest: manifest.config.digest,
                media_type: manifest.config.media_type,
            });
        }
        self.bytes(&manifest.config).await?;
        let config = ImageConfig::clone(&*self.store.config(&manifest.config.digest)?);
        if let Some(wanted) = platform
            && !wanted.matches(&config.platform())
        {
            return Err(Error::WrongPlatform {
                reference: self.reference.familiar(),
                platform: wanted.to_string(),
            });
        }
        Ok(Selected {
            descriptor,
            manifest,
            config,
        })
    }

    async fn pick(
        &mut self,
        manifests: &[Descriptor],
        wanted: &Platform,
    ) -> Result<Descriptor, Error> {
        if let Some(best) = by_preference(manifests, wanted).first() {
            return Ok((*best).clone());
        }
        // Entries without a platform tell theirs in their configs.
        for descriptor in manifests
            .iter()
            .filter(|d| is_image(d) && d.platform.is_none())
        {
            let DocumentRef::Manifest(manifest) = self.document(descriptor).await? else {
                continue;
            };
            self.bytes(&manifest.config).await?;
            let config = self.store.config(&manifest.config.digest)?;
            if wanted.matches(&config.platform()) {
                return Ok(descriptor.clone());
            }
        }
        Err(Error::NoManifest {
            platform: wanted.to_string(),
        })
    }

    /// A manifest or index, fetched unless it is here.
    async fn document(&mut self, descriptor: &Descriptor) -> Result<DocumentRef, Error> {
        self.bytes(descriptor).await?;
        self.store.manifest_or_index(descriptor)
    }

    /// Has a document in the content store.
    async fn bytes(&mut self, descriptor: &Descriptor) -> Result<(), Error> {
        self.lease.extend([descriptor.digest]);
        if self.store.content.contains(&descriptor.digest) {
            return Ok(());
        }
        let bytes = self.repository.fetch_manifest(descriptor).await?;
        let is_document = !media_type::is_config(&descriptor.media_type);
        if is_document {
            ManifestOrIndex::parse(&bytes, Some(&descriptor.media_type)).map_err(|source| {
                Error::Manifest {
                    digest: descriptor.digest,
                    source,
                }
            })?;
        }
        self.store.content.put(&bytes)?;
        Ok(())
    }

    fn is_complete(&self, selected: &Selected) -> Result<bool, Error> {
        let blobs = selected
            .manifest
            .layers
            .iter()
            .all(|l| self.store.content.contains(&l.digest));
        let top = chain_list(&selected.config.rootfs.diff_ids).pop();
        let unpacked = match top {
            Some(top) => self.store.snapshots.contains(&top)?,
            None => true,
        };
        Ok(blobs && unpacked)
    }

    /// Notes what has been fetched, so that it is there for another attempt should this one be cut off.
    fn keep_unfinished(&self, target: &Descriptor, selected: &Selected) -> Result<(), Error> {
        let manifest = &selected.manifest;
        let mut digests = vec![
            target.digest,
            selected.descriptor.digest,
            manifest.config.digest,
        ];
        digests.extend(manifest.layers.iter().map(|layer| layer.digest));
        digests.extend(chain_list(&selected.config.rootfs.diff_ids));
        let record = LeaseRecord {
            digests,
            since: Timestamp::now(),
        };
        Ok(self.store.db.put(&target.digest.to_string(), &record)?)
    }

    /// Fetches and unpacks all layers, each on its own; they are committed in order.
    async fn layers(&self, selected: &Selected) -> Result<(), Error> {
        let layers = &selected.manifest.layers;
        let diff_ids = &selected.config.rootfs.diff_ids;
        let chains = chain_list(diff_ids);
        let mut missing = Vec::new();
        for (n, layer) in layers.iter().enumerate() {
            let meter = Meter::new(self.progress, layer.digest.short(), layer.size);
            let here = self.store.snapshots.contains(&chains[n])?
                && self.store.content.contains(&layer.digest);
            meter
                .status(if here {
                    "Already exists"
                } else {
                    "Pulling fs layer"
                })
                .await;
            if !here {
                missing.push((n, meter));
            }
        }
        // Dropping the set, with this future or at the first error, stops all of them.
        let mut tasks = JoinSet::new();
        let (working, mut ended) = mpsc::channel(1);
        let mut before = None;
        for (n, meter) in missing {
            let (done, next) = oneshot::channel();
            let job = LayerJob {
                store: Arc::clone(self.store),
                repository: Some(self.repository.clone()),
                layer: layers[n].clone(),
                diff_id: diff_ids[n],
                parent: n.checked_sub(1).map(|below| chains[below]),
                chain: chains[n],
                after: before.replace(next),
                done,
                meter: self.store.audiences.join(&layers[n].digest, &meter),
                working: working.clone(),
                locks: Vec::new(),
            };
            tasks.spawn(fetch_layer(job));
        }
        drop(working);
        let result = first_error(&mut tasks).await;
        tasks.shutdown().await;
        // Threads can't be stopped, only left without input: they end soon.
        while ended.recv().await.is_some() {}
        result?;
        for layer in layers {
            self.store.remember_source(&layer.digest, self.reference)?;
        }
        Ok(())
    }
}

/// Whether a layer can be unpacked.
fn acceptable(layer: &Descriptor) -> Result<(), Error> {
    match media_type::layer_compression(&layer.media_type) {
        Some(_) => Ok(()),
        None => Err(Error::MediaType {
            digest: layer.digest,
            media_type: layer.media_type.clone(),
        }),
    }
}

/// Whether another attempt may end better than one that ended so: not where what the registry says can't be.
fn may_pass(error: &dhow_distribution::Error) -> bool {
    use dhow_distribution::Error;
    !matches!(
        error,
        Error::Digest { .. }
            | Error::Manifest { .. }
            | Error::NotFound { .. }
            | Error::Protocol { .. }
            | Error::Size { .. }
            | Error::TooLarge { .. }
    )
}

/// Waits until all tasks are done or one has failed.
async fn first_error(tasks: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    let mut cancelled = Ok(());
    while let Some(joined) = tasks.join_next().await {
        match joined.map_err(|_| Error::Cancelled("the pull")).flatten() {
            Ok(()) => {}
            // A layer that waited for a failed one; that one's own error is still to come.
            Err(error @ Error::Cancelled(_)) => cancelled = Err(error),
            Err(error) => return Err(error),
        }
    }
    cancelled
}
