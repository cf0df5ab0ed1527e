//! From what was written to a layer: the tar is hashed and compressed while it is read, and the directory itself becomes
//! the layer.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use dhow_archive::tar::Sink;
use dhow_content::Ingest;
use dhow_oci::{Descriptor, Digest, Hasher, media_type};
use dhow_snapshot::Draft;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use crate::builder::BuilderConfig;
use crate::error::Error;
use crate::result::Layer;
use crate::solve::Job;

/// The quickest that every Docker can pull.
const LEVEL: u32 = 1;
/// How many pieces wait to be compressed.
const PIECES: usize = 8;

/// Makes a draft the layer on top of its parent; the build protects it. Nothing may be mounted any more.
///
/// # Errors
/// When files can't be read or the layer or its blob not be written; nothing is left then.
pub(crate) fn commit(kit: &BuilderConfig, draft: Draft, job: &Job) -> Result<Layer, Error> {
    let mut sink = LayerSink::new(kit.content.ingest_once()?);
    let written = draft.write(&mut sink)?;
    let (diff_id, ingest) = sink.finish()?;
    // From here until it is protected nobody may take it for something that belongs to nobody.
    let pause = kit.images.pause_collection();
    let (digest, size) = ingest.commit_any_pending()?;
    job.protection().extend([digest]);
    let chain_id = kit.snapshots.commit_draft(draft, &diff_id, written.bytes)?;
    job.protection().extend([chain_id]);
    drop(pause);
    Ok(Layer {
        diff_id,
        chain_id,
        blob: Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size),
        size: written.bytes,
        created: Some(Timestamp::now()),
    })
}

/// Takes a layer's tar: hashes it, and has it compressed on another thread as soon as there is more than one piece.
struct LayerSink {
    hasher: Hasher,
    state: State,
    returned: Vec<Vec<u8>>,
}

enum State {
    /// At most one piece so far.
    Small(Ingest, Vec<u8>),
    /// A thread compresses.
    Running {
        pieces: SyncSender<Vec<u8>>,
        empty: Receiver<Vec<u8>>,
        thread: JoinHandle<io::Result<Ingest>>,
    },
    /// Everything is compressed.
    Done(Ingest),
    Broken,
}

impl LayerSink {
    fn new(ingest: Ingest) -> Self {
        Self {
            hasher: Hasher::new(),
            state: State::Small(ingest, Vec::new()),
            returned: Vec::new(),
        }
    }

    fn finish(self) -> Result<(Digest, Ingest), Error> {
        match self.state {
            State::Done(ingest) => Ok((self.hasher.finish(), ingest)),
            _ => Err(Error::file("write", "layer", io::ErrorKind::BrokenPipe)),
        }
    }
}

fn start(ingest: Ingest, first: Vec<u8>) -> io::Result<State> {
    let (pieces, incoming) = sync_channel::<Vec<u8>>(PIECES);
    let (returned, empty) = sync_channel::<Vec<u8>>(PIECES + 2);
    let thread = std::thread::Builder::new()
        .name("compress".into())
        .spawn(move || {
            let mut encoder = GzEncoder::new(ingest, Compression::new(LEVEL));
            encoder.write_all(&first)?;
            for piece in incoming {
                encoder.write_all(&piece)?;
                // Nobody may want it back.
                let _ = returned.try_send(piece);
            }
            encoder.finish()
        })?;
    Ok(State::Running {
        pieces,
        empty,
        thread,
    })
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the compressing thread stopped")
}

impl Sink for &mut LayerSink {
    fn put(&mut self, piece: Vec<u8>) -> io::Result<Vec<u8>> {
        self.hasher.update(&piece);
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Small(ingest, first) if first.is_empty() => {
                self.state = State::Small(ingest, piece);
                return Ok(Vec::new());
            }
            State::Small(ingest, first) => self.state = start(ingest, first)?,
            state => self.state = state,
        }
        let State::Running { pieces, empty, .. } = &self.state else {
            return Err(stopped());
        };
        pieces.send(piece).map_err(|_| stopped())?;
        self.returned.extend(empty.try_iter());
        Ok(self.returned.pop().unwrap_or_default())
    }

    fn end(&mut self) -> io::Result<()> {
        let ingest = match std::mem::replace(&mut self.state, State::Broken) {
            State::Small(ingest, piece) => {
                let mut encoder = GzEncoder::new(ingest, Compression::new(LEVEL));
                encoder.write_all(&piece)?;
                encoder.finish()?
            }
            State::Running { pieces, thread, .. } => {
                drop(pieces);
                thread.join().map_err(|_| stopped())??
            }
            State::Done(ingest) => ingest,
            State::Broken => return Err(stopped()),
        };
        self.state = State::Done(ingest);
        Ok(())
    }
}
