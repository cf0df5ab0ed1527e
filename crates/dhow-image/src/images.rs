//! The handle to all images.

use std::collections::HashSet;
use std::sync::Arc;

use dhow_content::ContentStore;
use dhow_distribution::{Credentials, Registry};
use dhow_metadata::Database;
use dhow_oci::{Descriptor, Digest, Platform, Reference};
use dhow_snapshot::Snapshots;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::SyncIoBridge;

use crate::pull::Pulled;
use crate::store::Store;
use crate::{
    Attestation, BaseImage, BundledImage, CheckOptions, CommitOptions, Deleted, Error, Finding,
    HistoryEntry, Image, ImportOptions, InUse, Pause, PlatformImage, Progress, ProgressSender,
    Protection, Pruned, RemoteImage,
};

/// What images are made of.
#[derive(Debug, Clone)]
pub struct ImagesConfig {
    /// The blobs.
    pub content: ContentStore,
    /// The layers.
    pub snapshots: Snapshots,
    /// The records.
    pub db: Database,
    /// The registry client.
    pub registry: Registry,
    /// Images that come with the program.
    pub bundled: Vec<BundledImage>,
}

/// All images of an engine; clones are the same store.
#[derive(Clone)]
pub struct Images {
    store: Arc<Store>,
}

impl Images {
    /// Opens the store.
    pub fn open(config: ImagesConfig) -> Result<Self, Error> {
        Ok(Self {
            store: Arc::new(Store::new(config)),
        })
    }

    /// The image of that name, id, beginning of an id, or `name@digest`; for `platform` if said, else for this machine.
    ///
    /// # Errors
    /// `No such image: x:tag`, an ambiguous id, a malformed name (`InvalidArgument`), or a platform that isn't there.
    pub fn resolve(&self, name: &str, platform: Option<&Platform>) -> Result<Image, Error> {
        self.store.resolve(name, platform)
    }

