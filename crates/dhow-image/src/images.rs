//! The handle to all images.
#![allow(clippy::todo, unused_variables, reason = "being filled in")]

use std::sync::Arc;

use dhow_content::ContentStore;
use dhow_distribution::{Credentials, Registry};
use dhow_metadata::Database;
use dhow_oci::{Digest, Platform, Reference};
use dhow_snapshot::Snapshots;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    BundledImage, CommitOptions, Deleted, Error, HistoryEntry, Image, ImportOptions, InUse,
    PlatformImage, ProgressSender, Pruned,
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
    inner: Arc<ImagesConfig>,
}

impl Images {
    /// Opens the store.
    pub fn open(config: ImagesConfig) -> Result<Self, Error> {
        todo!()
    }

    /// The image of that name, id, beginning of an id, or `name@digest`; for `platform` if said, else for this machine.
    ///
    /// # Errors
    /// `No such image: x:tag`, an ambiguous id, a malformed name (`InvalidArgument`), or a platform that isn't there.
    pub fn resolve(&self, name: &str, platform: Option<&Platform>) -> Result<Image, Error> {
        todo!()
    }

    /// Every image, newest first, dangling ones too.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        todo!()
    }

    /// The manifests of an image, one per platform and attestation.
    pub fn platforms(&self, image: &Image) -> Result<Vec<PlatformImage>, Error> {
        todo!()
    }

    /// Bytes of `image` that other images use too.
    pub fn shared_size(&self, image: &Image) -> Result<u64, Error> {
        todo!()
    }

    /// Bytes of all images' blobs and unpacked layers, each counted once (`LayersSize` of the API).
    pub fn disk_usage(&self) -> Result<u64, Error> {
        todo!()
    }

    /// Gives the image `source` another name (`latest` if `target` has no tag), taking it from the image that had it.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<(), Error> {
        todo!()
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
        todo!()
    }

    /// Removes every image that `select` picks and nobody uses; dangling ones are those with no tags.
    pub fn prune(
        &self,
        select: &dyn Fn(&Image) -> bool,
        in_use: &dyn Fn(&Digest) -> Option<InUse>,
    ) -> Result<Pruned, Error> {
        todo!()
    }

    /// How the image came about, newest step first.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryEntry>, Error> {
        todo!()
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
        todo!()
    }

    /// Sends an image to the registry of its name; without a tag every tag of the repository is sent (`all_tags`).
    pub async fn push(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<(), Error> {
        todo!()
    }

    /// Takes the images of a `docker save` archive or an OCI layout, plain or compressed.
    pub async fn load(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        platform: Option<&Platform>,
        progress: &ProgressSender,
    ) -> Result<Vec<Image>, Error> {
        todo!()
    }

    /// Writes the named images as one archive (OCI layout with Docker's `manifest.json`).
    ///
    /// All names are resolved before the first byte is written.
    pub async fn save(
        &self,
        names: &[String],
        platform: Option<&Platform>,
        out: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), Error> {
        todo!()
    }

    /// Makes an image of a file system's archive, plain or compressed.
    pub async fn import(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        options: ImportOptions,
    ) -> Result<Image, Error> {
        todo!()
    }

    /// Makes an image of `parent` and one more layer: an OCI layer's tar stream, plain. Blocking and long.
    pub fn commit(
        &self,
        parent: Option<&Image>,
        layer: impl std::io::Read,
        options: CommitOptions,
    ) -> Result<Image, Error> {
        todo!()
    }

    /// The chain id of the image's top layer, unpacking first where that was not done; `None` without layers.
    ///
    /// Blocking; fast when unpacked already.
    pub fn unpack(&self, image: &Image) -> Result<Option<Digest>, Error> {
        todo!()
    }

    /// Loads the bundled image of that name unless it is here; false when none is called so.
    pub async fn load_bundled(&self, reference: &Reference) -> Result<bool, Error> {
        todo!()
    }

    /// Removes blobs and layers that no record leads to; returns the bytes won. Blocking.
    pub fn collect_garbage(&self) -> Result<u64, Error> {
        todo!()
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images").finish_non_exhaustive()
    }
}
