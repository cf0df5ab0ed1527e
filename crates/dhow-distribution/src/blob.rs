//! A blob on its way here, or a part of it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dhow_oci::Descriptor;
use http::StatusCode;
use http::header::CONTENT_RANGE;
use reqwest::Response;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::boundary::shown;
use crate::registry::back_off;
use crate::{Error, Repository};

/// What to do about a server that doesn't answer as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Try again, wait, and take the whole blob where parts can't be had.
    Insist,
    /// Give up at once: someone else insists.
    Try,
}

/// A blob to be fetched; what is learnt of its server is shared by all streams of it.
#[derive(Debug, Clone)]
pub struct BlobSource {
    repository: Repository,
    descriptor: Descriptor,
    /// Where the registry has led to, so that not every part has to ask the way.
    location: Arc<Mutex<Option<Url>>>,
}

impl BlobSource {
    pub(crate) fn new(repository: Repository, descriptor: Descriptor) -> Self {
        Self {
            repository,
            descriptor,
            location: Arc::default(),
        }
    }

    /// Begins to fetch the bytes `part`.
    ///
    /// # Errors
    /// When the blob isn't there; [`Error::NoRanges`] when the server sends no parts and nobody insists.
    pub async fn fetch(&self, part: Range<u64>, patience: Patience) -> Result<BlobStream, Error> {
        let mut stream = BlobStream {
            source: self.clone(),
            response: None,
            position: part.start,
            end: part.end.min(self.descriptor.size),
            patience,
            whole_only: false,
            skip: 0,
            fruitless: 0,
            brought: 0,
        };
        if stream.position < stream.end {
            stream.connect().await?;
        }
        Ok(stream)
    }

    fn location(&self) -> std::sync::MutexGuard<'_, Option<Url>> {
        self.location.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the part at the address known from before, if there is one and it still serves.
    async fn ask_directly(&self, range: &str) -> Option<Response> {
        let url = self.location().clone()?;
        let response = self
            .repository
            .request_blob_at(&url, &self.descriptor, range)
            .await;
        match response {
            Ok(response) if response.status() == StatusCode::PARTIAL_CONTENT => Some(response),
            _ => {
                *self.location() = None;
                None
            }
        }
    }

    async fn ask(&self, range: Option<&str>, patience: Patience) -> Result<Response, Error> {
        if let Some(range) = range
            && let Some(response) = self.ask_directly(range).await
        {
            return Ok(response);
        }
        let patient = patience == Patience::Insist;
        let asked = self
            .repository
            .request_blob(&self.descriptor, range, patient);
        let response = asked.await?;
        *self.location() = Some(response.url().clone()).filter(|url| {
            // The registry's own address needs what authorizes us, and is no detour.
            !url.path().ends_with(&self.descriptor.digest.to_string())
        });
        Ok(response)
    }
}

/// The bytes of a blob, or of a part of it, as they come in; exactly those asked for, or an error.
///
/// With [`Patience::Insist`], when the transfer breaks, the rest is asked for again, waiting a little longer each time;
/// only attempts that brought next to nothing count against the limit. From a server that sends no parts the stream goes
/// on to the blob's end: [`BlobStream::end`] tells.
#[derive(Debug)]
pub struct BlobStream {
    source: BlobSource,
    response: Option<Response>,
    position: u64,
    end: u64,
    patience: Patience,
    /// The server makes nothing sensible of ranges.
    whole_only: bool,
    /// Bytes to drop from a server that sent more than was asked for.
    skip: u64,
    fruitless: u32,
    /// Bytes that the current connection brought.
    brought: u64,
}

/// What a connection must bring not to count as fruitless: a server that hands out a few bytes at a time would keep a
/// pull busy for ever.
const FRUIT: u64 = 64 << 10;

