//! Images made here: of a file system's archive, and of a container's changes.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;

use dhow_oci::media_type::{self, Compression};
use dhow_oci::{
    ContainerConfig, Descriptor, Digest, History, ImageConfig, Manifest, Platform, Reference,
};
use jiff::Timestamp;

use crate::changes::apply_changes;
use crate::fetch::{commit, unpack_stored};
use crate::lookup::chain_list;
use crate::records::dangling_key;
use crate::store::Store;
use crate::{CommitOptions, Error, Image, ImportOptions};

const BUFFER: usize = 256 << 10;
/// Quick rather than small: the layer is here, and is sent away at most a few times.
const LEVEL: u32 = 3;

impl Store {
    /// Makes an image of a file system's archive.
    pub(crate) fn import(
        self: &Arc<Self>,
        archive: impl Read,
        options: &ImportOptions,
    ) -> Result<Image, Error> {
        let mut container = ContainerConfig::default();
        apply_changes(&mut container, &options.changes)?;
        self.whole(|| self.import_layer(archive, container, options))
    }

    fn import_layer(
        self: &Arc<Self>,
        archive: impl Read,
        container: ContainerConfig,
        options: &ImportOptions,
    ) -> Result<Image, Error> {
        let layer = self.store_layer(archive)?;
        let platform = options.platform.clone().unwrap_or_else(Platform::host);
        let now = Timestamp::now();
        let comment = match options.message.as_str() {
            "" => "Imported from -",
            message => message,
        };
        let config = ImageConfig {
            created: Some(now),
            architecture: platform.architecture,
            variant: platform.variant,
            os: platform.os,
            config: container,
            history: vec![History {
                created: Some(now),
                comment: Some(comment.to_owned()),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        self.finish_image(
            config,
            vec![],
            Some(layer),
            None,
            options.reference.as_ref(),
        )
    }

    /// Makes an image of `parent` and one more layer, a plain tar stream, if there is one.
    pub(crate) fn commit(
        self: &Arc<Self>,
        parent: Option<&Image>,
        layer: Option<&mut dyn Read>,
        options: CommitOptions,
    ) -> Result<Image, Error> {
        let mut container = options.config.clone();
        apply_changes(&mut container, &options.changes)?;
        self.whole(|| self.commit_layer(parent, layer, container, options))
    }

    fn commit_layer(
        self: &Arc<Self>,
        parent: Option<&Image>,
        layer: Option<&mut dyn Read>,
        container: ContainerConfig,
        options: CommitOptions,
    ) -> Result<Image, Error> {
        let layer = layer.map(|layer| self.store_layer(layer)).transpose()?;
        let (mut config, layers) = match parent {
            Some(parent) => {
                let loaded = self.loaded(&parent.manifest)?;
                self.unpack(&loaded, &|_| ())?;
                (
                    ImageConfig::clone(&loaded.config),
                    loaded.manifest.layers.clone(),
                )
            }
            None => {
                let host = Platform::host();
                let config = ImageConfig {
                    architecture: host.architecture,
                    variant: host.variant,
                    os: host.os,
                    ..ImageConfig::default()
                };
                (config, Vec::new())
            }
        };
        let now = Timestamp::now();
        config.created = Some(now);
        if !options.author.is_empty() {
            config.author = Some(options.author);
        }
        config.config = container;
        config.history.push(History {
            created: Some(now),
            created_by: Some(options.created_by).filter(|by| !by.is_empty()),
            author: config.author.clone(),
            comment: Some(options.comment).filter(|comment| !comment.is_empty()),
            empty_layer: layer.is_none(),
        });
        let parent = parent.map(|image| image.id);
        self.finish_image(config, layers, layer, parent, options.reference.as_ref())
    }

    /// Runs work that makes an image; nothing is left of it when it fails.
    fn whole<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let hold = self.leases.hold();
        let result = work();
        drop(hold);
        if result.is_err() {
            self.clear_up();
        }
        result
    }

    /// Removes what failed work has left; its own error is the one to tell.
    pub(crate) fn clear_up(&self) {
        if let Err(error) = self.collect_garbage() {
            tracing::warn!("clear up: {}", dhow_errdefs::chain(&error));
        }
    }

    /// Unpacks the topmost layer, if there is one, writes config and manifest, and gives the image its name.
    fn finish_image(
        self: &Arc<Self>,
        mut config: ImageConfig,
        mut layers: Vec<Descriptor>,
        layer: Option<Descriptor>,
        parent: Option<Digest>,
        reference: Option<&Reference>,
    ) -> Result<Image, Error> {
        if let Some(layer) = layer {
            let unpacked = unpack_stored(self, &layer)?;
            let diff_id = unpacked.diff_id;
            let below = chain_list(&config.rootfs.diff_ids).pop();
            commit(self, unpacked, &diff_id, below.as_ref())?;
            config.rootfs.diff_ids.push(diff_id);
            layers.push(layer);
        }
        let config = self.put_document(media_type::OCI_CONFIG, &config)?;
        let target = self.put_document(media_type::OCI_MANIFEST, &Manifest::oci(config, layers))?;
        let key = reference.map_or_else(
            || dangling_key(&target.digest),
            |reference| reference.clone().with_default_tag().canonical(),
        );
        self.put_name(&key, &target, parent)?;
        self.flush_in_background();
        let found = self.find(&target.digest.to_string())?;
        self.image(&target, self.loaded(&target)?, &found.all)
    }

    /// Stores a document and describes it.
    pub(crate) fn put_document(
        &self,
        media_type: &str,
        document: &impl serde::Serialize,
    ) -> Result<Descriptor, Error> {
        let bytes = serde_json::to_vec(document)
            .map_err(|e| Error::Invalid(format!("{media_type} can't be written: {e}")))?;
        self.content.put(&bytes)?;
        Ok(Descriptor::of(media_type, &bytes))
    }

    /// Stores a layer's stream as a blob: as it is when it is compressed as layers may be, else with gzip.
    fn store_layer(&self, stream: impl Read) -> Result<Descriptor, Error> {
        let failed = |source| Error::Io {
            step: "read archive".into(),
            source,
        };
        let mut stream = BufReader::with_capacity(BUFFER, stream);
        let compression = Compression::of_magic(stream.fill_buf().map_err(failed)?);
        let mut ingest = Fresh::new(self.content.ingest_once()?);
        let kind = match compression {
            Compression::None => {
                // What layers may not be compressed with is undone.
                let stream = dhow_archive::decompressed(stream).map_err(failed)?;
                let mut stream = BufReader::with_capacity(BUFFER, stream);
                let level = flate2::Compression::new(LEVEL);
                let mut encoder = flate2::write::GzEncoder::new(&mut ingest, level);
                copy(&mut stream, &mut encoder).map_err(failed)?;
                encoder.finish().map_err(failed)?;
                media_type::OCI_LAYER_GZIP
            }
            Compression::Gzip => {
                copy(&mut stream, &mut ingest).map_err(failed)?;
                media_type::OCI_LAYER_GZIP
            }
            Compression::Zstd => {
                copy(&mut stream, &mut ingest).map_err(failed)?;
                media_type::OCI_LAYER_ZSTD
            }
        };
        let (digest, size) = ingest.commit()?;
        Ok(Descriptor::new(kind, digest, size))
    }

    /// After work outside an async context: flushes where there is a runtime to do it in the background.
    pub(crate) fn flush_in_background(self: &Arc<Self>) {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.flush_later();
        }
    }
}

/// An ingest that begins empty and leaves nothing when it isn't committed.
pub(crate) struct Fresh(Option<dhow_content::Ingest>);

impl Fresh {
    pub(crate) fn new(ingest: dhow_content::Ingest) -> Self {
        Self(Some(ingest))
    }

    /// Makes it a blob, whatever it is.
    pub(crate) fn commit(mut self) -> Result<(Digest, u64), Error> {
        let ingest = self.0.take().expect("taken only here and when dropped");
        Ok(ingest.commit_any_pending()?)
    }

    /// Makes it the blob `digest`.
    pub(crate) fn commit_as(mut self, digest: &Digest) -> Result<(), Error> {
        let ingest = self.0.take().expect("taken only here and when dropped");
        ingest.commit_pending(digest, None)?;
        Ok(())
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .as_mut()
            .expect("taken only when consumed")
            .write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(ingest) = self.0.take() {
            ingest.discard();
        }
    }
}

/// Copies without a buffer of its own.
fn copy(from: &mut impl BufRead, to: &mut impl Write) -> std::io::Result<()> {
    loop {
        let length = match from.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                to.write_all(bytes)?;
                bytes.len()
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        from.consume(length);
    }
}
