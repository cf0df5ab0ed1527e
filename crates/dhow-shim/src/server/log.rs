//! The container's log: stored by the shim itself, or handed to the process of a driver that would block it.

use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use dhow_logging::{Stream, Writer};
use rustix::event::epoll::EventFlags;

use super::poll::{Token, Watched};
use super::process::INIT;
use super::state::Server;

/// How long the end of a container is held back until its log has taken what is left (as Docker).
const PATIENCE: Duration = Duration::from_secs(2);

/// The container's log.
pub(super) struct Log {
    pub(super) writer: Box<dyn Writer>,
    failures: u64,
    /// The connection to the process that delivers, by its number.
    link: Option<(u32, Watched<OwnedFd>)>,
}

impl Log {
    pub(super) fn new(writer: Box<dyn Writer>) -> Self {
        Self {
            writer,
            failures: 0,
            link: None,
        }
    }

    /// How often something was lost.
    pub(super) fn failures(&self) -> u64 {
        self.failures + self.writer.lost()
    }
}

impl Server {
    /// Takes what the container printed. What can't be stored is lost, and the container goes on.
    pub(super) fn store(&mut self, stream: Stream, chunk: &[u8]) {
        let stored = self.log.writer.write(stream, chunk, SystemTime::now());
        self.note_log_failure(stored);
        self.refresh_log();
    }

    /// There is nothing more to be read at once: what was taken is stored.
    pub(super) fn flush_log(&mut self) {
        let stored = self.log.writer.flush();
        self.note_log_failure(stored);
    }

    pub(super) fn finish_stream(&mut self, stream: Stream) {
        let stored = self.log.writer.finish(stream, SystemTime::now());
        self.note_log_failure(stored);
    }

    /// The process that delivers takes more, or has something to say, or has ended.
    pub(super) fn log_ready(&mut self) {
        let resumed = self.log.writer.resume();
        self.note_log_failure(resumed);
        self.refresh_log();
        self.refresh_sources(INIT);
    }

    /// Waits for what makes sense now.
    pub(super) fn refresh_log(&mut self) {
        let link = self.log.writer.link();
        let known = self.log.link.as_ref().map(|(number, _)| *number);
        if link.map(|link| link.number) != known {
            if let Some((_, mut watched)) = self.log.link.take() {
                watched.forget(&self.poller);
            }
            // Without a second descriptor nothing is heard of the process; the next chunk tries again.
            self.log.link = link.and_then(|link| {
                let fd = link.fd.try_clone_to_owned().ok()?;
                Some((link.number, Watched::new(fd, Token::Log)))
            });
        }
        let Some((_, watched)) = &mut self.log.link else {
            return;
        };
        let mut interest = EventFlags::IN;
        if link.is_some_and(|link| link.waits) {
            interest |= EventFlags::OUT;
        }
        watched.set(&self.poller, Some(interest));
    }

    /// The container has ended, and its streams: nothing more will come.
    pub(super) fn close_log(&mut self) {
        self.log.writer.close(PATIENCE);
        self.refresh_log();
        let lost = self.log.writer.lost();
        if lost > 0 {
            self.note(&format!("{lost} lines or chunks of output were lost"));
        }
    }

    fn note_log_failure(&mut self, stored: Result<(), dhow_logging::Error>) {
        if let Err(error) = stored {
            self.log.failures += 1;
            if self.log.failures == 1 {
                self.note(&format!(
                    "output is being lost: {}",
                    dhow_errdefs::chain(&error)
                ));
            }
        }
    }
}
