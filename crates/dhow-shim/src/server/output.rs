//! From the processes to the log and the clients.
//!
//! A client that does not take what it is sent stops the reading of its process, and so does a log driver, as in Docker:
//! the pipe fills and the process waits. What was read once is never lost to a client that is there.

use std::io;

use dhow_logging::Stream;
use rustix::io::Errno;

use super::process::INIT;
use super::state::Server;

/// How much is read at a time: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// Room for a frame's header before it.
const HEADER: usize = 8;
/// How often a source is read before the others have their turn.
const TURNS: usize = 16;
/// What a pipe is made to hold once it was found full: its writer and we wake each other less often.
const LARGE_PIPE: usize = 1024 * 1024;
/// A buffer of which more was used is given back when there is nothing to do.
const SMALL: usize = 8 * 1024;

/// The one buffer for everything that is read.
#[derive(Debug, Default)]
pub(super) struct ReadBuffer {
    /// Empty, or a header's room and a chunk's. Fresh pages cost nothing until they are used.
    bytes: Vec<u8>,
    used: usize,
}

impl ReadBuffer {
    /// Takes the buffer, to be put back.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            vec![0; HEADER + CHUNK]
        } else {
            bytes
        }
    }

    pub(super) fn put_back(&mut self, bytes: Vec<u8>, used: usize) {
        self.bytes = bytes;
        self.used = self.used.max(used);
    }

    pub(super) fn is_large(&self) -> bool {
        self.used > SMALL
    }

    pub(super) fn release(&mut self) {
        if self.is_large() {
            *self = Self::default();
        }
    }
}

/// What came of reading a source once.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Some,
    Empty,
    Ended,
}

impl Server {
    /// A process has printed something, or closed a stream.
    pub(super) fn source_ready(&mut self, number: u32, stream: Stream) {
        for _ in 0..TURNS {
            match self.transfer(number, stream) {
                Step::Some if self.is_held_up(number) => {
                    self.refresh_sources(number);
                    break;
                }
                Step::Some => {}
                Step::Empty => break,
                Step::Ended => {
                    self.source_ended(number, stream);
                    break;
                }
            }
        }
        if number == INIT {
            self.flush_log();
        }
    }

    /// Reads everything a process has left in its streams, whether its clients take it or not.
    pub(super) fn drain(&mut self, number: u32) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            loop {
                match self.transfer(number, stream) {
                    Step::Some => {}
                    Step::Empty => break,
                    Step::Ended => {
                        self.close_source(number, stream);
                        break;
                    }
                }
            }
        }
    }

    fn source_ended(&mut self, number: u32, stream: Stream) {
        self.close_source(number, stream);
        if self
            .process(number)
            .is_some_and(|process| process.number != INIT && process.is_spent())
        {
            self.finish_exec(number);
        }
    }

    /// Closes a stream; what is left of the init's last line goes into the log.
    pub(super) fn close_source(&mut self, number: u32, stream: Stream) {
        let Some(place) = self
            .processes
            .iter()
            .position(|process| process.number == number)
        else {
            return;
        };
        let process = &mut self.processes[place];
        if process.source(stream).is_some() {
            process.close_source(&self.poller, stream);
            if number == INIT {
                self.finish_stream(stream);
            }
        }
    }

    /// Moves one chunk from a source to everyone who gets it.
    fn transfer(&mut self, number: u32, stream: Stream) -> Step {
        let mut buffer = self.buffer.take();
        let read = match self
            .process(number)
            .and_then(|process| process.source(stream).as_ref())
        {
            Some(source) => rustix::io::read(&source.fd, &mut buffer[HEADER..]),
            None => Err(Errno::AGAIN),
        };
        let step = match read {
            Ok(0) => Step::Ended,
            Ok(length) => {
                if length == CHUNK {
                    self.enlarge(number, stream);
                }
                self.distribute(number, stream, &mut buffer[..HEADER + length]);
                Step::Some
            }
            Err(Errno::AGAIN | Errno::INTR) => Step::Empty,
            // A terminal whose other side is closed says EIO.
            Err(_) => Step::Ended,
        };
        self.buffer.put_back(buffer, read.unwrap_or(0));
        step
    }

    /// Makes a source's pipe hold more. A terminal can't, and need not.
    fn enlarge(&mut self, number: u32, stream: Stream) {
        if let Some(process) = self.process(number)
            && !process.is_large(stream)
            && let Some(source) = process.source(stream)
        {
            // One that stays small works just as well.
            let _ = rustix::pipe::fcntl_setpipe_size(&source.fd, LARGE_PIPE);
        }
    }

    /// Gives a chunk (behind room for a header) to the log and the clients.
    fn distribute(&mut self, number: u32, stream: Stream, chunk: &mut [u8]) {
        if number == INIT {
            self.store(stream, &chunk[HEADER..]);
        }
        let terminal = self
            .process(number)
            .is_some_and(|process| process.has_terminal());
        let length = u32::try_from(chunk.len() - HEADER).unwrap_or(u32::MAX);
        chunk[..HEADER].copy_from_slice(&[stream.number(), 0, 0, 0, 0, 0, 0, 0]);
        chunk[4..HEADER].copy_from_slice(&length.to_be_bytes());
        let sent = if terminal {
            &chunk[HEADER..]
        } else {
            &chunk[..]
        };
        for peer in self
            .peers
            .iter_mut()
            .filter(|peer| peer.receives(number, stream))
        {
            peer.send(sent);
        }
        for number in self.behind(number) {
            self.refresh_peer(number);
        }
    }

    /// The numbers of a process's clients that have something left to take.
    fn behind(&self, process: u32) -> Vec<u32> {
        let behind = |peer: &&super::peer::Peer| peer.is_of(process) && peer.is_behind();
        self.peers
            .iter()
            .filter(behind)
            .map(|peer| peer.number)
            .collect()
    }

    fn is_held_up(&self, process: u32) -> bool {
        if process == INIT && self.log.writer.is_behind() {
            return true;
        }
        self.peers
            .iter()
            .any(|peer| peer.is_of(process) && peer.is_behind())
    }

    /// Reads a process's output, unless a client holds it up.
    pub(super) fn refresh_sources(&mut self, number: u32) {
        let reading = !self.is_held_up(number);
        if let Some(process) = self
            .processes
            .iter_mut()
            .find(|process| process.number == number)
        {
            process.set_reading(&self.poller, reading);
        }
    }
}

/// For [`Server::read_from`]: the part of the buffer that is read into.
pub(super) const fn room() -> std::ops::RangeFrom<usize> {
    HEADER..
}

/// Does this error mean "later"?
pub(super) fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
