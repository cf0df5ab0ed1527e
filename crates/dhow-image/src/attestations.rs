//! Attestations: in-toto statements about an image, kept beside it in its index as BuildKit writes them.

use dhow_oci::{Descriptor, Digest, Platform};

use crate::Error;
use crate::lookup::attested;
use crate::store::{DocumentRef, Store};

/// The annotation of a statement's layer that tells what it states.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
/// The largest statement that is read; SBOMs are some megabytes.
const LARGEST: u64 = 64 << 20;

/// A statement about an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    /// The statement's blob.
    pub descriptor: Descriptor,
    /// What it states: `https://slsa.dev/provenance/v1`.
    pub predicate_type: String,
}

impl Store {
    /// The statements about the variant of an image for `platform`, or for this machine.
    pub(crate) fn attestations(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Vec<Attestation>, Error> {
        let target = self.find(name)?.target;
        let chosen = self.choose(&target, platform)?;
        let chosen = chosen.ok_or_else(|| Error::WrongPlatform {
            reference: name.to_owned(),
            platform: platform.cloned().unwrap_or_else(Platform::host).to_string(),
        })?;
        let DocumentRef::Index(index) = self.manifest_or_index(&target)? else {
            return Ok(Vec::new());
        };
        let about = |one: &&Descriptor| attested(one) == Some(chosen.descriptor.digest);
        let mut attestations = Vec::new();
        for descriptor in index.manifests.iter().filter(about) {
            if !self.content.contains(&descriptor.digest) {
                continue;
            }
            let DocumentRef::Manifest(manifest) = self.manifest_or_index(descriptor)? else {
                continue;
            };
            let statements = manifest.layers.iter().filter_map(|layer| {
                let predicate_type = layer.annotations.get(PREDICATE_TYPE)?.clone();
                Some(Attestation {
                    descriptor: layer.clone(),
                    predicate_type,
                })
            });
            attestations.extend(statements);
        }
        Ok(attestations)
    }

    /// A statement's bytes; at most 64 MiB.
    pub(crate) fn statement(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        Ok(self.content.read(digest, LARGEST)?)
    }
}
