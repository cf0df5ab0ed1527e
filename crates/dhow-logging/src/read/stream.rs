//! The asynchronous face of a reader.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::{LogSource, Progress, ReadOptions, Reader};
use crate::Error;

/// How many bytes one chunk has, about.
const CHUNK: usize = 128 * 1024;
/// How many chunks wait for a slow receiver.
const CHUNKS: usize = 4;

/// Reads a log in the background and sends it in chunks of about 128 KiB; needs a tokio runtime.
///
/// The channel is bounded, so a slow receiver slows the reading; dropping it ends the reading. A following stream
/// ends when everything written before `ended` became ready was sent. No thread is held while it waits.
#[must_use]
pub fn stream(
    source: LogSource,
    options: ReadOptions,
    ended: impl Future<Output = ()> + Send + 'static,
) -> mpsc::Receiver<Result<Bytes, Error>> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    tokio::spawn(async move {
        if let Err(error) = send_all(source, options, ended, &sender).await {
            // The receiver may have gone; then nobody wants to know.
            let _ = sender.send(Err(error)).await;
        }
    });
    receiver
}

async fn send_all(
    source: LogSource,
    options: ReadOptions,
    ended: impl Future<Output = ()> + Send + 'static,
    sender: &mpsc::Sender<Result<Bytes, Error>>,
) -> Result<(), Error> {
    let path = source.path.clone();
    let mut until = std::pin::pin!(passed(options.until.filter(|_| options.follow)));
    let watch_failed = |source| Error::Watch {
        path: path.clone(),
        source,
    };
    let mut ended = std::pin::pin!(ended);
    let mut reader = blocking(move || Reader::open(&source, options)).await?;
    let watch = watch_of(&reader).map_err(watch_failed)?;
    loop {
        let (back, chunk, progress) = blocking(move || {
            let mut chunk = Vec::with_capacity(CHUNK / 4);
            let progress = reader.read(&mut chunk, CHUNK)?;
            Ok((reader, chunk, progress))
        })
        .await?;
        reader = back;
        if !chunk.is_empty() && sender.send(Ok(chunk.into())).await.is_err() {
            return Ok(());
        }
        match (progress, &watch) {
            (Progress::More, _) => {}
            (Progress::CaughtUp, Some(watch)) => tokio::select! {
                () = sender.closed() => return Ok(()),
                () = &mut until, if !reader.writer_has_ended() => reader.writer_ended(),
                () = &mut ended, if !reader.writer_has_ended() => reader.writer_ended(),
                ready = watch.readable() => ready.map_err(watch_failed)?.clear_ready(),
            },
            _ => return Ok(()),
        }
    }
}

/// Ready when `time` has passed; never without one.
async fn passed(time: Option<Timestamp>) {
    let Some(time) = time else {
        return std::future::pending().await;
    };
    let left = Timestamp::now().duration_until(time);
    tokio::time::sleep(left.try_into().unwrap_or_default()).await;
}

#[allow(
    deprecated,
    reason = "unsound only for types whose descriptor changes; an OwnedFd's does not"
)]
fn watch_of(reader: &Reader) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let Some(watch) = reader.watch() else {
        return Ok(None);
    };
    Ok(Some(AsyncFd::new(watch.as_fd().try_clone_to_owned()?)?))
}

/// Runs `work` where it may block. It can only be cancelled when the runtime shuts down.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Read {
            path: Default::default(),
            source: io::Error::other(error),
        }),
    }
}
