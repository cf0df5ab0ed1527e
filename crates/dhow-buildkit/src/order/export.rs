//! What is made of a result.

use std::collections::BTreeMap;

use bollard_buildkit_proto::moby::buildkit::v1::Exporter;
use dhow_builder::request::{Export, ImageOptions};
use dhow_oci::Reference;
use dhow_oci::media_type::Compression;
use tonic::Status;

use super::{invalid, list, not_implemented, truth};

/// The exports of a request, in its order: clients know them by their place.
pub(crate) fn exports(
    exporters: &[Exporter],
    attestations: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Vec<Export>, Status> {
    exporters
        .iter()
        .map(|exporter| export(exporter, attestations))
        .collect()
}

/// Attributes of an exporter as they are taken off.
#[derive(Default)]
struct Read {
    names: Vec<Reference>,
    push: bool,
    tar: Option<bool>,
    split: Option<bool>,
    image: ImageOptions,
}

fn export(
    exporter: &Exporter,
    attestations: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Export, Status> {
    let mut read = Read::default();
    read.image.attestations.clone_from(attestations);
    for (key, value) in &exporter.attrs {
        read.attribute(key, value)?;
    }
    let Read {
        names,
        push,
        tar,
        split,
        image,
    } = read;
    Ok(match exporter.r#type.as_str() {
        "moby" | "image" => Export::Image { names, push, image },
        "local" => Export::Local { split },
        "tar" => Export::Tar,
        "oci" => Export::Oci {
            names,
            tar: tar.unwrap_or(true),
            image,
        },
        "docker" => Export::Docker { names, image },
        other => return Err(not_implemented(format!("the exporter {other:?}"))),
    })
}

impl Read {
    fn attribute(&mut self, key: &str, value: &str) -> Result<(), Status> {
        let refuse = || not_implemented(format!("the exporter's attribute {key}={value}"));
        if let Some(rest) = key.strip_prefix("annotation") {
            return self.annotation(rest, value).ok_or_else(refuse);
        }
        let image = &mut self.image;
        match key {
            "name" => self.names = names(value)?,
            "push" => self.push = truth(key, value)?,
            "tar" => self.tar = Some(truth(key, value)?),
            "platform-split" => self.split = Some(truth(key, value)?),
            "compression" => {
                image.compression = Some(match value {
                    "uncompressed" => Compression::None,
                    "gzip" => Compression::Gzip,
                    "zstd" => Compression::Zstd,
                    other => return Err(not_implemented(format!("the compression {other:?}"))),
                });
            }
            "compression-level" => {
                let wrong = |_| invalid(format!("non-integer value {value} for {key}"));
                image.level = Some(value.parse().map_err(wrong)?);
            }
            "force-compression" => image.force = truth(key, value)?,
            "rewrite-timestamp" => image.rewrite_timestamps = truth(key, value)?,
            "oci-mediatypes" => image.docker_media_types = !truth(key, value)?,
            // What is so in any case.
            "store" | "unpack" | "dest" => {}
            "push-by-digest"
            | "registry.insecure"
            | "name-canonical"
            | "prefer-nondist-layers"
            | "oci-artifact"
                if !truth(key, value)? => {}
            _ => return Err(refuse()),
        }
        Ok(())
    }

    /// `annotation.KEY`, `annotation-manifest.KEY`, `annotation-index.KEY`
    fn annotation(&mut self, rest: &str, value: &str) -> Option<()> {
        let (level, key) = rest.split_once('.')?;
        let key = match level {
            "" | "-manifest" => key.to_owned(),
            "-index" => format!("index:{key}"),
            _ => return None,
        };
        self.image.annotations.insert(key, value.to_owned());
        Some(())
    }
}

fn names(value: &str) -> Result<Vec<Reference>, Status> {
    let name = |text: &String| {
        let parsed = Reference::parse(text);
        let parsed = parsed.map_err(|error| invalid(format!("failed to parse {text}: {error}")))?;
        Ok(parsed.with_default_tag())
    };
    list(value).iter().map(name).collect()
}
