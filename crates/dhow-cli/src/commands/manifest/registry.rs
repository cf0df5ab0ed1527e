//! What `manifest` asks of registries; it does so itself, without the engine.

use dhow_client::credentials;
use dhow_distribution::{Credentials, Registry, RegistryConfig, Repository};
use dhow_oci::{Descriptor, Digest, ImageConfig, Index, ManifestOrIndex, Platform, Reference};

use super::entry::{Entry, List};
use crate::error::{Error, Result};
use crate::session::Session;

/// What a name leads to.
pub(super) enum Found {
    Image(Box<Entry>),
    List(Box<Index>),
}

/// The registries as seen by the user's credentials.
pub(super) struct Registries<'a> {
    session: &'a Session,
    registry: Registry,
}

impl<'a> Registries<'a> {
    /// With `insecure`, certificates are not checked and plain HTTP is fine.
    pub(super) fn new(session: &'a Session, insecure: bool) -> Result<Self> {
        let everywhere = ["0.0.0.0/0".to_owned(), "::/0".to_owned()];
        let registry = Registry::new(RegistryConfig {
            insecure: everywhere.into_iter().filter(|_| insecure).collect(),
            ..RegistryConfig::default()
        });
        Ok(Self {
            session,
            registry: registry.map_err(failed)?,
        })
    }

    fn repository(&self, reference: &Reference) -> Result<Repository> {
        let key = credentials::registry_key(reference);
        let found = credentials::find(&self.session.config, &key)?;
        let credentials = Credentials {
            username: found.username,
            password: found.password,
            identity_token: found.identitytoken,
            registry_token: found.registrytoken,
        };
        Ok(self.registry.repository(reference, &credentials))
    }

    /// The image or list that a name leads to.
    pub(super) async fn find(&self, reference: &Reference) -> Result<Found> {
        let repository = self.repository(reference)?;
        let descriptor = repository.resolve(reference).await.map_err(|error| {
            if dhow_errdefs::Classify::kind(&error) == dhow_errdefs::ErrorKind::NotFound {
                Error::text(format!("no such manifest: {}", reference.canonical()))
            } else {
                failed(error)
            }
        })?;
        let bytes = repository
            .fetch_manifest(&descriptor)
            .await
            .map_err(failed)?;
        let document = ManifestOrIndex::parse(&bytes, Some(&descriptor.media_type))
            .map_err(|error| Error::text(format!("{}: {error}", reference.canonical())))?;
        match document {
            ManifestOrIndex::Index(index) => Ok(Found::List(Box::new(index))),
            ManifestOrIndex::Manifest(manifest) => {
                let platform = platform(&repository, &manifest.config).await?;
                let descriptor = Descriptor {
                    platform: Some(platform),
                    ..descriptor
                };
                let entry = Entry::new(reference.canonical(), descriptor, bytes.to_vec())?;
                Ok(Found::Image(Box::new(entry)))
            }
        }
    }

    /// The images of a list that is in a registry.
    pub(super) async fn entries(&self, name: &Reference, index: &Index) -> Result<Vec<Entry>> {
        let repository = self.repository(name)?;
        let mut entries = Vec::new();
        for descriptor in &index.manifests {
            let bytes = repository
                .fetch_manifest(descriptor)
                .await
                .map_err(failed)?;
            let reference = format!("{}@{}", name.canonical(), descriptor.digest);
            entries.push(Entry::new(reference, descriptor.clone(), bytes.to_vec())?);
        }
        Ok(entries)
    }

    /// Brings an image into the repository of `target`, unless it is there; gives its name there.
    pub(super) async fn copy(&self, entry: &Entry, target: &Reference) -> Result<Option<String>> {
        let source = super::reference(&entry.reference)?;
        if source.name() == target.name() {
            return Ok(None);
        }
        let repository = self.repository(target)?;
        for blob in entry.blobs()? {
            // What people have is often in both already.
            if repository.blob_exists(&blob.digest).await.map_err(failed)? {
                continue;
            }
            let mounted = repository.mount_blob(&blob.digest, source.path()).await;
            if !mounted.map_err(failed)? {
                return Err(Error::text(format!(
                    "the registry does not copy {} from {} to {}; push the image to {} first",
                    blob.digest,
                    source.name(),
                    target.name(),
                    target.name()
                )));
            }
        }
        let digest = entry.descriptor.digest;
        repository
            .push_manifest(
                &digest.to_string(),
                &entry.descriptor.media_type,
                entry.raw.clone().into(),
            )
            .await
            .map_err(failed)?;
        Ok(Some(format!("{}@{digest}", target.name())))
    }

    /// Pushes a list under its name and gives its digest.
    pub(super) async fn push_list(&self, target: &Reference, list: &List) -> Result<Digest> {
        let text = list.text()?;
        let digest = Digest::of(text.as_bytes());
        let tag = target.tag().unwrap_or("latest").to_owned();
        self.repository(target)?
            .push_manifest(&tag, list.media_type, text.into_bytes().into())
            .await
            .map_err(failed)?;
        Ok(digest)
    }
}

/// What an image is for, by its configuration.
async fn platform(repository: &Repository, config: &Descriptor) -> Result<Platform> {
    let bytes = repository.fetch_manifest(config).await.map_err(failed)?;
    let config: ImageConfig = serde_json::from_slice(&bytes)
        .map_err(|error| Error::text(format!("cannot read an image's configuration: {error}")))?;
    Ok(Platform {
        architecture: config.architecture,
        os: config.os,
        os_version: config.os_version,
        os_features: config.os_features,
        variant: config.variant,
    })
}

fn failed(error: dhow_distribution::Error) -> Error {
    Error::text(dhow_errdefs::chain(&error).to_string())
}
