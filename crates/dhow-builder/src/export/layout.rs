//! An image as an OCI layout: a tar or a directory; with Docker's `manifest.json` where `docker load` shall take it.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use dhow_archive::tar::{Header, Writer};
use dhow_oci::{Descriptor, Index, Manifest, Reference, media_type};
use serde_json::json;

use super::files::Made;
use crate::builder::BuilderConfig;
use crate::error::Error;

/// The annotations that name an image in a layout's index.
const IMAGE_NAME: &str = "io.containerd.image.name";
const REFERENCE_NAME: &str = "org.opencontainers.image.ref.name";
/// Documents are no larger.
const LARGEST_DOCUMENT: u64 = 8 << 20;

/// What a layout is made of.
pub(super) struct Layout {
    /// What the index leads to.
    pub(super) target: Descriptor,
    /// Everything that leads to.
    pub(super) blobs: Vec<Descriptor>,
    /// The image's names.
    pub(super) names: Vec<Reference>,
    /// Whether Docker's own manifest is there as well.
    pub(super) docker: bool,
}

impl Layout {
    /// Writes it; what is returned is removed when the second is dropped. Blocking.
    pub(super) fn made(&self, kit: &BuilderConfig, tar: bool) -> Result<(PathBuf, Made), Error> {
        if tar {
            let (made, file) = Made::file(kit)?;
            let mut out = Out::Tar(Box::new(Writer::new(file)));
            self.write(kit, &mut out)?;
            out.finish()?;
            return Ok((made.path().to_owned(), made));
        }
        let made = Made::directory(kit)?;
        let mut out = Out::Folder(made.path().to_owned());
        self.write(kit, &mut out)?;
        Ok((made.path().to_owned(), made))
    }

    fn write(&self, kit: &BuilderConfig, out: &mut Out) -> Result<(), Error> {
        out.directory("blobs")?;
        out.directory("blobs/sha256")?;
        let mut written = BTreeSet::new();
        for blob in &self.blobs {
            if written.insert(blob.digest) {
                let path = format!("blobs/sha256/{}", blob.digest.hex());
                out.file(&path, blob.size, kit.content.open_blob(&blob.digest)?)?;
            }
        }
        out.document("index.json", &serde_json::to_vec(&self.index()))?;
        if self.docker {
            out.document(
                "manifest.json",
                &serde_json::to_vec(&self.docker_manifest(kit)?),
            )?;
        }
        let version = serde_json::to_vec(&json!({"imageLayoutVersion": "1.0.0"}));
        out.document("oci-layout", &version)
    }

    fn index(&self) -> Index {
        let mut entries = Vec::new();
        for name in &self.names {
            let name = name.clone().with_default_tag();
            let mut entry = self.target.clone();
            entry
                .annotations
                .insert(IMAGE_NAME.to_owned(), name.canonical());
            entry.annotations.insert(
                REFERENCE_NAME.to_owned(),
                name.tag().unwrap_or_default().to_owned(),
            );
            entries.push(entry);
        }
        if entries.is_empty() {
            entries.push(self.target.clone());
        }
        Index::oci(entries)
    }

    /// What older `docker load`s read: the first image's configuration and layers by path.
    fn docker_manifest(&self, kit: &BuilderConfig) -> Result<serde_json::Value, Error> {
        let manifest = self
            .blobs
            .iter()
            .find(|blob| media_type::is_manifest(&blob.media_type))
            .ok_or_else(|| Error::invalid("there is no image to export"))?;
        let bytes = kit.content.read(&manifest.digest, LARGEST_DOCUMENT)?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|e| Error::invalid(format!("the manifest can't be read: {e}")))?;
        let path = |blob: &Descriptor| format!("blobs/sha256/{}", blob.digest.hex());
        let names = self.names.iter();
        let tags: Vec<String> = names
            .map(|name| name.clone().with_default_tag().familiar())
            .collect();
        Ok(json!([{
            "Config": path(&manifest.config),
            "RepoTags": tags,
            "Layers": manifest.layers.iter().map(path).collect::<Vec<_>>(),
        }]))
    }
}

/// Where a layout is written to.
enum Out {
    Tar(Box<Writer<File>>),
    Folder(PathBuf),
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_string_lossy().into_owned();
    move |source| Error::file("write", path.clone(), source)
}

impl Out {
    fn directory(&mut self, path: &str) -> Result<(), Error> {
        match self {
            Self::Tar(tar) => tar.entry(&Header::directory(path, 0o755))?,
            Self::Folder(folder) => {
                let path = folder.join(path);
                DirBuilder::new().create(&path).map_err(failed(&path))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, size: u64, mut content: File) -> Result<(), Error> {
        match self {
            Self::Tar(tar) => tar.file(&Header::file(path, 0o644, size), content)?,
            Self::Folder(folder) => {
                let path = folder.join(path);
                let mut file = File::create_new(&path).map_err(failed(&path))?;
                std::io::copy(&mut content, &mut file).map_err(failed(&path))?;
            }
        }
        Ok(())
    }

    fn document(&mut self, path: &str, bytes: &serde_json::Result<Vec<u8>>) -> Result<(), Error> {
        let bytes = bytes
            .as_ref()
            .map_err(|e| Error::invalid(format!("{path} can't be written: {e}")))?;
        match self {
            Self::Tar(tar) => tar.bytes(Header::file(path, 0o644, 0), bytes)?,
            Self::Folder(folder) => {
                let path = folder.join(path);
                let mut file = File::create_new(&path).map_err(failed(&path))?;
                file.write_all(bytes).map_err(failed(&path))?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        if let Self::Tar(tar) = self {
            tar.finish()?;
        }
        Ok(())
    }
}
