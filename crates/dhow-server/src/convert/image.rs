//! Images.

use std::collections::{BTreeSet, HashMap};

use dhow_api::container::Healthcheck;
use dhow_api::image as wire;
use dhow_api::{Empty, Set};
use dhow_engine::images::ImageSummary;
use dhow_image::{Attestation, Deleted, HistoryEntry, Image, PlatformImage};
use dhow_oci::{ContainerConfig, Descriptor, Digest, Platform, Reference};
use serde_json::{Value, json};

use super::{null_list, null_map, time};
use crate::error::{ApiError, Result};

/// A descriptor.
pub(crate) fn descriptor(descriptor: &Descriptor) -> wire::Descriptor {
    wire::Descriptor {
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest.to_string(),
        size: signed(descriptor.size),
        urls: null_list(&descriptor.urls),
        annotations: null_map(&descriptor.annotations),
        data: descriptor.data.clone(),
        platform: descriptor.platform.as_ref().map(platform),
        artifact_type: descriptor.artifact_type.clone().unwrap_or_default(),
    }
}

/// A platform.
pub(crate) fn platform(platform: &Platform) -> wire::Platform {
    // Both are OCI's own JSON.
    serde_json::to_value(platform)
        .and_then(serde_json::from_value)
        .unwrap_or_default()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn names(references: &[Reference]) -> Vec<String> {
    references.iter().map(Reference::familiar).collect()
}

/// An image in a list.
pub(crate) fn summary(summary: &ImageSummary) -> wire::ImageSummary {
    let image = &summary.image;
    wire::ImageSummary {
        containers: i64::try_from(summary.containers).unwrap_or(i64::MAX),
        created: image.created.map_or(0, time::unix),
        id: image.id.to_string(),
        labels: Some(image.config.config.labels.clone()),
        parent_id: parent(image),
        descriptor: Some(descriptor(&image.target)),
        manifests: None,
        repo_digests: names(&image.digests),
        repo_tags: names(&image.tags),
        shared_size: summary.shared_size.map_or(-1, signed),
        size: signed(image.size),
        virtual_size: None,
    }
}

fn parent(image: &Image) -> String {
    image
        .parent
        .as_ref()
        .map_or_else(String::new, ToString::to_string)
}

/// An image, inspected.
pub(crate) fn inspect(image: &Image) -> wire::ImageInspect {
    let config = &image.config;
    let layers: Vec<String> = config
        .rootfs
        .diff_ids
        .iter()
        .map(ToString::to_string)
        .collect();
    let last = config.history.last();
    wire::ImageInspect {
        id: image.id.to_string(),
        repo_tags: names(&image.tags),
        repo_digests: names(&image.digests),
        parent: parent(image),
        comment: last
            .and_then(|step| step.comment.clone())
            .unwrap_or_default(),
        created: image.created.map(time::rfc3339),
        docker_version: String::new(),
        author: config.author.clone().unwrap_or_default(),
        config: Some(config_view(&config.config)),
        architecture: config.architecture.clone(),
        variant: config.variant.clone().unwrap_or_default(),
        os: config.os.clone(),
        os_version: config.os_version.clone().unwrap_or_default(),
        size: signed(image.size),
        graph_driver: None,
        root_fs: wire::RootFs {
            kind: "layers".to_owned(),
            layers: Some(layers),
        },
        metadata: wire::ImageMetadata {
            last_tag_time: Some(time::or_zero(image.last_tagged)),
        },
        descriptor: Some(descriptor(&image.target)),
        manifests: None,
    }
}

/// One step of an image's history.
pub(crate) fn history(entry: &HistoryEntry) -> wire::ImageHistory {
    wire::ImageHistory {
        comment: entry.comment.clone(),
        created: entry.created.map_or(0, time::unix),
        created_by: entry.created_by.clone(),
        id: entry
            .id
            .as_ref()
            .map_or_else(|| "<missing>".to_owned(), ToString::to_string),
        size: signed(entry.size),
        tags: null_list(&entry.tags),
    }
}

/// What a removal did.
pub(crate) fn deleted(deleted: &Deleted) -> wire::ImageDeleted {
    match deleted {
        Deleted::Untagged(name) => wire::ImageDeleted {
            untagged: name.clone(),
            ..wire::ImageDeleted::default()
        },
        Deleted::Deleted(id) => wire::ImageDeleted {
            deleted: id.to_string(),
            ..wire::ImageDeleted::default()
        },
    }
}

fn config_view(config: &ContainerConfig) -> wire::ImageConfig {
    let set = |keys: &BTreeSet<String>| -> Option<Set> {
        (!keys.is_empty()).then(|| keys.iter().map(|key| (key.clone(), Empty)).collect())
    };
    wire::ImageConfig {
        args_escaped: config.args_escaped,
        user: config.user.clone(),
        exposed_ports: set(&config.exposed_ports),
        env: null_list(&config.env),
        cmd: config.cmd.clone().map(Into::into),
        entrypoint: config.entrypoint.clone().map(Into::into),
        volumes: set(&config.volumes),
        working_dir: config.working_dir.clone(),
        on_build: null_list(&config.on_build),
        labels: null_map(&config.labels),
        stop_signal: config.stop_signal.clone().unwrap_or_default(),
        healthcheck: config.healthcheck.as_ref().map(|check| Healthcheck {
            test: null_list(&check.test),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        shell: null_list(&config.shell),
    }
}

/// An image's manifests as `manifests=1` shows them; `containers` are those of all manifests.
pub(crate) fn manifests(
    images: &[PlatformImage],
    containers: &HashMap<Digest, Vec<String>>,
) -> Vec<Value> {
    let of = |image: &PlatformImage| {
        let of_it = containers.get(&image.descriptor.digest);
        manifest(image, of_it.map_or(&[], Vec::as_slice))
    };
    images.iter().map(of).collect()
}

/// A statement about an image, with what it says if that was asked for.
pub(crate) fn attestation(attestation: &Attestation, text: Option<&[u8]>) -> Result<Value> {
    let mut value = json!({
        "Descriptor": descriptor(&attestation.descriptor),
        "PredicateType": attestation.predicate_type,
    });
    if let Some(text) = text {
        value["Statement"] = serde_json::from_slice(text).map_err(|error| {
            let digest = attestation.descriptor.digest;
            let text = format!("the statement {digest} cannot be read: {error}");
            ApiError::new(dhow_errdefs::ErrorKind::System, text)
        })?;
    }
    Ok(value)
}

fn manifest(image: &PlatformImage, containers: &[String]) -> Value {
    let total = image.content_size.saturating_add(image.unpacked_size);
    let mut value = json!({
        "ID": image.descriptor.digest.to_string(),
        "Descriptor": descriptor(&image.descriptor),
        "Available": image.available,
        "Size": {"Content": image.content_size, "Total": total},
    });
    match &image.attests {
        Some(about) => {
            value["Kind"] = "attestation".into();
            value["AttestationData"] = json!({"For": about.to_string()});
        }
        None => {
            value["Kind"] = "image".into();
            value["ImageData"] = json!({
                "Platform": platform(&image.platform),
                "Containers": containers,
                "Size": {"Unpacked": image.unpacked_size},
            });
        }
    }
    value
}
