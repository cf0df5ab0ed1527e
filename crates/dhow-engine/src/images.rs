//! Images: the image store, with events told and the images of containers protected.

use std::sync::Arc;

use dhow_distribution::Credentials;
use dhow_image::{
    Deleted, HistoryEntry, Image, ImportOptions, PlatformImage, ProgressSender, Pruned,
};
use dhow_oci::{Platform, Reference};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Result;
use crate::filters::Filters;
use crate::services::Services;

/// An image in a list.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    /// The image.
    pub image: Image,
    /// How many containers were made from it.
    pub containers: usize,
    /// Bytes it shares with other images, when asked for.
    pub shared_size: Option<u64>,
}

/// Images, each named by a reference, its id or the beginning of its id.
#[derive(Debug, Clone)]
pub struct Images {
    pub(crate) services: Arc<Services>,
}

impl Images {
    /// The image of that name.
    ///
    /// # Errors
    /// There is none, or the name is malformed.
    pub fn inspect(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        todo!()
    }

    /// The images that pass the filters (`before`, `dangling`, `label`, `reference`, `since`, `until`), newest first.
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub fn list(&self, filters: &Filters, shared_size: bool) -> Result<Vec<ImageSummary>> {
        todo!()
    }

    /// The manifests of an image, one per platform and attestation.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn platforms(&self, image: &Image) -> Result<Vec<PlatformImage>> {
        todo!()
    }

    /// Gives the image `source` another name.
    ///
    /// # Errors
    /// There is no such image.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<()> {
        todo!()
    }

    /// Removes a name, or an image with all its names.
    ///
    /// # Errors
    /// There is no such image, or containers use it.
    pub async fn remove(&self, name: &str, force: bool, prune: bool) -> Result<Vec<Deleted>> {
        todo!()
    }

    /// Removes what no container uses (filters: `dangling`, `label`, `label!`, `until`).
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        todo!()
    }

    /// How the image came about, newest step first.
    ///
    /// # Errors
    /// There is no such image.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryEntry>> {
        todo!()
    }

    /// Fetches an image from its registry.
    ///
    /// # Errors
    /// As the registry says.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<Image> {
        todo!()
    }

    /// Sends an image to its registry.
    ///
    /// # Errors
    /// There is no such image, or as the registry says.
    pub async fn push(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<()> {
        todo!()
    }

    /// Takes the images of an archive.
    ///
    /// # Errors
    /// The archive is malformed.
    pub async fn load(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        platform: Option<&Platform>,
        progress: &ProgressSender,
    ) -> Result<Vec<Image>> {
        todo!()
    }

    /// Writes images as one archive.
    ///
    /// # Errors
    /// There is no such image (found before the first byte is written), or writing fails.
    pub async fn save(
        &self,
        names: &[String],
        platform: Option<&Platform>,
        out: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<()> {
        todo!()
    }

    /// Makes an image of a file system's archive.
    ///
    /// # Errors
    /// The archive is malformed.
    pub async fn import(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        options: ImportOptions,
    ) -> Result<Image> {
        todo!()
    }
}
