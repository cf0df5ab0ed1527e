//! Images made in memory: layers in any packing, and the documents about them.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::{Compression, GzBuilder, write::GzEncoder};
use serde_json::{Value, json};

use super::tar::{Entry, Tar};
use crate::images::{architecture, digest};

const OCI: [&str; 4] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.layer.v1.tar",
];
const DOCKER: [&str; 4] = [
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.image.rootfs.diff.tar",
];

/// How a layer's archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// One member, as everybody does.
    Gzip,
    /// Many members of a few hundred bytes.
    GzipMembers,
    /// With a name, a comment and an extra field in the header.
    GzipHeader,
    /// Zeroes behind the end, as tapes have them.
    GzipPadded,
    /// Something else behind the end.
    GzipGarbage,
    /// Members that can be read one by one, and a list of them in a last one.
    Estargz,
    /// One frame.
    Zstd,
    /// Several frames and some to be skipped.
    ZstdFrames,
    /// Gzip, told to be nothing.
    GzipToldPlain,
    /// Nothing, told to be gzip.
    PlainToldGzip,
}

impl Packing {
    /// The ending of the media type.
    fn suffix(self, docker: bool) -> &'static str {
        match self {
            Self::Plain | Self::GzipToldPlain => "",
            Self::Zstd | Self::ZstdFrames => "+zstd",
            _ if docker => ".gzip",
            _ => "+gzip",
        }
    }

    fn pack(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain | Self::PlainToldGzip => tar.to_vec(),
            Self::Gzip | Self::GzipToldPlain => gzip(tar),
            Self::GzipMembers => tar.chunks(700).flat_map(gzip).collect(),
            Self::GzipHeader => {
                let builder = GzBuilder::new()
                    .filename("layer.tar")
                    .comment("a layer")
                    .extra(b"XX\x02\x00ab".as_slice())
                    .mtime(7);
                let mut encoder = builder.write(Vec::new(), Compression::best());
                encoder.write_all(tar).expect("memory takes it");
                encoder.finish().expect("memory takes it")
            }
            Self::GzipPadded => [gzip(tar), vec![0; 700]].concat(),
            Self::GzipGarbage => [gzip(tar), b"and then some".to_vec()].concat(),
            Self::Estargz => tar.chunks(512).flat_map(gzip).collect(),
            Self::Zstd => zstd(tar),
            Self::ZstdFrames => {
                let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
                let frames = tar.chunks(600).map(zstd);
                let framed = frames.flat_map(|frame| [skipped.clone(), frame].concat());
                framed.chain(skipped.clone()).collect()
            }
        }
    }
}

/// `bytes` as one member of gzip.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory takes it")
}

/// A document or a layer, with what a descriptor says of it.
#[derive(Debug, Clone)]
pub struct Blob {
    /// What it is told to be.
    pub media_type: String,
    /// What it is.
    pub bytes: Vec<u8>,
}

/// All that a registry has of an image, or of several under an index.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The digest that its name leads to.
    pub top: String,
    /// Everything by digest.
    pub blobs: BTreeMap<String, Blob>,
}

impl Image {
    /// Adds a document or a layer; its descriptor.
    pub fn put(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let size = bytes.len();
        let blob = Blob {
            media_type: media_type.into(),
            bytes,
        };
        self.blobs.insert(digest.clone(), blob);
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }

    /// Adds a document and makes it what the name leads to.
    #[must_use]
    pub fn topped(mut self, media_type: &str, document: &Value) -> Self {
        let descriptor = self.put(media_type, document.to_string().into_bytes());
        self.top = text(&descriptor["digest"]);
        self
    }

    /// An archive of it in OCI's layout, the image under the reference `name`.
    #[must_use]
    pub fn archive(&self, name: &str) -> Vec<u8> {
        let mut top = self.descriptor();
        top["annotations"] = json!({"io.containerd.image.name": name});
        let index = json!({"schemaVersion": 2, "mediaType": OCI[2], "manifests": [top]});
        let blobs = self.blobs.iter().map(|(digest, blob)| {
            let path = format!("blobs/{}", digest.replace(':', "/"));
            Entry::file(path, &blob.bytes)
        });
        Tar::new()
            .with(Entry::file(
                "oci-layout",
                r#"{"imageLayoutVersion":"1.0.0"}"#,
            ))
            .all(blobs)
            .with(Entry::file("index.json", index.to_string()))
            .finish()
    }

    /// The descriptor of what the name leads to.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        let blob = &self.blobs[&self.top];
        json!({"mediaType": blob.media_type, "digest": self.top, "size": blob.bytes.len()})
    }

    /// An index of images, each with what else its descriptor says; the documents of the index are OCI's.
    #[must_use]
    pub fn index(images: Vec<(Self, Value)>) -> Self {
        let mut all = Self::default();
        let mut manifests = Vec::new();
        for (image, more) in images {
            let mut descriptor = image.descriptor();
            for (key, value) in more.as_object().into_iter().flatten() {
                descriptor[key] = value.clone();
            }
            manifests.push(descriptor);
            all.blobs.extend(image.blobs);
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI[2], "manifests": manifests});
        all.topped(OCI[2], &index)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An image in the making.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    image: Image,
    types: [&'static str; 4],
    layers: Vec<Value>,
    config: Value,
    manifest: Value,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageBuilder {
    /// An image without layers, with OCI's media types.
    #[must_use]
    pub fn new() -> Self {
        Self {
            image: Image::default(),
            types: OCI,
            layers: Vec::new(),
            config: json!({
                "architecture": architecture(), "os": "linux", "created": "2026-01-02T03:04:05Z",
                "config": {"Cmd": ["/init"]},
                "rootfs": {"type": "layers", "diff_ids": []}, "history": [],
            }),
            manifest: json!({}),
        }
    }

    /// With Docker's media types.
    #[must_use]
    pub fn docker(mut self) -> Self {
        self.types = DOCKER;
        self
    }

    /// Adds a layer packed with gzip.
    #[must_use]
    pub fn layer(self, tar: impl AsRef<[u8]>) -> Self {
        self.packed(Packing::Gzip, tar)
    }

    /// Adds a layer in some packing.
    #[must_use]
    pub fn packed(mut self, packing: Packing, tar: impl AsRef<[u8]>) -> Self {
        let tar = tar.as_ref();
        let suffix = packing.suffix(self.types == DOCKER);
        let media_type = format!("{}{suffix}", self.types[3]);
        let descriptor = self.image.put(&media_type, packing.pack(tar));
        self.layers.push(descriptor);
        let push = |list: &mut Value, value: Value| {
            if let Some(list) = list.as_array_mut() {
                list.push(value);
            }
        };
        push(&mut self.config["rootfs"]["diff_ids"], json!(digest(tar)));
        push(
            &mut self.config["history"],
            json!({"created": "2026-01-02T03:04:05Z", "created_by": "corpus"}),
        );
        self
    }

    /// Changes the configuration.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes the manifest, when it is made.
    #[must_use]
    pub fn manifest(mut self, more: Value) -> Self {
        self.manifest = more;
        self
    }

    /// The image.
    #[must_use]
    pub fn build(mut self) -> Image {
        let config = self
            .image
            .put(self.types[0], self.config.to_string().into_bytes());
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": self.types[1], "config": config, "layers": self.layers,
        });
        for (key, value) in self.manifest.as_object().into_iter().flatten() {
            manifest[key] = value.clone();
        }
        self.image.topped(self.types[1], &manifest)
    }
}
