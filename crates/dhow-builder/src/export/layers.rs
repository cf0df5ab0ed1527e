//! Layers as an export wants them: compressed otherwise, or without times later than the build's.

use std::io::{BufReader, Read, Write};

use dhow_archive::tar::{Mtime, Reader, Writer};
use dhow_content::Ingest;
use dhow_oci::media_type::{self, Compression};
use dhow_oci::{Descriptor, Digest, Hasher, chain_id};

use super::compose::Composed;
use crate::builder::BuilderConfig;
use crate::error::Error;
use crate::request::ImageOptions;
use crate::result::Layer;

/// Changes the layers that have to be. Blocking, and long where there is one.
pub(super) fn prepared(
    kit: &BuilderConfig,
    mut images: Vec<Composed>,
    options: &ImageOptions,
    epoch: Option<i64>,
) -> Result<Vec<Composed>, Error> {
    let clamp = epoch.filter(|_| options.rewrite_timestamps);
    if clamp.is_none() && options.compression.is_none() {
        return Ok(images);
    }
    for image in &mut images {
        let inherited = image.inherited;
        for (position, layer) in image.layers.iter_mut().enumerate() {
            let new = position >= inherited;
            let has = media_type::layer_compression(&layer.blob.media_type);
            let has = has.unwrap_or(Compression::Gzip);
            let wanted = options
                .compression
                .filter(|_| new || options.force)
                .unwrap_or(has);
            let clamp = clamp.filter(|_| new);
            if clamp.is_some() || wanted != has || options.force && new && options.level.is_some() {
                *layer = changed(kit, layer, wanted, options.level, clamp)?;
            }
        }
        let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        for (position, layer) in image.layers.iter_mut().enumerate() {
            layer.chain_id = chain_id(&diff_ids[..=position]);
        }
        image.config.rootfs.diff_ids = diff_ids;
    }
    Ok(images)
}

fn failed(source: std::io::Error) -> Error {
    Error::file("write", "layer", source)
}

fn changed(
    kit: &BuilderConfig,
    layer: &Layer,
    compression: Compression,
    level: Option<i32>,
    clamp: Option<i64>,
) -> Result<Layer, Error> {
    let blob = kit.content.open_blob(&layer.blob.digest)?;
    let source = BufReader::with_capacity(256 << 10, blob);
    let mut tar = dhow_archive::decompressed(source).map_err(failed)?;
    let out = Encoder::new(kit.content.ingest_once()?, compression, level)?;
    let mut out = Hashed {
        out,
        hasher: Hasher::new(),
    };
    match clamp {
        None => {
            std::io::copy(&mut tar, &mut out).map_err(failed)?;
        }
        Some(latest) => clamped(tar, &mut out, latest)?,
    }
    let diff_id = out.hasher.finish();
    let (digest, size) = out.out.finish()?.commit_any_pending()?;
    let kind = match compression {
        Compression::None => media_type::OCI_LAYER,
        Compression::Gzip => media_type::OCI_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
    };
    Ok(Layer {
        diff_id,
        blob: Descriptor::new(kind, digest, size),
        ..layer.clone()
    })
}

/// The same archive, no time in it later than `latest`.
fn clamped(tar: impl Read, out: &mut impl Write, latest: i64) -> Result<(), Error> {
    let mut reader = Reader::new(tar);
    let mut writer = Writer::new(out);
    while let Some(mut header) = reader.next_entry()? {
        if header.mtime.seconds >= latest {
            header.mtime = Mtime {
                seconds: latest,
                nanoseconds: 0,
            };
        }
        writer.file(&header, reader.content())?;
    }
    writer.finish()?;
    Ok(())
}

/// Hashes what goes through it.
struct Hashed<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

enum Encoder {
    None(Ingest),
    Gzip(flate2::write::GzEncoder<Ingest>),
    Zstd(zstd::stream::write::Encoder<'static, Ingest>),
}

impl Encoder {
    fn new(ingest: Ingest, compression: Compression, level: Option<i32>) -> Result<Self, Error> {
        Ok(match compression {
            Compression::None => Self::None(ingest),
            Compression::Gzip => {
                let level = level
                    .and_then(|level| u32::try_from(level).ok())
                    .unwrap_or(1);
                let level = flate2::Compression::new(level.min(9));
                Self::Gzip(flate2::write::GzEncoder::new(ingest, level))
            }
            Compression::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(ingest, level.unwrap_or(3));
                Self::Zstd(encoder.map_err(failed)?)
            }
        })
    }

    fn finish(self) -> Result<Ingest, Error> {
        match self {
            Self::None(ingest) => Ok(ingest),
            Self::Gzip(encoder) => encoder.finish().map_err(failed),
            Self::Zstd(encoder) => encoder.finish().map_err(failed),
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::None(ingest) => ingest.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
