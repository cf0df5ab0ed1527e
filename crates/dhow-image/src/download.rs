//! A layer's blob on its way from the registry into the store, over several connections where it is large.
//!
//! The missing bytes are cut into *parts*, taken from the front one after the other, so that whoever follows the blob from
//! its beginning is never far behind. One connection insists: it retries, waits, and takes the whole blob where the
//! registry sends no parts. Once it has been sent a part, others help, and give back what they couldn't get.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dhow_content::Assembly;
use dhow_distribution::{BlobSource, BlobStream, Patience};
use dhow_oci::media_type;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, mpsc};

use crate::Error;
use crate::fetch::{LayerJob, finish};
use crate::meter::Meter;

/// How many of the network's pieces wait for the writing thread.
const PIECES: usize = 4;
/// What is missing less than this comes over one connection.
const PARALLEL_FROM: u64 = 16 << 20;
/// How many connections one blob may have.
const CONNECTIONS: usize = 4;
/// The parts' sizes, and how many parts there should be.
const SMALLEST_PART: u64 = 4 << 20;
const LARGEST_PART: u64 = 16 << 20;
const PARTS: u64 = 16;
/// What a connection must have brought to be worth another.
const FRUIT: u64 = 64 << 10;

/// Bytes and where they belong.
type Piece = (u64, Bytes);

/// Fetches what is missing of the job's blob and makes it a blob of the store.
pub(crate) async fn download(job: &LayerJob, assembly: Assembly) -> Result<(), Error> {
    let Some(repository) = &job.repository else {
        return Err(Error::Invalid(format!(
            "layer {} is missing",
            job.layer.digest
        )));
    };
    let meter = job.meter.clone();
    let retrying = move |time: std::time::Duration| meter.retrying(time);
    let source = repository.telling(retrying).blob(&job.layer);
    let (sender, receiver) = mpsc::channel(PIECES);
    let transfer = Transfer::new(source, &assembly, sender, job);
    let writer = job.start(move || write(assembly, receiver));
    let received = transfer.run().await;
    // The writing thread ends when nothing more can come.
    drop(transfer);
    if received.is_ok() {
        job.meter.status("Verifying Checksum").await;
    }
    match (received, finish(writer).await) {
        (Err(Stop::Broken(error)), Err(Error::Cancelled(_))) => Err(foreign(error, job)),
        (Ok(()), Ok(())) => {
            job.meter.complete();
            job.meter.status("Download complete").await;
            Ok(())
        }
        // Nobody took the bytes any more: the writing thread knows why.
        (_, Err(error)) => Err(error),
        (Err(stop), Ok(())) => Err(stop.into()),
    }
}

/// A layer that may not be distributed is often missing where it is pulled from; that is no fault of the registry's.
fn foreign(error: Error, job: &LayerJob) -> Error {
    match error {
        Error::Registry(dhow_distribution::Error::NotFound { .. })
            if media_type::is_foreign(&job.layer.media_type) =>
        {
            Error::Foreign(job.layer.digest)
        }
        error => error,
    }
}

/// Puts the pieces where they belong, and checks the whole.
fn write(mut assembly: Assembly, mut pieces: mpsc::Receiver<Piece>) -> Result<(), Error> {
    while let Some((offset, bytes)) = pieces.blocking_recv() {
        if let Err(error) = assembly.write(offset, &bytes) {
            // Most likely the disk is full: what is here only makes that worse.
            assembly.discard();
            return Err(error.into());
        }
    }
    if !assembly.missing().is_empty() {
        return Err(Error::Cancelled("the pull"));
    }
    Ok(assembly.commit_pending()?)
}

/// Why not all bytes came.
enum Stop {
    /// Nobody takes them any more.
    Unwanted,
    /// They don't come any more.
    Broken(Error),
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Unwanted => Self::Cancelled("the pull"),
            Stop::Broken(error) => error,
        }
    }
}

impl From<dhow_distribution::Error> for Stop {
    fn from(error: dhow_distribution::Error) -> Self {
        Self::Broken(error.into())
    }
}

/// What the connections of one blob share.
struct Transfer {
    source: BlobSource,
    parts: Mutex<VecDeque<Range<u64>>>,
    /// Whether there is enough to fetch for several connections.
    large: bool,
    /// The registry sends no parts, or not over more connections.
    alone: AtomicBool,
    connections: Arc<Semaphore>,
    sender: mpsc::Sender<Piece>,
    present: AtomicU64,
    meter: Meter,
}

impl Transfer {
    fn new(
        source: BlobSource,
        assembly: &Assembly,
        sender: mpsc::Sender<Piece>,
        job: &LayerJob,
    ) -> Self {
        let missing = assembly.missing();
        let total: u64 = missing.iter().map(|range| range.end - range.start).sum();
        let large = total >= PARALLEL_FROM;
        let parts = match large {
            true => cut(&missing, total),
            false => missing.into(),
        };
        Self {
            source,
            parts: Mutex::new(parts),
            large,
            alone: AtomicBool::new(false),
            connections: Arc::clone(&job.store.connections),
            sender,
            present: AtomicU64::new(assembly.present()),
            meter: job.meter.clone(),
        }
    }

