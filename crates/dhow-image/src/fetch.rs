//! One layer's way: fetched, stored, checked, unpacked, and put in its place on the layers below.

use std::io::BufReader;
use std::sync::Arc;

use dhow_archive::Limits;
use dhow_content::Ingest;
use dhow_distribution::Repository;
use dhow_oci::{Descriptor, Digest};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::Error;
use crate::feed::Feed;
use crate::layer::{Unpacked, unpack};
use crate::meter::Meter;
use crate::store::Store;

/// How many of the network's pieces wait for the unpacking thread.
const PIECES: usize = 16;

/// A layer to be fetched and unpacked.
pub(crate) struct LayerJob {
    pub(crate) store: Arc<Store>,
    /// Where to fetch it from; `None` when it is here.
    pub(crate) repository: Option<Repository>,
    pub(crate) layer: Descriptor,
    pub(crate) diff_id: Digest,
    pub(crate) parent: Option<Digest>,
    pub(crate) chain: Digest,
    /// Tells that the layer below is in its place.
    pub(crate) after: Option<oneshot::Receiver<()>>,
    /// To be told when this one is.
    pub(crate) done: oneshot::Sender<()>,
    pub(crate) meter: Meter,
    /// Held by every thread that works on the layer, so that the end of all of them can be waited for.
    pub(crate) working: mpsc::Sender<()>,
}

/// What a thread has to show; the sign of its being at work goes after that, even when nobody wants it any more.
struct Worked<T> {
    result: Result<T, Error>,
    _working: mpsc::Sender<()>,
}

impl LayerJob {
    /// Runs `work` on a thread that may block.
    fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> JoinHandle<Worked<T>> {
        let working = self.working.clone();
        spawn_blocking(move || Worked {
            result: work(),
            _working: working,
        })
    }
}

async fn finish<T>(work: JoinHandle<Worked<T>>) -> Result<T, Error> {
    work.await.map_err(|_| Error::Cancelled("the pull"))?.result
}

/// Does the whole job.
pub(crate) async fn fetch_layer(mut job: LayerJob) -> Result<(), Error> {
    let unpacked = prepare(&job).await?;
    if let Some(after) = job.after.take() {
        // The layer below failed: its own error is the one to report.
        after.await.map_err(|_| Error::Cancelled("the pull"))?;
    }
    let meter = job.meter.clone();
    if let Some(unpacked) = unpacked {
        let (store, parent, expected) = (Arc::clone(&job.store), job.parent, job.diff_id);
        let work = job.start(move || commit(&store, unpacked, &expected, parent.as_ref()));
        finish(work).await?;
    }
    meter.status("Pull complete").await;
    // The layer above may be gone already.
    let _ = job.done.send(());
    Ok(())
}

/// Checks the diff id and puts the layer in its place.
pub(crate) fn commit(
    store: &Store,
    unpacked: Unpacked,
    expected: &Digest,
    parent: Option<&Digest>,
) -> Result<Digest, Error> {
    if unpacked.diff_id != *expected {
        return Err(Error::DiffId {
            expected: expected.to_string(),
            found: unpacked.diff_id.to_string(),
        });
    }
    Ok(store
        .snapshots
        .commit(unpacked.staging, &unpacked.applied, expected, parent)?)
}

/// Has the blob here and unpacked; `None` when the layer is in its place already.
async fn prepare(job: &LayerJob) -> Result<Option<Unpacked>, Error> {
    // Whoever fetches the same layer for another image is waited for, not for its place in that one.
    let lock = job.store.work_on(&job.layer.digest);
    let _one_at_a_time = lock.lock().await;
    let permits = Arc::clone(&job.store.layer_permits);
    if permits.available_permits() == 0 {
        job.meter.status("Waiting").await;
    }
    let _permit = permits
        .acquire_owned()
        .await
        .map_err(|_| Error::Cancelled("the pull"))?;
    let placed = job.store.snapshots.contains(&job.chain)?;
    if job.store.content.contains(&job.layer.digest) {
        job.meter.status("Download complete").await;
        job.meter.complete();
        return if placed {
            Ok(None)
        } else {
            unpack_blob(job).await.map(Some)
        };
    }
    let mut ingest = job
        .store
        .content
        .ingest(&format!("layer {}", job.layer.digest))?;
    ingest.expect_size(job.layer.size);
    if ingest.offset() > job.layer.size {
        ingest.reset()?;
    }
    if placed || ingest.offset() > 0 {
        download(job, ingest).await?;
        return if placed {
            Ok(None)
        } else {
            unpack_blob(job).await.map(Some)
        };
    }
    download_and_unpack(job, ingest).await.map(Some)
}

