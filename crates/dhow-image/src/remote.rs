//! What an image in a registry is, without fetching its layers.

use std::sync::Arc;

use dhow_distribution::{Credentials, Repository};
use dhow_oci::{
    Descriptor, Digest, ImageConfig, Index, Manifest, ManifestOrIndex, Platform, Reference,
    media_type,
};

use crate::Error;
use crate::lookup::{by_preference, is_image};
use crate::store::Store;

/// An image as its registry describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteImage {
    /// What its name leads to, a manifest or an index.
    pub target: Descriptor,
    /// The manifest for the platform asked for; the same as `target` unless that is an index.
    pub manifest: Descriptor,
    /// Its configuration.
    pub config: Arc<ImageConfig>,
}

impl Store {
    /// Looks up `reference`, which has a tag or a digest, and keeps nothing of it.
    pub(crate) async fn look_up(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
    ) -> Result<RemoteImage, Error> {
        let repository = self.registry.repository(reference, credentials);
        let target = repository.resolve(reference).await?;
        let wanted = platform.cloned().unwrap_or_else(Platform::host);
        match document(&repository, &target).await? {
            ManifestOrIndex::Manifest(manifest) => {
                let config = config(&repository, &manifest).await?;
                if platform.is_some_and(|p| !p.matches(&config.platform())) {
                    return Err(Error::WrongPlatform {
                        reference: reference.familiar(),
                        platform: wanted.to_string(),
                    });
                }
                Ok(RemoteImage {
                    manifest: target.clone(),
                    target,
                    config: Arc::new(config),
                })
            }
            ManifestOrIndex::Index(index) => {
                let (manifest, config) = chosen(&repository, &index, &wanted).await?;
                Ok(RemoteImage {
                    target,
                    manifest,
                    config: Arc::new(config),
                })
            }
        }
    }
}

/// The entry of an index that fits best, with its configuration.
async fn chosen(
    repository: &Repository,
    index: &Index,
    wanted: &Platform,
) -> Result<(Descriptor, ImageConfig), Error> {
    if let Some(best) = by_preference(&index.manifests, wanted).first() {
        let manifest = manifest(repository, best).await?;
        return Ok(((*best).clone(), config(repository, &manifest).await?));
    }
    // Entries without a platform tell theirs in their configurations.
    let silent = index.manifests.iter().filter(|d| d.platform.is_none());
    for descriptor in silent.filter(|d| is_image(d)) {
        let manifest = manifest(repository, descriptor).await?;
        let config = config(repository, &manifest).await?;
        if wanted.matches(&config.platform()) {
            return Ok((descriptor.clone(), config));
        }
    }
    Err(Error::NoManifest {
        platform: wanted.to_string(),
    })
}

async fn document(
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<ManifestOrIndex, Error> {
    let bytes = repository.fetch_manifest(descriptor).await?;
    parsed(&bytes, descriptor)
}

fn parsed(bytes: &[u8], descriptor: &Descriptor) -> Result<ManifestOrIndex, Error> {
    ManifestOrIndex::parse(bytes, Some(&descriptor.media_type)).map_err(|source| Error::Manifest {
        digest: descriptor.digest,
        source,
    })
}

async fn manifest(repository: &Repository, descriptor: &Descriptor) -> Result<Manifest, Error> {
    match document(repository, descriptor).await? {
        ManifestOrIndex::Manifest(manifest) => Ok(manifest),
        ManifestOrIndex::Index(_) => Err(nested(&descriptor.digest)),
    }
}

fn nested(digest: &Digest) -> Error {
    Error::Invalid(format!("{digest} is an index within an index"))
}

async fn config(repository: &Repository, manifest: &Manifest) -> Result<ImageConfig, Error> {
    let descriptor = &manifest.config;
    if !media_type::is_config(&descriptor.media_type) {
        return Err(Error::MediaType {
            digest: descriptor.digest,
            media_type: descriptor.media_type.clone(),
        });
    }
    let bytes = repository.fetch_manifest(descriptor).await?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Error::Invalid(format!(
            "the config {} can't be read: {e}",
            descriptor.digest
        ))
    })
}
