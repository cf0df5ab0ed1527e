//! An image in a list, and the list as a registry gets it.

use dhow_oci::{Descriptor, media_type};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// One image of a list, in the form Docker's command line keeps and prints it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The image's name, in full.
    #[serde(rename = "Ref")]
    pub(super) reference: String,
    /// Its manifest, and what the list says of it.
    #[serde(rename = "Descriptor")]
    pub(super) descriptor: Descriptor,
    /// The manifest's bytes.
    #[serde(rename = "Raw", default, with = "bytes")]
    pub(super) raw: Vec<u8>,
    #[serde(
        rename = "SchemaV2Manifest",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    docker: Option<Value>,
    #[serde(
        rename = "OCIManifest",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    oci: Option<Value>,
}

mod bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(from)?.unwrap_or_default();
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

impl Entry {
    /// An image by its manifest, whose bytes were checked.
    pub(super) fn new(reference: String, descriptor: Descriptor, raw: Vec<u8>) -> Result<Self> {
        let document: Value = serde_json::from_slice(&raw).map_err(unreadable)?;
        let (docker, oci) = if descriptor.media_type == media_type::DOCKER_MANIFEST {
            (Some(document), None)
        } else {
            (None, Some(document))
        };
        Ok(Self {
            reference,
            descriptor,
            raw,
            docker,
            oci,
        })
    }

    /// The manifest.
    pub(super) fn document(&self) -> Result<Value> {
        match self.docker.as_ref().or(self.oci.as_ref()) {
            Some(document) => Ok(document.clone()),
            None => serde_json::from_slice(&self.raw).map_err(unreadable),
        }
    }

    /// The config and the layers.
    pub(super) fn blobs(&self) -> Result<Vec<Descriptor>> {
        let manifest: dhow_oci::Manifest =
            serde_json::from_value(self.document()?).map_err(unreadable)?;
        let mut blobs = vec![manifest.config];
        blobs.extend(manifest.layers);
        Ok(blobs)
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::text(format!("cannot read a manifest: {error}"))
}

/// A list as it is pushed; it is of the same kind, Docker's or OCI's, as its first image.
pub(super) struct List {
    pub(super) media_type: &'static str,
    manifests: Vec<Value>,
}

impl List {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let is_docker = |entry: &Entry| entry.descriptor.media_type == media_type::DOCKER_MANIFEST;
        let media_type = if entries.first().is_some_and(is_docker) {
            media_type::DOCKER_MANIFEST_LIST
        } else {
            media_type::OCI_INDEX
        };
        let manifest = |entry: &Entry| {
            let descriptor = &entry.descriptor;
            let mut manifest = json!({
                "mediaType": descriptor.media_type,
                "size": descriptor.size,
                "digest": descriptor.digest,
            });
            if !descriptor.annotations.is_empty() {
                manifest["annotations"] = json!(descriptor.annotations);
            }
            if !descriptor.urls.is_empty() {
                manifest["urls"] = json!(descriptor.urls);
            }
            if let Some(platform) = &descriptor.platform {
                manifest["platform"] = json!(platform);
            }
            manifest
        };
        Self {
            media_type,
            manifests: entries.iter().map(manifest).collect(),
        }
    }

    /// The list's bytes.
    pub(super) fn text(&self) -> Result<String> {
        let document = json!({
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "manifests": self.manifests,
        });
        indented(&document, b"   ")
    }
}

/// JSON over several lines.
pub(super) fn indented<T: Serialize + ?Sized>(value: &T, indent: &[u8]) -> Result<String> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    value.serialize(&mut serializer).map_err(unreadable)?;
    String::from_utf8(text).map_err(|error| Error::text(error.to_string()))
}