async fn unpack_blob(job: &LayerJob) -> Result<Unpacked, Error> {
    job.meter.status("Extracting").await;
    let (store, layer) = (Arc::clone(&job.store), job.layer.clone());
    finish(job.start(move || unpack_stored(&store, &layer))).await
}

/// Unpacks a layer whose blob is here. Blocking.
pub(crate) fn unpack_stored(store: &Store, layer: &Descriptor) -> Result<Unpacked, Error> {
    let file = store.content.open_blob(&layer.digest)?;
    let mut source = BufReader::with_capacity(256 << 10, file);
    unpack(
        &store.snapshots,
        &mut source,
        Limits::for_compressed(layer.size),
    )
    .map_err(|failure| failure.into_error(&layer.digest))
}

/// Fetches the rest of a blob that was begun, without unpacking.
async fn download(job: &LayerJob, ingest: Ingest) -> Result<(), Error> {
    let (sender, mut receiver) = mpsc::channel::<bytes::Bytes>(PIECES);
    let offset = ingest.offset();
    let (digest, size) = (job.layer.digest, job.layer.size);
    let writer = job.start(move || {
        use std::io::Write;
        let mut ingest = ingest;
        while let Some(bytes) = receiver.blocking_recv() {
            ingest.write_all(&bytes).map_err(|source| Error::Io {
                step: format!("write {digest}"),
                source,
            })?;
        }
        if ingest.offset() < size {
            return Err(Error::Cancelled("the pull"));
        }
        ingest
            .commit_pending(&digest, Some(size))
            .map_err(Error::from)
    });
    let received = receive(job, offset, sender).await;
    let written = finish(writer).await;
    received?;
    written?;
    job.meter.status("Verifying Checksum").await;
    job.meter.status("Download complete").await;
    Ok(())
}

/// Fetches a blob and unpacks it while it comes in.
async fn download_and_unpack(job: &LayerJob, ingest: Ingest) -> Result<Unpacked, Error> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let feed = Feed::new(receiver, ingest, job.layer.size, job.meter.clone());
    let (store, layer) = (Arc::clone(&job.store), job.layer.clone());
    let worker = job.start(move || unpack_feed(&store, feed, &layer));
    let received = receive(job, 0, sender).await;
    if received.is_ok() {
        job.meter.status("Verifying Checksum").await;
        job.meter.status("Download complete").await;
        job.meter.complete();
    }
    let unpacked = finish(worker).await;
    match (received, unpacked) {
        // The worker that stopped taking bytes knows why; a transfer that broke is the cause of the worker's failure.
        (Err(Received::Stopped), Err(error)) => Err(error),
        (Err(Received::Stopped), Ok(_)) => Err(Error::Cancelled("the pull")),
        (Err(Received::Broken(error)), _) => Err(error),
        (Ok(()), unpacked) => unpacked,
    }
}

fn unpack_feed(store: &Store, mut feed: Feed, layer: &Descriptor) -> Result<Unpacked, Error> {
    let unpacked = unpack(
        &store.snapshots,
        &mut feed,
        Limits::for_compressed(layer.size),
    );
    let ingest = feed.into_ingest();
    // Wrong bytes are the cause of whatever went wrong with unpacking them.
    if ingest.offset() == layer.size {
        ingest.commit_pending(&layer.digest, Some(layer.size))?;
    } else if unpacked.is_ok() {
        return Err(Error::Cancelled("the pull"));
    }
    unpacked.map_err(|failure| failure.into_error(&layer.digest))
}

/// Why not all bytes could be handed on.
enum Received {
    /// Nobody takes them any more.
    Stopped,
    /// They don't come any more.
    Broken(Error),
}

impl From<Received> for Error {
    fn from(received: Received) -> Self {
        match received {
            Received::Stopped => Self::Cancelled("the pull"),
            Received::Broken(error) => error,
        }
    }
}

async fn receive(
    job: &LayerJob,
    offset: u64,
    sender: mpsc::Sender<bytes::Bytes>,
) -> Result<(), Received> {
    let broken = |error: dhow_distribution::Error| Received::Broken(error.into());
    let Some(repository) = &job.repository else {
        return Err(Received::Broken(Error::Invalid(format!(
            "layer {} is missing",
            job.layer.digest
        ))));
    };
    let mut stream = repository
        .fetch_blob(&job.layer, offset)
        .await
        .map_err(broken)?;
    while let Some(bytes) = stream.chunk().await.map_err(broken)? {
        sender.send(bytes).await.map_err(|_| Received::Stopped)?;
        job.meter.downloading(stream.position());
    }
    Ok(())
}
