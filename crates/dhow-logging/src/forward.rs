//! The shim's side of a driver in a process of its own (see [`crate::logger`]).
//!
//! Writing never blocks. What the logger does not take at once is kept, which is at most what was read at a time, for
//! the shim stops reading the container's output until the rest is gone: [`Forward::is_behind`]. In mode
//! `non-blocking` it is thrown away instead, and counted.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::channel::{Begin, Header, Kind, Report};
use crate::validate::Plan;
use crate::write::Link as Waiting;
use crate::{Error, LogConfig, Stream};

/// How long a driver may take to begin; a receiver that does not answer is given up on before.
const BEGIN: Duration = Duration::from_secs(30);
/// A logger that ended is started again, but not more often than this.
const REST: Duration = Duration::from_secs(1);
/// The most that is kept for a logger that does not take it; only the end of a container can bring so much at once.
const LIMIT: usize = 8 * 1024 * 1024;

/// A connection to a logger.
pub(crate) struct Forward {
    config: LogConfig,
    plan: Plan,
    link: Option<Link>,
    /// How many loggers there were.
    number: u32,
    started: Instant,
    /// What the logger has not taken yet.
    queue: Vec<u8>,
    /// Chunks lost here.
    dropped: u64,
    /// Entries lost in loggers that have ended, and in the one there is.
    lost: (u64, u64),
    /// Streams of which something was lost since the last frame.
    broken: [bool; 2],
}

struct Link {
    socket: UnixStream,
    child: Child,
    /// Of a report that is not complete yet.
    input: Vec<u8>,
}

impl Forward {
    /// Starts the logger and waits until its driver is ready.
    ///
    /// # Errors
    /// With Docker's text when the driver can't begin.
    pub(crate) fn start(config: &LogConfig, plan: Plan) -> Result<Self, Error> {
        let mut link = Link::start(config).map_err(Error::Logger)?;
        match link.answer(Instant::now() + BEGIN) {
            Ok(Report::Ready) => {}
            Ok(Report::Failed(text)) => return Err(Error::Driver(text)),
            Ok(Report::Lost(..)) => return Err(Error::Logger(io::ErrorKind::InvalidData.into())),
            Err(error) => {
                // It is of no use to anybody.
                let _ = link.child.kill();
                return Err(Error::Logger(error));
            }
        }
        Ok(Self {
            config: config.clone(),
            plan,
            link: Some(link),
            number: 1,
            started: Instant::now(),
            queue: Vec::new(),
            dropped: 0,
            lost: (0, 0),
            broken: [false; 2],
        })
    }

    pub(crate) fn write(
        &mut self,
        stream: Stream,
        chunk: &[u8],
        time: SystemTime,
    ) -> Result<(), Error> {
        if chunk.is_empty() {
            return Ok(());
        }
        let full = match self.plan.buffer {
            Some(_) => !self.queue.is_empty(),
            None => self.queue.len() > LIMIT,
        };
        if full || !self.revive() {
            self.dropped += 1;
            self.broken[place(stream)] = true;
            return Ok(());
        }
        if std::mem::take(&mut self.broken[place(stream)]) {
            self.frame(Kind::Break(stream), &[], time)?;
        }
        self.frame(Kind::Chunk(stream), chunk, time)
    }

    pub(crate) fn finish(&mut self, stream: Stream, time: SystemTime) -> Result<(), Error> {
        match self.link {
            Some(_) => self.frame(Kind::Break(stream), &[], time),
            None => Ok(()),
        }
    }

