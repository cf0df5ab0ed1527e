//! Composed images become documents in the content store.

use std::collections::BTreeMap;

use dhow_oci::media_type::{self, Compression};
use dhow_oci::{Descriptor, Index, Manifest, Platform};
use serde::Serialize;

use super::Written;
use super::attest::{self, Invocation};
use super::compose::Composed;
use crate::builder::BuilderConfig;
use crate::error::Error;
use crate::request::ImageOptions;

/// Annotations by which attestations are known.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// Writes configurations, manifests, attestations and, where there is more than one manifest, the index. Blocking.
pub(super) fn write(
    kit: &BuilderConfig,
    images: &[Composed],
    options: &ImageOptions,
    multi: bool,
    invocation: &Invocation,
) -> Result<Written, Error> {
    let mut writing = Writing {
        kit,
        options,
        blobs: Vec::new(),
    };
    let mut manifests = Vec::new();
    let mut attestations = Vec::new();
    let mut config = None;
    let mut provenance = None;
    for image in images {
        let (manifest, described) = writing.image(image)?;
        config = Some(manifest.config.digest);
        let statements = attest::statements(kit, image, options, invocation, &described)?;
        if let Some(first) = statements.first() {
            let is_it = first.predicate_type.contains("provenance");
            provenance = provenance.or_else(|| is_it.then(|| first.predicate.to_string()));
        }
        if !statements.is_empty() {
            attestations.push(writing.attestation(&statements, &described)?);
        }
        manifests.push(described);
    }
    let single = manifests.len() == 1;
    let target = match manifests.as_slice() {
        [only] if attestations.is_empty() && !multi => Descriptor {
            platform: None,
            ..only.clone()
        },
        _ => {
            manifests.extend(attestations);
            writing.index(manifests)?
        }
    };
    Ok(Written {
        target,
        config: config.filter(|_| single),
        blobs: writing.blobs,
        provenance,
    })
}

/// Documents being written.
struct Writing<'a> {
    kit: &'a BuilderConfig,
    options: &'a ImageOptions,
    blobs: Vec<Descriptor>,
}

impl Writing<'_> {
    fn put(&mut self, media_type: &str, document: &impl Serialize) -> Result<Descriptor, Error> {
        let bytes = serde_json::to_vec(document)
            .map_err(|e| Error::invalid(format!("{media_type} can't be written: {e}")))?;
        let described = self.kit.images.put_document(media_type, &bytes)?;
        self.blobs.push(described.clone());
        Ok(described)
    }

    fn image(&mut self, image: &Composed) -> Result<(Manifest, Descriptor), Error> {
        let docker = self.options.docker_media_types;
        let (config_type, manifest_type) = match docker {
            true => (media_type::DOCKER_CONFIG, media_type::DOCKER_MANIFEST),
            false => (media_type::OCI_CONFIG, media_type::OCI_MANIFEST),
        };
        let config = self.put(config_type, &image.config)?;
        let layers: Vec<Descriptor> = image
            .layers
            .iter()
            .map(|layer| plain(&layer.blob, docker))
            .collect();
        self.blobs.extend(layers.iter().cloned());
        let mut manifest = Manifest::oci(config, layers);
        manifest.media_type = Some(manifest_type.to_owned());
        manifest.annotations = self.annotations("manifest", &image.platform);
        let mut described = self.put(manifest_type, &manifest)?;
        described.annotations = self.annotations("manifest-descriptor", &image.platform);
        described.platform = Some(image.platform.normalise());
        Ok((manifest, described))
    }

    fn attestation(
        &mut self,
        statements: &[attest::Statement],
        about: &Descriptor,
    ) -> Result<Descriptor, Error> {
        let mut layers = Vec::new();
        for statement in statements {
            let mut layer = self.put(attest::MEDIA_TYPE, &statement.document)?;
            layer.annotations = BTreeMap::from([(
                "in-toto.io/predicate-type".to_owned(),
                statement.predicate_type.to_owned(),
            )]);
            layers.push(layer);
        }
        let diff_ids: Vec<String> = layers
            .iter()
            .map(|layer| layer.digest.to_string())
            .collect();
        let config = serde_json::json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.put(media_type::OCI_CONFIG, &config)?;
        let mut described = self.put(media_type::OCI_MANIFEST, &Manifest::oci(config, layers))?;
        described.platform = Some(Platform::new("unknown", "unknown"));
        described.annotations = BTreeMap::from([
            (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
            (REFERENCE_DIGEST.to_owned(), about.digest.to_string()),
        ]);
        Ok(described)
    }

    fn index(&mut self, manifests: Vec<Descriptor>) -> Result<Descriptor, Error> {
        let kind = match self.options.docker_media_types {
            true => media_type::DOCKER_MANIFEST_LIST,
            false => media_type::OCI_INDEX,
        };
        let mut index = Index::oci(manifests);
        index.media_type = Some(kind.to_owned());
        index.annotations = self.annotations("index", &Platform::new("", ""));
        let mut described = self.put(kind, &index)?;
        described.annotations = self.annotations("index-descriptor", &Platform::new("", ""));
        Ok(described)
    }

    /// The annotations for one kind of document; `manifest[linux/amd64]:` is for one platform, no prefix for manifests.
    fn annotations(&self, kind: &str, platform: &Platform) -> BTreeMap<String, String> {
        let mut chosen = BTreeMap::new();
        for (key, value) in &self.options.annotations {
            let (kinds, name) = match key.split_once(':') {
                Some((kinds, name)) if is_kinds(kinds) => (kinds, name),
                _ => ("manifest", key.as_str()),
            };
            let fits = kinds.split(',').any(|one| match one.split_once('[') {
                Some((named, only)) => {
                    let only = only.trim_end_matches(']').parse::<Platform>();
                    named == kind && only.is_ok_and(|only| only.is_same(platform))
                }
                None => one == kind,
            });
            if fits {
                chosen.insert(name.to_owned(), value.clone());
            }
        }
        chosen
    }
}

/// Whether the beginning of an annotation's key says what documents it is for.
fn is_kinds(text: &str) -> bool {
    let known = [
        "manifest",
        "manifest-descriptor",
        "index",
        "index-descriptor",
    ];
    text.split(',')
        .all(|one| known.contains(&one.split('[').next().unwrap_or(one)))
}

/// A layer as a manifest lists it, in the words of its kind.
fn plain(blob: &Descriptor, docker: bool) -> Descriptor {
    let compression = media_type::layer_compression(&blob.media_type).unwrap_or(Compression::Gzip);
    let kind = match (docker, compression) {
        (true, Compression::None) => media_type::DOCKER_LAYER,
        (true, Compression::Gzip) => media_type::DOCKER_LAYER_GZIP,
        (true, Compression::Zstd) => media_type::DOCKER_LAYER_ZSTD,
        (false, Compression::None) => media_type::OCI_LAYER,
        (false, Compression::Gzip) => media_type::OCI_LAYER_GZIP,
        (false, Compression::Zstd) => media_type::OCI_LAYER_ZSTD,
    };
    Descriptor::new(kind, blob.digest, blob.size)
}