impl BlobStream {
    /// Where the next bytes belong.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the last byte belongs, plus one.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The next bytes; `None` when all are there.
    ///
    /// # Errors
    /// When the transfer broke too often, or more bytes come than there should be.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.position == self.end {
                return Ok(None);
            }
            match self.read().await {
                Ok(Some(bytes)) => {
                    if let Some(bytes) = self.take(bytes)? {
                        self.brought += u64::try_from(bytes.len()).unwrap_or(0);
                        if self.brought >= FRUIT {
                            self.fruitless = 0;
                        }
                        return Ok(Some(bytes));
                    }
                }
                Ok(None) => {
                    let read = self.position;
                    self.again(format!("unexpected EOF after {read} bytes").into())
                        .await?;
                }
                Err(source) => self.again(source).await?,
            }
        }
    }

    fn size(&self) -> u64 {
        self.source.descriptor.size
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        let Some(response) = &mut self.response else {
            return Ok(None);
        };
        let limit = self.source.repository.config().read_timeout;
        Ok(timeout(limit, response.chunk()).await??)
    }

    /// Drops what was not asked for and counts the rest.
    fn take(&mut self, mut bytes: Bytes) -> Result<Option<Bytes>, Error> {
        if self.skip > 0 {
            let drop = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let _ = bytes.split_to(drop);
            self.skip -= u64::try_from(drop).unwrap_or(self.skip);
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let found = self.position + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if found > self.size() {
            return Err(Error::Size {
                expected: self.size(),
                found,
            });
        }
        if found > self.end {
            // A part that goes on beyond what was asked for.
            bytes.truncate(usize::try_from(self.end - self.position).unwrap_or(bytes.len()));
            self.response = None;
        }
        self.position = found.min(self.end);
        Ok(Some(bytes))
    }

    /// Takes the transfer up again, unless that has been of no use for too long.
    async fn again(&mut self, mut source: Broken) -> Result<(), Error> {
        self.response = None;
        let most = match self.patience {
            Patience::Insist => self.source.repository.retries(),
            Patience::Try => 0,
        };
        loop {
            if self.fruitless >= most {
                let url = format!("blob {}", self.source.descriptor.digest);
                return Err(Error::Transfer { url, source });
            }
            tracing::debug!(
                blob = %self.source.descriptor.digest,
                position = self.position,
                reason = %source,
                "resuming"
            );
            sleep(back_off(self.fruitless)).await;
            self.fruitless += 1;
            match self.connect().await {
                Ok(()) => return Ok(()),
                Err(error @ (Error::NotFound { .. } | Error::Denied { .. })) => return Err(error),
                Err(error) => source = Box::new(error),
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        if !self.whole_only && (self.position > 0 || self.end < self.size()) {
            match self.connect_to_part().await {
                Err(Error::NoRanges { .. }) if self.patience == Patience::Insist => {
                    self.whole_only = true;
                }
                result => return result,
            }
        }
        let response = self.source.ask(None, self.patience).await?;
        self.begin(response, self.position);
        self.end = self.size();
        Ok(())
    }

    async fn connect_to_part(&mut self) -> Result<(), Error> {
        let range = match self.end == self.size() {
            true => format!("bytes={}-", self.position),
            false => format!("bytes={}-{}", self.position, self.end - 1),
        };
        let response = match self.source.ask(Some(&range), self.patience).await {
            Ok(response) => response,
            // Not satisfiable, not implemented, or not understood.
            Err(Error::Status {
                code: 400 | 416 | 501,
                url,
                ..
            }) => {
                return Err(Error::NoRanges { url });
            }
            Err(error) => return Err(error),
        };
        let url = || shown(response.url());
        if response.status() != StatusCode::PARTIAL_CONTENT {
            // The whole blob: to read it from the start is worth it only to whoever has nobody else to rely on.
            if self.patience == Patience::Try {
                return Err(Error::NoRanges { url: url() });
            }
            self.begin(response, self.position);
            self.end = self.size();
            return Ok(());
        }
        match sent_range(&response) {
            Some((start, total))
                if start == self.position && total.is_none_or(|total| total == self.size()) =>
            {
                self.begin(response, 0);
                Ok(())
            }
            _ => Err(Error::NoRanges { url: url() }),
        }
    }

    fn begin(&mut self, response: Response, skip: u64) {
        self.response = Some(response);
        self.skip = skip;
        self.brought = 0;
    }
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Where the part that was sent begins, and the size of the whole if it is said (RFC 9110, section 14.4).
fn sent_range(response: &Response) -> Option<(u64, Option<u64>)> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split('-').next()?.parse().ok()?;
    Some((start, total.trim().parse().ok()))
}