    pub(crate) fn link(&self) -> Option<Waiting<'_>> {
        self.link.as_ref().map(|link| Waiting {
            number: self.number,
            fd: link.socket.as_fd(),
            waits: !self.queue.is_empty(),
        })
    }

    pub(crate) fn is_behind(&self) -> bool {
        !self.queue.is_empty() && self.plan.buffer.is_none()
    }

    /// Takes the logger's reports, and gives it what it has not taken yet.
    pub(crate) fn resume(&mut self) -> Result<(), Error> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let mut reason = None;
        let alive = link.reports(&mut |report| {
            match report {
                Report::Lost(count, why) => {
                    self.lost.1 = count;
                    reason = Some(why);
                }
                // One that was started again and found its receiver away; what it was sent meanwhile is lost.
                Report::Failed(why) => {
                    self.dropped += 1;
                    reason = Some(why);
                }
                Report::Ready => {}
            }
        });
        if !alive {
            self.gone();
        }
        self.send_queue();
        match reason {
            Some(why) => Err(Error::Driver(why)),
            None => Ok(()),
        }
    }

    pub(crate) fn lost(&self) -> u64 {
        self.dropped + self.lost.0 + self.lost.1
    }

    /// Gives the logger the rest, and waits until it has it; for files until it has written them.
    pub(crate) fn close(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        while !self.queue.is_empty() && self.ready(PollFlags::OUT, end) {
            self.send_queue();
        }
        if !self.queue.is_empty() {
            self.queue = Vec::new();
            self.dropped += 1;
        }
        let Some(mut link) = self.link.take() else {
            return;
        };
        // It may be gone already.
        let _ = link.socket.shutdown(std::net::Shutdown::Write);
        if self.plan.remote {
            return;
        }
        while link.reports(&mut drop) {
            if !wait(&link.socket, PollFlags::IN, end) {
                // The next run's logger must be the only one that writes to the file.
                let _ = link.child.kill();
                return;
            }
        }
    }

    /// Is there a logger? One that has ended is started again.
    fn revive(&mut self) -> bool {
        if self.link.is_none() && self.started.elapsed() >= REST {
            self.started = Instant::now();
            self.link = Link::start(&self.config).ok();
            self.number = self.number.wrapping_add(1);
            self.queue.clear();
        }
        self.link.is_some()
    }

    fn gone(&mut self) {
        self.link = None;
        self.lost = (self.lost.0 + self.lost.1, 0);
        self.queue = Vec::new();
        self.broken = [true; 2];
    }

    fn frame(&mut self, kind: Kind, bytes: &[u8], time: SystemTime) -> Result<(), Error> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let header = Header { kind, time, length }.encode();
        let Some(link) = &self.link else {
            return Ok(());
        };
        let sent = match self.queue.is_empty() {
            true => link.send(&[&header, bytes]),
            false => Ok(0),
        };
        match sent {
            Ok(sent) => {
                let whole = header.len() + bytes.len();
                if sent < whole {
                    let head = sent.min(header.len());
                    self.queue.extend_from_slice(&header[head..]);
                    self.queue.extend_from_slice(&bytes[sent - head..]);
                }
                Ok(())
            }
            Err(source) => {
                self.gone();
                Err(Error::Logger(source))
            }
        }
    }

    fn send_queue(&mut self) {
        let Some(link) = &self.link else {
            return;
        };
        match link.send(&[&self.queue]) {
            Ok(sent) if sent == self.queue.len() => self.queue = Vec::new(),
            Ok(sent) => drop(self.queue.drain(..sent)),
            Err(_) => self.gone(),
        }
    }

    fn ready(&self, events: PollFlags, end: Instant) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| wait(&link.socket, events, end))
    }
}

const fn place(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

/// Waits for a descriptor, until `end`.
fn wait(fd: &UnixStream, events: PollFlags, end: Instant) -> bool {
    let mut wanted = [PollFd::new(fd, events)];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = rustix::time::Timespec::try_from(left).unwrap_or_default();
        match poll(&mut wanted, Some(&left)) {
            Ok(count) => return count > 0,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

impl Link {
    fn start(config: &LogConfig) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = crate::logger::command()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        let begin = serde_json::to_vec(&Begin {
            log: config.clone(),
        })?;
        let length = u32::try_from(begin.len()).map_err(io::Error::other)?;
        let mut socket = ours;
        socket.write_all(&length.to_le_bytes())?;
        socket.write_all(&begin)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            child,
            input: Vec::new(),
        })
    }

    /// Waits for the first report.
    fn answer(&mut self, end: Instant) -> io::Result<Report> {
        let mut first = None;
        loop {
            let alive = self.reports(&mut |report| {
                first.get_or_insert(report);
            });
            if let Some(first) = first.take() {
                return Ok(first);
            }
            if !alive {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !wait(&self.socket, PollFlags::IN, end) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Takes the reports that are there; false if there will be none any more.
    fn reports(&mut self, sink: &mut dyn FnMut(Report)) -> bool {
        let mut buffer = [0; 1024];
        let alive = loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => break false,
                Ok(length) => self.input.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() == io::ErrorKind::WouldBlock,
            }
        };
        while let Some(end) = memchr::memchr(b'\n', &self.input) {
            if let Ok(report) = serde_json::from_slice(&self.input[..end]) {
                sink(report);
            }
            self.input.drain(..=end);
        }
        alive
    }

    /// Sends as much as is taken at once.
    fn send(&self, parts: &[&[u8]]) -> io::Result<usize> {
        let mut sent = 0;
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                match rustix::net::send(&self.socket, rest, flags) {
                    Ok(more) => {
                        sent += more;
                        rest = &rest[more..];
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return Ok(sent),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(sent)
    }
}