    /// Every image, newest first, dangling ones too.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        self.store.list()
    }

    /// The manifests of an image, one per platform and attestation.
    pub fn platforms(&self, image: &Image) -> Result<Vec<PlatformImage>, Error> {
        self.store.platforms(&image.target)
    }

    /// Bytes of `image` that other images use too.
    pub fn shared_size(&self, image: &Image) -> Result<u64, Error> {
        self.store.shared_size(&image.target)
    }

    /// Bytes of all images' blobs and unpacked layers, each counted once (`LayersSize` of the API).
    pub fn disk_usage(&self) -> Result<u64, Error> {
        self.store.disk_usage()
    }

    /// Gives the image `source` another name (`latest` if `target` has no tag), taking it from the image that had it.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<(), Error> {
        self.store.tag(source, target)
    }

    /// Removes a name, or an image with all its names, with Docker's rules.
    ///
    /// `in_use` tells of an image's id who uses it. `prune` removes untagged parents too.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        prune: bool,
        in_use: &dyn Fn(&Digest) -> Option<InUse>,
    ) -> Result<Vec<Deleted>, Error> {
        self.store.remove(name, force, prune, in_use)
    }

    /// Removes every image that `select` picks and nobody uses; dangling ones are those with no tags.
    pub fn prune(
        &self,
        select: &dyn Fn(&Image) -> bool,
        in_use: &dyn Fn(&Digest) -> Option<InUse>,
    ) -> Result<Pruned, Error> {
        self.store.prune(select, in_use)
    }

    /// The statements about the variant of an image for `platform`, or for this machine.
    ///
    /// # Errors
    /// There is no such image, or none for the platform.
    pub fn attestations(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Vec<Attestation>, Error> {
        self.store.attestations(name, platform)
    }

    /// The text of a statement, JSON of at most 64 MiB.
    ///
    /// # Errors
    /// It is not here, or too large.
    pub fn statement(&self, attestation: &Attestation) -> Result<Vec<u8>, Error> {
        self.store.statement(&attestation.descriptor.digest)
    }

    /// How the image came about, newest step first; of the variant for `platform`, or for this machine.
    ///
    /// # Errors
    /// There is no such image, or none for the platform.
    pub fn history(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Vec<HistoryEntry>, Error> {
        self.store.history(name, platform)
    }

    /// Fetches an image and unpacks it. A bundled image is loaded instead.
    ///
    /// A reference without tag and digest means `latest`.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<Image, Error> {
        let reference = match reference.digest() {
            // A tag beside a digest says nothing more.
            Some(digest) => reference.with_digest(*digest),
            None => reference.clone().with_default_tag(),
        };
        if self.load_bundled(&reference).await? {
            return self.bundled_pulled(&reference, platform, progress).await;
        }
        let pulled = self
            .store
            .pull(&reference, platform, credentials, progress)
            .await?;
        let status = Pulled::status(&reference.familiar(), pulled.newer);
        // Nobody listening is no reason to fail.
        let _ = progress.send(status).await;
        Ok(pulled.image)
    }

    /// Fetches the images of all tags of a repository, one after another, as far as it gets.
    ///
    /// # Errors
    /// The registry does not tell its tags, or an image can't be fetched; those before stay.
    pub async fn pull_all(
        &self,
        repository: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<Vec<(Reference, Image)>, Error> {
        let latest = repository.clone().with_default_tag();
        if self.load_bundled(&latest).await? {
            let image = self.bundled_pulled(&latest, platform, progress).await?;
            return Ok(vec![(latest, image)]);
        }
        let tags = self
            .store
            .registry
            .repository(repository, credentials)
            .tags()
            .await?;
        let (mut images, mut newer) = (Vec::new(), false);
        for tag in tags {
            let reference = repository.with_tag(&tag)?;
            let pulled = self
                .store
                .pull(&reference, platform, credentials, progress)
                .await?;
            newer |= pulled.newer;
            images.push((reference, pulled.image));
        }
        let status = Pulled::status(&repository.familiar_name(), newer);
        let _ = progress.send(status).await;
        Ok(images)
    }

    /// Has an image here and unpacked for something to be built on it, without giving it a name; `reference` has a
    /// digest. It is kept while the protection lives, and what of it is not held then for a day.
    ///
    /// # Errors
    /// When it is neither here nor can be fetched, or is not for the platform.
    pub async fn fetch(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<(BaseImage, Protection), Error> {
        self.store
            .fetch(reference, platform, credentials, progress)
            .await
    }

    /// Has layers, lowest first, here and unpacked; those that are missing are fetched from the repository of
    /// `reference`. They are kept while the protection lives.
    ///
    /// # Errors
    /// When one can't be fetched or is not what it should be.
    pub async fn fetch_layers(
        &self,
        reference: &Reference,
        layers: Vec<(Descriptor, Digest)>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<Protection, Error> {
        let (blobs, diff_ids) = layers.into_iter().unzip();
        self.store
            .fetch_layers(reference, blobs, diff_ids, credentials, progress)
            .await
    }

    /// Keeps blobs and layers from garbage collection. It waits for those that are just being removed; so ask whether
    /// they are there after it.
    #[must_use]
    pub fn protect(&self, digests: impl IntoIterator<Item = Digest>) -> Protection {
        Protection(self.store.leases.take(digests))
    }

    /// Keeps everything from garbage collection, for content whose digest is not known before it is there: protect that
    /// before this is dropped.
    #[must_use]
    pub fn pause_collection(&self) -> Pause {
        Pause(self.store.leases.hold())
    }

    /// All blobs and layers (by chain id) that images' names lead to.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn named_content(&self) -> Result<HashSet<Digest>, Error> {
        let reach = self.store.named()?;
        Ok(reach.blobs.into_iter().chain(reach.chains).collect())
    }

    /// Stores a manifest, an index or a configuration that was made elsewhere; whoever calls protects it, or pauses
    /// collection.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn put_document(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        self.store.content.put(bytes)?;
        Ok(Descriptor::of(media_type, bytes))
    }

    /// Gives an image whose documents and layers are here its names; without any it is dangling. Quick.
    ///
    /// # Errors
    /// When something of it is not here, or the records can't be written.
    pub fn name(&self, target: &Descriptor, names: &[Reference]) -> Result<Image, Error> {
        self.store.name_made(target, names)
    }

    /// What `reference` is in its registry, for `platform` if said; only its documents are fetched, and none is kept.
    ///
    /// A reference without tag and digest means `latest`.
    pub async fn look_up(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
    ) -> Result<RemoteImage, Error> {
        let reference = match reference.digest() {
            Some(digest) => reference.with_digest(*digest),
            None => reference.clone().with_default_tag(),
        };
        self.store.look_up(&reference, platform, credentials).await
    }

    /// Sends an image to the registry of its name; without a tag every tag of the repository is sent (`all_tags`).
    pub async fn push(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<(), Error> {
        self.store
            .push(reference, platform, credentials, progress)
            .await
    }

    /// Takes the images of a `docker save` archive or an OCI layout, plain or compressed.
    pub async fn load(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        platforms: &[Platform],
        progress: &ProgressSender,
    ) -> Result<Vec<Image>, Error> {
        let (store, platforms, progress) = (
            Arc::clone(&self.store),
            platforms.to_vec(),
            progress.clone(),
        );
        blocking("the load", move || {
            store.load(SyncIoBridge::new(archive), &platforms, &progress)
        })
        .await
    }

    /// Writes the named images as one archive (OCI layout with Docker's `manifest.json`).
    ///
    /// All names are resolved before the first byte is written.
    pub async fn save(
        &self,
        names: &[String],
        platforms: &[Platform],
        out: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), Error> {
        let plan = self.store.plan_save(names, platforms)?;
        let lease = self.store.lease_plan(&plan);
        let store = Arc::clone(&self.store);
        blocking("the save", move || {
            let _lease = lease;
            let mut out = SyncIoBridge::new(out);
            store.write_archive(&plan, &mut out)?;
            out.shutdown().map_err(|source| Error::Io {
                step: "write archive".into(),
                source,
            })
        })
        .await
    }

    /// Makes an image of a file system's archive, plain or compressed.
    pub async fn import(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        options: ImportOptions,
    ) -> Result<Image, Error> {
        let store = Arc::clone(&self.store);
        blocking("the import", move || {
            store.import(SyncIoBridge::new(archive), &options)
        })
        .await
    }

    /// Makes an image of `parent` and one more layer, an OCI layer's tar stream, plain; without a layer of that only
    /// where there is none. Blocking and long.
    pub fn commit(
        &self,
        parent: Option<&Image>,
        layer: Option<&mut dyn std::io::Read>,
        options: CommitOptions,
    ) -> Result<Image, Error> {
        self.store.commit(parent, layer, options)
    }

    /// The chain id of the image's top layer, unpacking first where that was not done; `None` without layers.
    ///
    /// Blocking; fast when unpacked already.
    pub fn unpack(&self, image: &Image) -> Result<Option<Digest>, Error> {
        if image.chain.is_some() {
            return Ok(image.chain);
        }
        self.store
            .unpack(&self.store.loaded(&image.manifest)?, &|_| ())
    }

    /// Loads the bundled image of that name unless it is here; false when none is called so.
    pub async fn load_bundled(&self, reference: &Reference) -> Result<bool, Error> {
        let name = reference.clone().with_default_tag();
        let is_it = |image: &&BundledImage| {
            Reference::parse(image.reference).is_ok_and(|r| r.with_default_tag() == name)
        };
        let Some(image) = self.store.bundled.iter().find(is_it).copied() else {
            return Ok(false);
        };
        if self.store.find(&name.canonical()).is_ok() {
            return Ok(true);
        }
        let store = Arc::clone(&self.store);
        blocking("the load", move || {
            let (progress, _) = tokio::sync::mpsc::channel(1);
            store.load((image.archive)().as_slice(), &[], &progress)
        })
        .await?;
        Ok(true)
    }

    /// Looks whether files and records agree; what running work uses is left alone. Blocking and, when deep, long.
    ///
    /// # Errors
    /// When the records or folders can't be read; damaged content is a finding.
    pub fn check(&self, options: CheckOptions) -> Result<Vec<Finding>, Error> {
        self.store.check(options)
    }

    /// Removes blobs and layers that no record leads to; returns the bytes won. Blocking.
    pub fn collect_garbage(&self) -> Result<u64, Error> {
        self.store.collect_garbage()
    }
}

impl Images {
    async fn bundled_pulled(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        progress: &ProgressSender,
    ) -> Result<Image, Error> {
        let image = self.resolve(&reference.canonical(), platform)?;
        let lines = [
            Progress {
                id: reference.tag().map(str::to_owned),
                ..Progress::line(format!("Pulling from {}", reference.path()))
            },
            Progress::line(format!("Digest: {}", image.id)),
            Progress::line(format!(
                "Status: Loaded {} from the program itself",
                reference.familiar()
            )),
        ];
        for line in lines {
            // Nobody listening is no reason to stop.
            let _ = progress.send(line).await;
        }
        Ok(image)
    }
}

/// Runs what takes long on a thread that may block.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Cancelled(what))?
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images").finish_non_exhaustive()
    }
}
