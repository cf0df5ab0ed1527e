//! The bundled image `dhow/hello`: a first container without any network.
//!
//! One static program (`program/hello.rs`, built by `build.rs`) is all there is in it. [`archive`] packs it as an OCI
//! layout with Docker's `manifest.json`, so that any engine can load it; equal builds give equal bytes.
//!
//! ```
//! let archive = dhow_hello::archive();
//! assert!(archive.len() < 700 * 1024);
//! ```

mod tar;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The image's name.
pub const REFERENCE: &str = "dhow/hello:latest";

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));
/// Equal builds give equal images, so the time of the build is not in it.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// The image as an archive that `load` takes.
#[must_use]
pub fn archive() -> Vec<u8> {
    let layer = tar::archive(&[("hello", 0o755, PROGRAM)]);
    let packed = gzip(&layer);
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "created": CREATED,
        "config": { "Cmd": ["/hello"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created": CREATED, "created_by": "dhow", "comment": "bundled with dhow" }],
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
    })
    .to_string()
    .into_bytes();
    let index = index(&manifest).to_string().into_bytes();
    let saved = json!([{
        "Config": blob(&config),
        "RepoTags": [REFERENCE],
        "Layers": [blob(&packed)],
    }])
    .to_string()
    .into_bytes();
    tar::archive(&[
        ("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#),
        (&blob(&config), 0o644, &config),
        (&blob(&packed), 0o644, &packed),
        (&blob(&manifest), 0o644, &manifest),
        ("index.json", 0o644, &index),
        ("manifest.json", 0o644, &saved),
    ])
}

fn index(manifest: &[u8]) -> Value {
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
    entry["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    entry["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/{REFERENCE}"),
        "org.opencontainers.image.ref.name": "latest",
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    })
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", hex(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing to memory can't fail")
}

/// The architecture in Go's words, as images have it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_the_same_each_time() {
        let archive = archive();
        assert!(archive.len() < 700 * 1024, "{} bytes", archive.len());
        assert_eq!(archive, super::archive());
    }

    #[test]
    fn the_program_is_static() {
        assert_eq!(&PROGRAM[..4], b"\x7fELF");
        let interpreter = b"/lib64/ld-linux";
        assert!(
            !PROGRAM
                .windows(interpreter.len())
                .any(|window| window == interpreter)
        );
    }
}
