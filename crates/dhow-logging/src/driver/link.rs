//! A connection that is made again when it is lost.

use std::io;
use std::time::{Duration, Instant};

use crate::Error;
use crate::net::{Connection, Target, Tls};

/// How long a receiver that could not be reached is left alone: entries meanwhile are lost at once, rather than each
/// of them waiting for another attempt.
const REST: Duration = Duration::from_millis(100);

/// A connection to a receiver, or the wish for one.
pub(super) struct Link {
    target: Target,
    tls: Option<Tls>,
    connection: Option<Connection>,
    failed: Option<(Instant, String)>,
}

impl Link {
    /// A receiver that is not connected to yet.
    pub(super) fn new(target: Target, tls: Option<Tls>) -> Self {
        Self {
            target,
            tls,
            connection: None,
            failed: None,
        }
    }

    /// The connection; made if there is none.
    ///
    /// # Errors
    /// Go's text.
    pub(super) fn connect(&mut self) -> Result<&mut Connection, String> {
        if self.connection.is_none() {
            if let Some((when, text)) = &self.failed
                && when.elapsed() < REST
            {
                return Err(text.clone());
            }
            match self.target.dial(self.tls.as_ref()) {
                Ok(connection) => {
                    self.failed = None;
                    self.connection = Some(connection);
                }
                Err(text) => {
                    self.failed = Some((Instant::now(), text.clone()));
                    return Err(text);
                }
            }
        }
        self.connection.as_mut().ok_or_else(String::new)
    }

    /// Sends a message; over a new connection if the one there is has been lost.
    ///
    /// # Errors
    /// [`Error::Deliver`]
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let fresh = self.connection.is_none();
        let first = self.try_send(message);
        match first {
            Err(_) if !fresh => self.try_send(message),
            result => result,
        }
        .map_err(|source| self.failure(source))
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        let sent = self
            .connect()
            .map_err(io::Error::other)
            .and_then(|connection| connection.send(message));
        if sent.is_err() {
            self.connection = None;
        }
        sent
    }

    /// Gives the connection up.
    pub(super) fn close(&mut self) {
        self.connection = None;
    }

    /// That something could not be delivered.
    pub(super) fn failure(&self, source: io::Error) -> Error {
        Error::Deliver {
            to: self.target.name(),
            source,
        }
    }
}
