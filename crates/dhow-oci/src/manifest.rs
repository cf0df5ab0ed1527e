//! Image manifests and indexes, Docker's (schema 2) and OCI's alike.

use std::collections::BTreeMap;

use dhow_errdefs::{Classify, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Descriptor, media_type};

/// One image for one platform: a config and its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own type; OCI allows it to be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image's config.
    pub config: Descriptor,
    /// The image's layers, lowest first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// What this manifest is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Manifest {
    /// An OCI manifest of these parts.
    #[must_use]
    pub fn oci(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.into()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
            extra: Map::new(),
        }
    }
}

/// Several images, each for its platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own type; OCI allows it to be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests, in the order of preference.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// What this index is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields this crate does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Index {
    /// An OCI index of these manifests.
    #[must_use]
    pub fn oci(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.into()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
            extra: Map::new(),
        }
    }
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives for a moment, one at a time"
)]
pub enum ManifestOrIndex {
    /// One image.
    Manifest(Manifest),
    /// Images for several platforms.
    Index(Index),
}

/// A document that is no manifest or index.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape.
    #[error("invalid manifest")]
    Json(#[source] serde_json::Error),
    /// A type we don't know; the text is containerd's.
    #[error("unsupported media type {0}")]
    MediaType(String),
    /// Both `manifests` and `layers`/`config`: readable in two ways, refused (CVE-2021-41190).
    #[error("invalid manifest: ambiguous, has both an index's and a manifest's fields")]
    Ambiguous,
    /// Docker's first format, long withdrawn; Docker's text.
    #[error(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. \
         Suggest the author of the image to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. \
         More information at https://docs.docker.com/go/deprecated-image-specs/"
    )]
    Schema1,
}

impl Classify for ManifestError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl ManifestOrIndex {
    /// Reads a document; `told` is the media type it was served or described with, if any.
    pub fn parse(bytes: &[u8], told: Option<&str>) -> Result<Self, ManifestError> {
        let probe: Probe = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if probe.schema_version == 1 || probe.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        if probe.manifests.is_some() && (probe.layers.is_some() || probe.config.is_some()) {
            return Err(ManifestError::Ambiguous);
        }
        let own = probe.media_type.as_deref();
        let kind = own.or(told.filter(|t| media_type::is_index(t) || media_type::is_manifest(t)));
        let index = match kind {
            Some(kind) if media_type::is_index(kind) => true,
            Some(kind) if media_type::is_manifest(kind) => false,
            Some(other) => return Err(ManifestError::MediaType(other.to_owned())),
            None => probe.manifests.is_some(),
        };
        if index {
            serde_json::from_slice(bytes)
                .map(Self::Index)
                .map_err(ManifestError::Json)
        } else {
            serde_json::from_slice(bytes)
                .map(Self::Manifest)
                .map_err(ManifestError::Json)
        }
    }

    /// The media type to store and serve the document under.
    #[must_use]
    pub fn media_type(&self) -> &str {
        match self {
            Self::Manifest(m) => m.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST),
            Self::Index(i) => i.media_type.as_deref().unwrap_or(media_type::OCI_INDEX),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn manifest_and_index_are_told_apart() {
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{DIGEST}","size":2}},"layers":[],"new":1}}"#
        );
        let ManifestOrIndex::Manifest(read) =
            ManifestOrIndex::parse(manifest.as_bytes(), None).unwrap()
        else {
            panic!("a manifest")
        };
        assert_eq!(read.extra["new"], 1);
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(
            ManifestOrIndex::parse(index, None),
            Ok(ManifestOrIndex::Index(_))
        ));
    }

    #[test]
    fn refused_documents() {
        let both = format!(
            r#"{{"schemaVersion":2,"manifests":[],"config":{{"digest":"{DIGEST}","size":2}}}}"#
        );
        let table: [(&str, &str); 4] = [
            ("x", "invalid manifest"),
            (
                r#"{"schemaVersion":1,"fsLayers":[]}"#,
                "Docker Image Format v1",
            ),
            (
                r#"{"schemaVersion":2,"mediaType":"text/plain"}"#,
                "unsupported media type text/plain",
            ),
            (&both, "ambiguous"),
        ];
        for (document, text) in table {
            let error = ManifestOrIndex::parse(document.as_bytes(), None).unwrap_err();
            assert!(error.to_string().contains(text), "{document}: {error}");
        }
    }
}
