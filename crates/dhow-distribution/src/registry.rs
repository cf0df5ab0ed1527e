//! The handle to all registries.
#![allow(clippy::todo, unused_variables, reason = "being filled in")]

use std::sync::Arc;

use bytes::Bytes;
use dhow_oci::{Descriptor, Digest, Reference};

use crate::{BlobStream, Credentials, Error, LoggedIn, RegistryConfig};

/// The registry client; clones share connections and tokens.
#[derive(Debug, Clone)]
pub struct Registry {
    config: Arc<RegistryConfig>,
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The manifest or index.
    pub descriptor: Descriptor,
    /// Its bytes, checked.
    pub bytes: Bytes,
}

impl Registry {
    /// Sets the client up; nothing is connected to yet.
    pub fn new(config: RegistryConfig) -> Result<Self, Error> {
        todo!()
    }

    /// The repository that `reference` names, as seen by `credentials`.
    #[must_use]
    pub fn repository(&self, reference: &Reference, credentials: &Credentials) -> Repository {
        todo!()
    }

    /// Finds what `reference` leads to and fetches that document.
    pub async fn resolve(
        &self,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<Resolved, Error> {
        todo!()
    }

    /// Checks credentials with the registry at `server` (`https://index.docker.io/v1/` is Docker Hub).
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<LoggedIn, Error> {
        todo!()
    }
}

/// One repository of one registry.
#[derive(Debug, Clone)]
pub struct Repository {
    registry: Registry,
}

impl Repository {
    /// Finds what a tag or digest leads to, without fetching it.
    pub async fn resolve(&self, reference: &Reference) -> Result<Descriptor, Error> {
        todo!()
    }

    /// Fetches a manifest, index or config by its digest; checked, at most 4 MiB (configs 8 MiB).
    pub async fn fetch_manifest(&self, descriptor: &Descriptor) -> Result<Bytes, Error> {
        todo!()
    }

    /// Fetches a blob from `offset` on.
    pub async fn fetch_blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, Error> {
        todo!()
    }

    /// Whether the repository has the blob.
    pub async fn blob_exists(&self, digest: &Digest) -> Result<bool, Error> {
        todo!()
    }
}