    /// Fetches all parts.
    async fn run(&self) -> Result<(), Stop> {
        let mut helpers = FuturesUnordered::new();
        loop {
            let Some(part) = self.next() else {
                // What a helper gives back is to be fetched here.
                match helpers.next().await {
                    Some(helped) => helped?,
                    None => return Ok(()),
                }
                continue;
            };
            let stream = self.source.fetch(part.clone(), Patience::Insist).await?;
            if stream.end() == part.end {
                while let Some(helper) = self.helper(helpers.len()) {
                    helpers.push(helper);
                }
            } else {
                // All that follows comes in one; what a helper gave back may lie before.
                self.alone.store(true, Ordering::Relaxed);
                self.parts().retain(|other| other.start < part.start);
            }
            let mut at = part.start;
            let own = self.take(stream, &mut at);
            tokio::pin!(own);
            loop {
                tokio::select! {
                    taken = &mut own => break taken?,
                    Some(helped) = helpers.next(), if !helpers.is_empty() => helped?,
                }
            }
        }
    }

    /// One more connection, if there may be one and something is left for it.
    fn helper(&self, running: usize) -> Option<impl Future<Output = Result<(), Stop>>> {
        let wanted = self.large
            && running + 1 < CONNECTIONS
            && !self.alone.load(Ordering::Relaxed)
            && self.parts().len() > running;
        let permit = match wanted {
            true => Arc::clone(&self.connections).try_acquire_owned().ok()?,
            false => return None,
        };
        Some(async move {
            let _permit = permit;
            self.help().await
        })
    }

    async fn help(&self) -> Result<(), Stop> {
        while let Some(part) = self.next() {
            let mut at = part.start;
            match self.fetch(&part, &mut at).await {
                Ok(()) => {}
                Err(Stop::Unwanted) => return Err(Stop::Unwanted),
                Err(Stop::Broken(error)) => {
                    tracing::debug!(%error, "a part is left to another connection");
                    self.parts().push_front(at..part.end);
                    if at - part.start < FRUIT {
                        self.alone.store(true, Ordering::Relaxed);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    async fn fetch(&self, part: &Range<u64>, at: &mut u64) -> Result<(), Stop> {
        let stream = self.source.fetch(part.clone(), Patience::Try).await?;
        self.take(stream, at).await
    }

    /// Hands on what a connection brings; `at` is how far it came.
    async fn take(&self, mut stream: BlobStream, at: &mut u64) -> Result<(), Stop> {
        while let Some(bytes) = stream.chunk().await? {
            let length = u64::try_from(bytes.len()).unwrap_or(0);
            let sent = self.sender.send((*at, bytes)).await;
            sent.map_err(|_| Stop::Unwanted)?;
            *at += length;
            let present = self.present.fetch_add(length, Ordering::Relaxed) + length;
            self.meter.downloading(present);
        }
        Ok(())
    }

    fn next(&self) -> Option<Range<u64>> {
        self.parts().pop_front()
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<Range<u64>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts what is missing into parts that begin at whole megabytes of the blob, but for the first of each gap.
fn cut(missing: &[Range<u64>], total: u64) -> VecDeque<Range<u64>> {
    let size = (total / PARTS)
        .clamp(SMALLEST_PART, LARGEST_PART)
        .next_multiple_of(1 << 20);
    let mut parts = VecDeque::new();
    for gap in missing {
        let mut from = gap.start;
        while from < gap.end {
            let to = (from + 1).next_multiple_of(size).min(gap.end);
            parts.push_back(from..to);
            from = to;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_gaps_and_nothing_else() {
        const MIB: u64 = 1 << 20;
        let gaps = [3..10 * MIB, 20 * MIB..20 * MIB + 5, 30 * MIB..64 * MIB - 1];
        let parts = cut(&gaps, 44 * MIB);
        let first: Vec<_> = parts.iter().take(4).cloned().collect();
        assert_eq!(
            first,
            [
                3..4 * MIB,
                4 * MIB..8 * MIB,
                8 * MIB..10 * MIB,
                20 * MIB..20 * MIB + 5
            ]
        );
        let sum: u64 = parts.iter().map(|part| part.end - part.start).sum();
        assert_eq!(sum, gaps.iter().map(|gap| gap.end - gap.start).sum::<u64>());
        assert!(parts.iter().skip(1).all(|part| part.start % MIB == 0));
        let whole = 0..10 << 30;
        let huge = cut(std::slice::from_ref(&whole), 10 << 30);
        assert_eq!(
            (huge.len(), huge[1].clone()),
            (640, LARGEST_PART..2 * LARGEST_PART)
        );
    }
}
