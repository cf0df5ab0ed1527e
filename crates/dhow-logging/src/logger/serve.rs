//! The logger at work.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::queue::{Full, Next, Queue};
use crate::channel::{Begin, HEADER, Header, Kind, LONGEST_BEGIN, Report};
use crate::driver::{self, Driver};
use crate::entry::Cutter;
use crate::validate::Plan;
use crate::write::{JsonFile, Writer};
use crate::{Error, LogConfig};

/// What waits for a driver that makes its container wait.
const QUEUE: usize = 256 * 1024;
/// How long is delivered on after the shim has ended.
const LAST: Duration = Duration::from_secs(10);
/// Losses are reported not more often than this.
const REPORTS: Duration = Duration::from_millis(500);

/// Serves the shim on standard input.
pub(super) fn run() -> ExitCode {
    // Compressors are not waited for.
    let _ = dhow_sys::signal::ignore(rustix::process::Signal::CHILD.as_raw());
    let _ = rustix::thread::set_name(c"dhow-logger");
    dhow_sys::heap::limit_arenas(1);
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let socket = UnixStream::from(rustix::stdio::stdin().try_clone_to_owned()?);
    let log = begin(&socket)?.log;
    let plan = Plan::of(&log);
    let opened = driver::open(&log).and_then(|driver| Ok((driver, copy(&log, plan)?)));
    let (driver, copy) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let text = dhow_errdefs::chain(&error).to_string();
            return report(&socket, &Report::Failed(text));
        }
    };
    report(&socket, &Report::Ready)?;
    // What beginning took is not needed again; only this process's own memory is at stake.
    dhow_sys::memory::trim_heap();
    let _ = dhow_sys::memory::release_code();
    let queue = Arc::new(queue(&log, plan));
    let (done, wait) = mpsc::channel();
    let delivering = Delivery {
        driver,
        queue: Arc::clone(&queue),
        socket: socket.try_clone()?,
        lost: 0,
        reported: (Instant::now(), 0),
    };
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    thread.spawn(move || {
        delivering.run();
        // Nobody waits any more when it took too long.
        let _ = done.send(());
    })?;
    let read = read(&socket, &queue, copy);
    queue.end();
    // A receiver that is away for so long has lost the rest.
    let _ = wait.recv_timeout(LAST);
    read
}

/// How much may wait for the driver, and what then.
fn queue(log: &LogConfig, plan: Plan) -> Queue {
    match (plan.buffer, driver::queue(log)) {
        (None, None) => Queue::new(QUEUE, Full::Wait),
        (Some(limit), None) | (None, Some(limit)) => Queue::new(limit, Full::Drop),
        (Some(one), Some(other)) => Queue::new(one.saturating_add(other), Full::Drop),
    }
}

/// The copy that `docker logs` reads, where the shim does not write it.
fn copy(log: &LogConfig, plan: Plan) -> Result<Option<JsonFile>, Error> {
    let ours = plan.remote && plan.file && plan.buffer.is_some();
    ours.then(|| JsonFile::open(log)).transpose()
}

fn begin(mut socket: &UnixStream) -> io::Result<Begin> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_BEGIN {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn report(mut socket: &UnixStream, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    socket.write_all(&line)
}

/// Takes the shim's frames until it ends.
fn read(socket: &UnixStream, queue: &Queue, mut copy: Option<JsonFile>) -> io::Result<()> {
    let mut input = io::BufReader::with_capacity(32 * 1024, socket);
    let mut cutter = Cutter::default();
    let mut sink = |entry: &crate::entry::Entry<'_>| queue.push(entry);
    let mut bytes = Vec::new();
    loop {
        let mut header = [0; HEADER];
        match input.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let header = Header::decode(header).ok_or(io::ErrorKind::InvalidData)?;
        bytes.resize(usize::try_from(header.length).unwrap_or(0), 0);
        input.read_exact(&mut bytes)?;
        let time = header.time;
        match header.kind {
            Kind::Chunk(stream) => {
                if let Some(copy) = &mut copy {
                    // The entry is delivered nevertheless.
                    let _ = copy.write(stream, &bytes, time).and_then(|()| copy.flush());
                }
                cutter.push(stream, time, &bytes, &mut sink);
            }
            Kind::Break(stream) => {
                if let Some(copy) = &mut copy {
                    let _ = copy.finish(stream, time);
                }
                cutter.finish(stream, time, &mut sink);
            }
        }
    }
}

/// The thread that delivers.
struct Delivery {
    driver: Box<dyn Driver>,
    queue: Arc<Queue>,
    socket: UnixStream,
    lost: u64,
    /// When losses were reported last, and how many.
    reported: (Instant, u64),
}

impl Delivery {
    fn run(mut self) {
        while let Next::Entries(entries) = self.queue.take() {
            let mut result = Ok(());
            for entry in entries {
                let delivered = self.driver.deliver(&entry.entry());
                self.queue.taken(&entry);
                if delivered.is_err() {
                    self.lost += 1;
                    result = delivered;
                    self.tell(result.as_ref().err(), false);
                }
            }
            if let Err(error) = self.driver.flush() {
                self.lost += 1;
                result = Err(error);
            }
            self.tell(result.err().as_ref(), false);
        }
        self.tell(None, true);
    }

    /// Reports what was lost.
    fn tell(&mut self, error: Option<&Error>, last: bool) {
        let lost = self.lost + self.queue.dropped();
        let (when, told) = self.reported;
        if lost == told || !last && told > 0 && when.elapsed() < REPORTS {
            return;
        }
        self.reported = (Instant::now(), lost);
        let why = match error {
            Some(error) => dhow_errdefs::chain(error).to_string(),
            None => "the buffer is full".to_owned(),
        };
        // The shim does not read when it has ended, and a report must not hold up what it reports on.
        let mut line = serde_json::to_vec(&Report::Lost(lost, why)).unwrap_or_default();
        line.push(b'\n');
        let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
        let _ = rustix::net::send(self.socket.as_fd(), &line, flags);
    }
}
