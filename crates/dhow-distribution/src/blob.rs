//! A blob on its way here.

use bytes::Bytes;
use dhow_oci::Descriptor;
use http::StatusCode;
use http::header::CONTENT_RANGE;
use reqwest::Response;
use tokio::time::{sleep, timeout};

use crate::registry::back_off;
use crate::{Error, Repository};

/// The bytes of a blob as they come in; exactly the descriptor's size from the offset on, or an error.
///
/// When the transfer breaks, the rest is asked for again, waiting a little longer each time; only attempts that
/// brought next to nothing count against the limit.
#[derive(Debug)]
pub struct BlobStream {
    repository: Repository,
    descriptor: Descriptor,
    response: Option<Response>,
    position: u64,
    /// Bytes to drop from a server that sent the whole blob though a part was asked for.
    skip: u64,
    fruitless: u32,
    /// Bytes that the current connection brought.
    brought: u64,
}

/// What a connection must bring not to count as fruitless: a server that hands out a few bytes at a time would keep a
/// pull busy for ever.
const FRUIT: u64 = 64 << 10;

impl BlobStream {
    pub(crate) async fn open(
        repository: Repository,
        descriptor: Descriptor,
        offset: u64,
    ) -> Result<Self, Error> {
        let mut stream = Self {
            repository,
            descriptor,
            response: None,
            position: offset,
            skip: 0,
            fruitless: 0,
            brought: 0,
        };
        if stream.position < stream.descriptor.size {
            stream.connect().await?;
        }
        Ok(stream)
    }

    /// Where the next bytes belong.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes; `None` when the blob is complete.
    ///
    /// # Errors
    /// When the transfer broke too often, or more bytes come than there should be.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.position == self.descriptor.size {
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

    async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        let Some(response) = &mut self.response else {
            return Ok(None);
        };
        let limit = self.repository.config().read_timeout;
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
        if found > self.descriptor.size {
            return Err(Error::Size {
                expected: self.descriptor.size,
                found,
            });
        }
        self.position = found;
        Ok(Some(bytes))
    }

    /// Takes the transfer up again, unless that has been of no use for too long.
    async fn again(&mut self, mut source: Broken) -> Result<(), Error> {
        self.response = None;
        loop {
            if self.fruitless >= self.repository.retries() {
                let url = format!("blob {}", self.descriptor.digest);
                return Err(Error::Transfer { url, source });
            }
            tracing::debug!(blob = %self.descriptor.digest, position = self.position, reason = %source, "resuming");
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
        let response = self
            .repository
            .request_blob(&self.descriptor, self.position)
            .await?;
        self.skip = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let start = range_start(&response).unwrap_or(self.position);
                self.position
                    .checked_sub(start)
                    .ok_or_else(|| Error::Protocol {
                        url: response.url().to_string(),
                        reason: "wrong range sent".into(),
                    })?
            }
            _ => self.position,
        };
        self.response = Some(response);
        self.brought = 0;
        Ok(())
    }
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

fn range_start(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    value
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}
