//! One layer's way: fetched, stored, checked, unpacked, and put in its place on the layers below.

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use dhow_archive::Limits;
use dhow_content::Follower;
use dhow_distribution::Repository;
use dhow_errdefs::{Classify, ErrorKind};
use dhow_oci::{Descriptor, Digest};
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::Error;
use crate::download::download;
use crate::layer::{Failure, Unpacked, unpack};
use crate::meter::Meter;
use crate::store::{Store, Work};

/// How much of a blob is read at once.
const BUFFER: usize = 256 << 10;

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
    /// What is worked on, held by the threads as well: nobody else begins before they have ended.
    pub(crate) locks: Locks,
}

/// That nobody else works on the same.
pub(crate) type Locks = Vec<Arc<OwnedMutexGuard<()>>>;

/// What a thread has to show; the signs of its being at work go after that, even when nobody wants it any more.
pub(crate) struct Worked<T> {
    result: Result<T, Error>,
    _locks: Locks,
    _working: mpsc::Sender<()>,
}

impl LayerJob {
    /// Runs `work` on a thread that may block.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> JoinHandle<Worked<T>> {
        let (working, locks) = (self.working.clone(), self.locks.clone());
        spawn_blocking(move || Worked {
            result: work(),
            _locks: locks,
            _working: working,
        })
    }
}

pub(crate) async fn finish<T>(work: JoinHandle<Worked<T>>) -> Result<T, Error> {
    work.await.map_err(|_| Error::Cancelled("the pull"))?.result
}

/// Does the whole job.
///
/// Whoever puts the same layer in its place, for another image or of another form of the blob, is waited for. That lock
/// is taken before the blob's, which in turn is given back before the layers below are waited for: so those who wait in a
/// circle don't exist.
pub(crate) async fn fetch_layer(mut job: LayerJob) -> Result<(), Error> {
    let place = job.store.work_on(Work::Layer(job.chain)).lock_owned().await;
    job.locks.push(Arc::new(place));
    let unpacked = prepare(&mut job).await?;
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
async fn prepare(job: &mut LayerJob) -> Result<Option<Unpacked>, Error> {
    // Whoever fetches the same blob for another image is waited for, not for its place in that one.
    let lock = job.store.work_on(Work::Blob(job.layer.digest));
    job.locks.push(Arc::new(lock.lock_owned().await));
    let permits = Arc::clone(&job.store.layer_permits);
    if permits.available_permits() == 0 {
        job.meter.status("Waiting").await;
    }
    let _permit = permits
        .acquire_owned()
        .await
        .map_err(|_| Error::Cancelled("the pull"))?;
    let prepared = fetch_and_unpack(job).await;
    job.locks.pop();
    prepared
}

async fn fetch_and_unpack(job: &LayerJob) -> Result<Option<Unpacked>, Error> {
    let placed = job.store.snapshots.contains(&job.chain)?;
    if job.store.content.contains(&job.layer.digest) {
        job.meter.status("Download complete").await;
        job.meter.complete();
        return match placed {
            true => Ok(None),
            false => unpack_blob(job).await.map(Some),
        };
    }
    match fetch_once(job, placed).await {
        // What an earlier attempt had left was no good, and is gone now.
        Err(Attempt::Stale) => {}
        Err(Attempt::Failed(error)) => return Err(error),
        Ok(unpacked) => return Ok(unpacked),
    }
    match fetch_once(job, placed).await {
        Ok(unpacked) => Ok(unpacked),
        Err(Attempt::Stale) => Err(Error::Cancelled("the pull")),
        Err(Attempt::Failed(error)) => Err(error),
    }
}

/// How fetching ended where it failed.
enum Attempt {
    /// The bytes from an earlier attempt were wrong; another will begin anew.
    Stale,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Fetches the blob, and unpacks it meanwhile unless that is done.
async fn fetch_once(job: &LayerJob, placed: bool) -> Result<Option<Unpacked>, Attempt> {
    let assembly = job
        .store
        .content
        .assemble(&job.layer.digest, job.layer.size)?;
    let resumed = assembly.is_resumed();
    let fetched = match placed {
        true => download(job, assembly).await.map(|()| None),
        false => {
            let follower = assembly.follow()?;
            let (store, layer) = (Arc::clone(&job.store), job.layer.clone());
            let meter = job.meter.clone();
            let worker = job.start(move || unpack_followed(&store, follower, meter, &layer));
            both(download(job, assembly), worker).await.map(Some)
        }
    };
    fetched.map_err(|error| match error {
        Error::Content(dhow_content::Error::DigestMismatch { .. }) if resumed => Attempt::Stale,
        error => Attempt::Failed(error),
    })
}

/// Waits for a download and the unpacking of what it brings.
///
/// Wrong bytes are the cause of whatever went wrong with unpacking them, so the download goes on to its end when
/// unpacking fails, unless that was the machine's fault.
async fn both(
    download: impl Future<Output = Result<(), Error>>,
    worker: JoinHandle<Worked<Followed>>,
) -> Result<Unpacked, Error> {
    let unpacking = finish(worker);
    tokio::pin!(download, unpacking);
    tokio::select! {
        downloaded = &mut download => {
            // Ended either way: nothing more comes, so unpacking ends as well.
            let unpacked = unpacking.await;
            downloaded?;
            unpacked?.map_err(|failed| failed.error)
        }
        unpacked = &mut unpacking => match unpacked? {
            Err(failed) if failed.is_ours => Err(failed.error),
            unpacked => {
                download.await?;
                unpacked.map_err(|failed| failed.error)
            }
        }
    }
}

/// Unpacking failed, through the fault of the layer or of this machine.
struct Failed {
    error: Error,
    is_ours: bool,
}

type Followed = Result<Unpacked, Failed>;

/// Unpacks a layer while its blob is put together. Blocking.
fn unpack_followed(
    store: &Store,
    follower: Follower,
    meter: Meter,
    layer: &Descriptor,
) -> Result<Followed, Error> {
    let metered = Metered { follower, meter };
    let mut source = BufReader::with_capacity(BUFFER, metered);
    let limits = Limits::for_compressed(layer.size);
    let unpacked = unpack(&store.snapshots, &mut source, limits);
    Ok(unpacked.map_err(|failure| Failed {
        is_ours: match &failure {
            Failure::Stream(_) => false,
            Failure::Apply(error) => error.kind() == ErrorKind::System,
            Failure::Store(_) => true,
        },
        error: failure.into_error(&layer.digest),
    }))
}

/// A blob that tells how far it was read.
struct Metered {
    follower: Follower,
    meter: Meter,
}

impl Read for Metered {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.follower.read(out)?;
        self.meter.unpacking(self.follower.position());
        Ok(length)
    }
}

async fn unpack_blob(job: &LayerJob) -> Result<Unpacked, Error> {
    job.meter.status("Extracting").await;
    let (store, layer) = (Arc::clone(&job.store), job.layer.clone());
    finish(job.start(move || unpack_stored(&store, &layer))).await
}

/// Unpacks a layer whose blob is here. Blocking.
pub(crate) fn unpack_stored(store: &Store, layer: &Descriptor) -> Result<Unpacked, Error> {
    let file = store.content.open_blob(&layer.digest)?;
    let mut source = BufReader::with_capacity(BUFFER, file);
    unpack(
        &store.snapshots,
        &mut source,
        Limits::for_compressed(layer.size),
    )
    .map_err(|failure| failure.into_error(&layer.digest))
}
