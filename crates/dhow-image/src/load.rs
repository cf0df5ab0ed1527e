//! Loading archives: OCI layouts and `docker save`'s, of any age, plain or compressed.
//!
//! The archive is read once, front to back. Every file in it becomes a blob at once, small documents are kept in memory
//! too; at the end the index (or, in old archives, `manifest.json`) says which images the blobs make up. Whatever no
//! image needs is collected afterwards.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use dhow_archive::tar::{Kind, Reader};
use dhow_oci::media_type::{self, Compression};
use dhow_oci::{Descriptor, Digest, Index, Manifest, ManifestOrIndex, Platform, Reference};
use serde::Deserialize;

use crate::build::Fresh;
use crate::records::dangling_key;
use crate::store::{DocumentRef, LARGEST_DOCUMENT, Loaded, Store};
use crate::{Error, Image, Progress, ProgressSender};

/// Annotations that tell an image's name.
const FULL_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// How many entries an archive may have.
const MOST_ENTRIES: usize = 100_000;
/// How much larger than what was read the unpacked stream may get, beyond a gigabyte.
const MOST_INFLATION: u64 = 200;

/// What an archive contained.
#[derive(Default)]
struct Contents {
    files: HashMap<PathBuf, Blob>,
    links: HashMap<PathBuf, PathBuf>,
    documents: HashMap<PathBuf, Vec<u8>>,
}

#[derive(Clone, Copy)]
struct Blob {
    digest: Digest,
    size: u64,
    compression: Compression,
}

/// An image that an archive names.
struct Named {
    target: Descriptor,
    names: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

impl Store {
    /// Takes the images of an archive. Blocking.
    pub(crate) fn load(
        self: &Arc<Self>,
        archive: impl Read,
        platforms: &[Platform],
        progress: &ProgressSender,
    ) -> Result<Vec<Image>, Error> {
        let hold = self.leases.hold();
        let result = self.load_held(archive, platforms, progress);
        drop(hold);
        // Blobs that belong to no image, or to one that failed.
        self.clear_up();
        self.flush_in_background();
        result
    }

    fn load_held(
        self: &Arc<Self>,
        archive: impl Read,
        platforms: &[Platform],
        progress: &ProgressSender,
    ) -> Result<Vec<Image>, Error> {
        let read = Rc::new(Cell::new(0));
        let counted = Counted {
            inner: archive,
            read: Rc::clone(&read),
        };
        let mut source = BufReader::with_capacity(256 << 10, counted);
        let contents = {
            let failed = |source| Error::Io {
                step: "read archive".into(),
                source,
            };
            let stream = dhow_archive::decompressed(&mut source).map_err(failed)?;
            self.read_archive(Bounded {
                inner: stream,
                made: 0,
                read,
            })?
        };
        let named = self.images_of(&contents)?;
        // Everything is checked and unpacked before the first name is given.
        let mut loaded = Vec::new();
        for image in &named {
            let chosen = self.complete(&image.target, platforms.first())?;
            let others = platforms.iter().skip(1);
            let others: Result<Vec<Loaded>, Error> = others
                .map(|platform| self.complete(&image.target, Some(platform)))
                .collect();
            for variant in others?.iter().chain([&chosen]) {
                self.unpack(variant, &|diff_id| {
                    let _ = progress.try_send(Progress::of(diff_id.short(), "Loading layer"));
                })?;
            }
            loaded.push(chosen);
        }
        let mut images = Vec::new();
        for (image, loaded) in named.iter().zip(loaded) {
            images.push(self.name_loaded(image, loaded, progress)?);
        }
        Ok(images)
    }

    fn name_loaded(
        self: &Arc<Self>,
        image: &Named,
        loaded: Loaded,
        progress: &ProgressSender,
    ) -> Result<Image, Error> {
        for name in &image.names {
            self.put_name(&name.canonical(), &image.target, None)?;
            let text = format!("Loaded image: {}\n", name.familiar());
            let _ = progress.blocking_send(Progress::stream(text));
        }
        let id = image.target.digest;
        if image.names.is_empty() {
            if self.find(&id.to_string()).is_err() {
                self.put_name(&dangling_key(&id), &image.target, None)?;
            }
            let _ = progress.blocking_send(Progress::stream(format!("Loaded image ID: {id}\n")));
        }
        let found = self.find(&id.to_string())?;
        self.image(&image.target, loaded, &found.all)
    }

