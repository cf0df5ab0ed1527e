//! Answers that are one JSON document after the other: events, samples, progress.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;

use crate::client::Response;
use crate::error::{Error, Result};

/// The documents of an answer as they come, wherever the pieces that bring them are cut.
pub struct Documents<T> {
    response: Response,
    /// What is not a whole document yet.
    pending: Vec<u8>,
    ready: VecDeque<T>,
}

impl<T: DeserializeOwned> Documents<T> {
    /// The documents of `response`.
    #[must_use]
    pub fn new(response: Response) -> Self {
        Self {
            response,
            pending: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next document; `None` after the last one. Nothing is lost where this is given up before it is done.
    ///
    /// # Errors
    /// The connection breaks, a document is none, or the last one is cut off.
    pub async fn next(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(document) = self.ready.pop_front() {
                return Ok(Some(document));
            }
            let Some(chunk) = self.response.chunk().await? else {
                return match self.pending.trim_ascii() {
                    [] => Ok(None),
                    _ => Err(Error::text("unexpected EOF")),
                };
            };
            self.pending.extend_from_slice(&chunk);
            self.decode()?;
        }
    }

    fn decode(&mut self) -> Result<()> {
        let mut documents = serde_json::Deserializer::from_slice(&self.pending).into_iter::<T>();
        for document in documents.by_ref() {
            match document {
                Ok(document) => self.ready.push_back(document),
                Err(error) if error.is_eof() => break,
                Err(error) => {
                    return Err(Error::text(format!(
                        "the daemon's answer cannot be read: {error}"
                    )));
                }
            }
        }
        let read = documents.byte_offset();
        self.pending.drain(..read);
        Ok(())
    }
}
