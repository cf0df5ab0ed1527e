//! Images made in memory.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "tests")]

use std::io::Write;

use dhow_archive::tar::{Header, Writer};
use dhow_oci::{Digest, Platform, media_type};
use serde_json::{Value, json};

use crate::fake::Repository;

/// A layer's tar with one file per pair.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, content) in files {
        writer
            .bytes(Header::file(*name, 0o644, 0), content)
            .unwrap();
    }
    writer.finish().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layer with a file of `size` zeroes, packed as small as can be.
pub fn bomb(size: u64) -> Layer {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut writer = Writer::new(encoder);
    let zeroes = std::io::Read::take(std::io::repeat(0), size);
    writer
        .file(&Header::file("zeroes", 0o644, size), zeroes)
        .unwrap();
    let blob = writer.finish().unwrap().finish().unwrap();
    Layer {
        blob,
        media_type: media_type::OCI_LAYER_GZIP,
        diff_id: Digest::of(b"unknown"),
    }
}

/// Bytes that don't compress.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A layer: what the registry has of it, and the diff id the config tells.
pub struct Layer {
    pub blob: Vec<u8>,
    pub media_type: &'static str,
    pub diff_id: Digest,
}

impl Layer {
    pub fn gzip(tar: &[u8]) -> Self {
        Self {
            blob: gzip(tar),
            media_type: media_type::OCI_LAYER_GZIP,
            diff_id: Digest::of(tar),
        }
    }

    pub fn zstd(tar: &[u8]) -> Self {
        let blob = zstd::encode_all(tar, 3).unwrap();
        Self {
            blob,
            media_type: media_type::OCI_LAYER_ZSTD,
            diff_id: Digest::of(tar),
        }
    }

    pub fn plain(tar: &[u8]) -> Self {
        let diff_id = Digest::of(tar);
        Self {
            blob: tar.to_vec(),
            media_type: media_type::OCI_LAYER,
            diff_id,
        }
    }
}

/// Puts an image into a repository; returns its manifest's digest.
pub fn image(
    repository: &mut Repository,
    tag: &str,
    layers: &[Layer],
    platform: &Platform,
) -> Digest {
    let manifest = manifest(repository, layers, platform);
    repository.manifest(tag, &manifest)
}

pub fn manifest(repository: &mut Repository, layers: &[Layer], platform: &Platform) -> Value {
    let config = json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "created": "2024-05-06T07:08:09Z",
        "config": { "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|l| l.diff_id).collect::<Vec<_>>() },
        "history": layers.iter().map(|_| json!({ "created_by": "test" })).collect::<Vec<_>>(),
    })
    .to_string();
    let config_digest = repository.blob(config.as_bytes());
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            let digest = repository.blob(layer.blob.clone());
            json!({ "mediaType": layer.media_type, "digest": digest, "size": layer.blob.len() })
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": { "mediaType": media_type::OCI_CONFIG, "digest": config_digest, "size": config.len() },
        "layers": layers,
    })
}