    /// Stores every file of the archive.
    fn read_archive(&self, stream: impl Read) -> Result<Contents, Error> {
        let broken =
            |error: dhow_archive::Error| Error::Archive(dhow_errdefs::chain(&error).to_string());
        let mut reader = Reader::new(stream);
        let mut contents = Contents::default();
        let mut entries = 0;
        while let Some(header) = reader.next_entry().map_err(broken)? {
            entries += 1;
            if entries > MOST_ENTRIES {
                return Err(Error::Archive(format!("more than {MOST_ENTRIES} entries")));
            }
            let Some(path) = clean(&header.path) else {
                continue;
            };
            match header.kind {
                Kind::File => {
                    if reader.stored() < header.size {
                        return Err(Error::Archive(format!(
                            "{} is a sparse file",
                            path.display()
                        )));
                    }
                    self.read_file(path, header.size, &mut reader.content(), &mut contents)?;
                }
                Kind::Symlink | Kind::Hardlink => {
                    contents.links.insert(path, header.link);
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    fn read_file(
        &self,
        path: PathBuf,
        size: u64,
        content: &mut dyn Read,
        contents: &mut Contents,
    ) -> Result<(), Error> {
        let failed = |source| Error::Io {
            step: format!("read {}", path.display()),
            source,
        };
        let is_document = path.extension().is_some_and(|e| e == "json")
            || matches!(path.to_str(), Some("oci-layout" | "repositories"));
        if is_document && size <= LARGEST_DOCUMENT {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(failed)?;
            let blob = Blob {
                digest: self.content.put(&bytes)?,
                size,
                compression: Compression::None,
            };
            contents.files.insert(path.clone(), blob);
            contents.documents.insert(path, bytes);
            return Ok(());
        }
        let mut head = [0; 4];
        let mut filled = 0;
        while filled < head.len() {
            match content.read(&mut head[filled..]).map_err(failed)? {
                0 => break,
                read => filled += read,
            }
        }
        let head = &head[..filled];
        let mut ingest = Fresh::new(self.content.ingest_once()?);
        io::copy(&mut head.chain(content), &mut ingest).map_err(failed)?;
        let compression = Compression::of_magic(head);
        let digest = match named_digest(&path) {
            Some(digest) => {
                ingest.commit_as(&digest)?;
                digest
            }
            None => ingest.commit()?.0,
        };
        contents.files.insert(
            path,
            Blob {
                digest,
                size,
                compression,
            },
        );
        Ok(())
    }

    fn images_of(&self, contents: &Contents) -> Result<Vec<Named>, Error> {
        if let Some(index) = contents.documents.get(Path::new("index.json")) {
            let index: Index = serde_json::from_slice(index)
                .map_err(|e| Error::Archive(format!("index.json: {e}")))?;
            if !index.manifests.is_empty() {
                return index_images(index);
            }
        }
        let Some(list) = contents.documents.get(Path::new("manifest.json")) else {
            return Err(Error::Archive(
                "neither index.json nor manifest.json in it".into(),
            ));
        };
        let saved: Vec<SavedImage> = serde_json::from_slice(list)
            .map_err(|e| Error::Archive(format!("manifest.json: {e}")))?;
        saved
            .into_iter()
            .map(|image| self.saved_image(image, contents))
            .collect()
    }

    /// Makes a manifest for an image of an archive that has none.
    fn saved_image(&self, image: SavedImage, contents: &Contents) -> Result<Named, Error> {
        let config = contents.file(&image.config)?;
        let mut layers = Vec::new();
        for path in &image.layers {
            let blob = contents.file(path)?;
            let kind = match blob.compression {
                Compression::None => media_type::DOCKER_LAYER,
                Compression::Gzip => media_type::DOCKER_LAYER_GZIP,
                Compression::Zstd => media_type::DOCKER_LAYER_ZSTD,
            };
            layers.push(Descriptor::new(kind, blob.digest, blob.size));
        }
        let config = Descriptor::new(media_type::DOCKER_CONFIG, config.digest, config.size);
        let mut manifest = Manifest::oci(config, layers);
        manifest.media_type = Some(media_type::DOCKER_MANIFEST.into());
        let target = self.put_document(media_type::DOCKER_MANIFEST, &manifest)?;
        let names = image
            .repo_tags
            .unwrap_or_default()
            .iter()
            .map(|tag| Ok(Reference::parse(tag)?.with_default_tag()))
            .collect::<Result<_, Error>>()?;
        Ok(Named { target, names })
    }

    /// The manifest for the platform, with all it needs here.
    fn complete(&self, target: &Descriptor, platform: Option<&Platform>) -> Result<Loaded, Error> {
        if !self.content.contains(&target.digest) {
            return Err(Error::Archive(format!("{} is missing", target.digest)));
        }
        let bytes = self.content.read(&target.digest, LARGEST_DOCUMENT)?;
        ManifestOrIndex::parse(&bytes, Some(&target.media_type)).map_err(|source| {
            Error::Manifest {
                digest: target.digest,
                source,
            }
        })?;
        if let DocumentRef::Manifest(manifest) = self.manifest_or_index(target)?
            && !self.content.contains(&manifest.config.digest)
        {
            return Err(Error::Archive(format!(
                "{} is missing",
                manifest.config.digest
            )));
        }
        let loaded = self
            .choose(target, platform)?
            .ok_or_else(|| Error::WrongPlatform {
                reference: target.digest.to_string(),
                platform: platform.cloned().unwrap_or_else(Platform::host).to_string(),
            })?;
        let parts = std::iter::once(&loaded.manifest.config).chain(&loaded.manifest.layers);
        for part in parts {
            if !self.content.contains(&part.digest) {
                return Err(Error::Archive(format!("{} is missing", part.digest)));
            }
            let (digest, size) = (part.digest, self.content.size(&part.digest)?);
            if size != part.size {
                let told = part.size;
                let text = format!("{digest} has {size} bytes instead of {told}");
                return Err(Error::Archive(text));
            }
        }
        Ok(loaded)
    }
}

impl Contents {
    /// The file at `path`, through links.
    fn file(&self, path: &str) -> Result<Blob, Error> {
        let missing = || Error::Archive(format!("{path} is missing"));
        let mut at = clean(Path::new(path)).ok_or_else(missing)?;
        for _ in 0..8 {
            if let Some(blob) = self.files.get(&at) {
                return Ok(*blob);
            }
            let link = self.links.get(&at).ok_or_else(missing)?;
            // Links lead from their own folder (symbolic) or from the root (hard); only names are compared, so one that
            // leads out of the archive finds nothing.
            let beside = at.parent().unwrap_or(Path::new("")).join(link);
            let (beside, from_root) = (clean(&beside), clean(link));
            at = beside
                .filter(|p| self.files.contains_key(p) || self.links.contains_key(p))
                .or(from_root)
                .ok_or_else(missing)?;
        }
        Err(missing())
    }
}

/// The images an OCI layout's index names; entries of one digest are one image.
fn index_images(index: Index) -> Result<Vec<Named>, Error> {
    let mut images: Vec<Named> = Vec::new();
    for mut descriptor in index.manifests {
        let name = name_of(&descriptor)?;
        descriptor.annotations.clear();
        match images
            .iter_mut()
            .find(|image| image.target.digest == descriptor.digest)
        {
            Some(image) => image.names.extend(name),
            None => images.push(Named {
                target: descriptor,
                names: name.into_iter().collect(),
            }),
        }
    }
    Ok(images)
}

fn name_of(descriptor: &Descriptor) -> Result<Option<Reference>, Error> {
    let full = descriptor.annotation(FULL_NAME);
    // A bare tag names no repository.
    let name = full.or_else(|| {
        descriptor
            .annotation(REF_NAME)
            .filter(|n| n.contains([':', '/']))
    });
    match name {
        Some(name) => Ok(Some(Reference::parse(name)?.with_default_tag())),
        None => Ok(None),
    }
}

/// The path without `.` and a leading `/`; `None` when it leads out.
fn clean(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if !clean.pop() => return None,
            _ => {}
        }
    }
    Some(clean)
}

/// The digest that a file of an OCI layout must have by its name.
fn named_digest(path: &Path) -> Option<Digest> {
    let hex = path.strip_prefix("blobs/sha256").ok()?;
    Digest::from_hex(hex.to_str()?).ok()
}

/// Counts what was read.
struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(out)?;
        self.read
            .set(self.read.get() + u64::try_from(length).unwrap_or(0));
        Ok(length)
    }
}

/// Fails when far more comes out of the decompression than went in.
struct Bounded<R> {
    inner: R,
    made: u64,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(out)?;
        self.made += u64::try_from(length).unwrap_or(0);
        if self.made
            > self
                .read
                .get()
                .saturating_mul(MOST_INFLATION)
                .saturating_add(1 << 30)
        {
            return Err(io::Error::other(
                "the archive inflates to far more than it is",
            ));
        }
        Ok(length)
    }
}
