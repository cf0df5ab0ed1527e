//! Everything a shim holds, and the loop that moves it.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use dhow_runtime::Created;
use dhow_runtime::cgroup::OomWatch;
use dhow_sys::signal::SignalFd;
use jiff::Timestamp;
use rustix::event::epoll::EventFlags;

use super::container::{Container, Simulated};
use super::error::CreateError;
use super::log::Log;
use super::output::ReadBuffer;
use super::peer::Peer;
use super::poll::{Poller, Token, Watched};
use super::process::{ChildEnds, INIT, OurEnds, Process, pipes};
use crate::config::short_socket_path;
use crate::protocol::{ExecState, Response, ShimStatus};
use crate::record::{self, ExitRecord, Lock};
use crate::{SHIM_VERSION, ShimConfig};

/// For how many milliseconds nothing must happen before memory is given back: within a burst it would be taken again
/// at once.
const PAUSE: u64 = 20;

/// Where the container is in its life.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) status: ShimStatus,
    pub(super) started_at: Option<Timestamp>,
    pub(super) exit: Option<ExitRecord>,
    /// Out-of-memory kills told so far.
    pub(super) oom_kills: u64,
    /// Execs that ended, the newest last.
    pub(super) finished: VecDeque<ExecState>,
}

/// What a shim has only to have it.
pub(super) struct Kept {
    pub(super) lock: Lock,
    /// Descriptors kept open for the container while it runs (sockets on its published ports).
    pub(super) descriptors: Vec<OwnedFd>,
}

/// What wakes a shim, beside its processes and peers.
pub(super) struct Doors {
    pub(super) signals: SignalFd,
    pub(super) oom: Option<OomWatch>,
    pub(super) listener: Option<Watched<UnixListener>>,
}

/// A shim.
pub(super) struct Server {
    pub(super) config: ShimConfig,
    pub(super) container: Container,
    pub(super) life: Life,
    pub(super) log: Log,
    pub(super) kept: Kept,
    pub(super) poller: Poller,
    pub(super) doors: Doors,
    pub(super) processes: Vec<Process>,
    pub(super) peers: Vec<Peer>,
    pub(super) buffer: ReadBuffer,
    pub(super) next_number: u32,
    /// Something that takes much memory was done since the last time there was nothing to do.
    pub(super) untidy: bool,
}

impl Server {
    /// Makes the container and everything to serve it. On an error nothing is left of it.
    #[inline(never)] // Its frame is large and must not become part of one that stays.
    pub(super) fn create(
        config: ShimConfig,
        signals: SignalFd,
        simulated: Option<Simulated>,
    ) -> Result<(Self, Response), CreateError> {
        if config.version != SHIM_VERSION {
            return Err(CreateError::Version(config.version));
        }
        let failed = |source| CreateError::Lock {
            path: config.state_dir.clone(),
            source,
        };
        let lock = Lock::take(&config.state_dir).map_err(failed)?;
        let state_dir = config.state_dir.clone();
        let clear = |source| CreateError::Clear {
            path: state_dir.clone(),
            source,
        };
        record::clear(&state_dir).map_err(clear)?;
        let made = Self::make(config, lock, signals, simulated);
        if made.is_err() {
            // The first error is the one to be told; what is left is cleared by the next shim, too.
            let _ = record::clear(&state_dir);
        }
        made
    }

    fn make(
        config: ShimConfig,
        lock: Lock,
        signals: SignalFd,
        simulated: Option<Simulated>,
    ) -> Result<(Self, Response), CreateError> {
        let reserve = |source| CreateError::Reserve {
            path: config.state_dir.clone(),
            source,
        };
        record::reserve_exit(&config.state_dir).map_err(reserve)?;
        let writer = dhow_logging::open(&config.log).map_err(CreateError::Log)?;
        let (theirs, ours) = streams(&config).map_err(CreateError::Streams)?;
        let (container, created) = Container::create(&config, theirs.stdio(), simulated)?;
        drop(theirs);
        let warnings = created.warnings.clone();
        let log = Log::new(writer);
        let mut server = Self::with(config, container, (log, lock), signals)?;
        match server.watch_all(created, ours) {
            Ok(pid) => Ok((server, Response::Process { pid, warnings })),
            Err(error) => {
                // The first error is the one to be told; the container was never started.
                server.take_back();
                Err(error)
            }
        }
    }

    /// Takes a container away that was never started.
    pub(super) fn take_back(&mut self) {
        let _ = self.container.delete();
        let _ = remove_if_there(&self.config.socket);
    }

    fn with(
        config: ShimConfig,
        container: Container,
        (log, lock): (Log, Lock),
        signals: SignalFd,
    ) -> Result<Self, CreateError> {
        let life = Life {
            status: ShimStatus::Created,
            started_at: None,
            exit: None,
            oom_kills: 0,
            finished: VecDeque::new(),
        };
        Ok(Self {
            config,
            container,
            life,
            log,
            kept: Kept {
                lock,
                descriptors: Vec::new(),
            },
            poller: Poller::new().map_err(CreateError::Watch)?,
            doors: Doors {
                signals,
                oom: None,
                listener: None,
            },
            processes: Vec::new(),
            peers: Vec::new(),
            buffer: ReadBuffer::default(),
            next_number: INIT + 1,
            untidy: true,
        })
    }

    fn watch_all(&mut self, created: Created, ours: OurEnds) -> Result<u32, CreateError> {
        let mut init = Process::new(INIT, "", created.pid, created.pidfd);
        init.stdin_once = self.config.stdin_once;
        init.take_pipes(ours);
        if let Some(master) = created.master {
            init.take_terminal(master).map_err(CreateError::Streams)?;
            if !self.config.open_stdin {
                init.stdin = None;
            }
        }
        init.set_reading(&self.poller, true);
        self.refresh_log();
        self.processes.push(init);
        let listen = |source| CreateError::Listen {
            path: self.config.socket.clone(),
            source,
        };
        let listener = listen_on(&self.config.socket).map_err(listen)?;
        let mut listener = Watched::new(listener, Token::Listener);
        listener.set(&self.poller, Some(EventFlags::IN));
        self.doors.listener = Some(listener);
        self.poller
            .watch(&self.doors.signals, Token::Signals)
            .map_err(CreateError::Watch)?;
        // Not there without a memory controller; the exit record then says what is known at the end.
        self.doors.oom = self
            .container
            .cgroup
            .as_ref()
            .and_then(|cgroup| cgroup.watch_oom().ok());
        if let Some(oom) = &self.doors.oom {
            self.poller
                .watch(oom.fd(), Token::Oom)
                .map_err(CreateError::Watch)?;
        }
        Ok(u32::try_from(created.pid).unwrap_or(0))
    }

    /// Serves until everything is over.
    pub(super) fn run(&mut self) -> ExitCode {
        while !self.is_over() {
            let tidy = !self.untidy && !self.buffer.is_large();
            let patience = match self.milliseconds_left() {
                left if tidy => left,
                left => Some(left.map_or(PAUSE, |left| left.min(PAUSE))),
            };
            let Ok(events) = self.poller.wait(patience) else {
                return ExitCode::FAILURE;
            };
            if events.is_empty() {
                self.idle();
            }
            for (token, flags) in events {
                self.handle(token, flags);
            }
            self.expire();
            self.tidy_peers();
        }
        ExitCode::SUCCESS
    }

    fn handle(&mut self, token: Token, flags: EventFlags) {
        match token {
            Token::Listener => self.accept(),
            Token::Signals => self.signalled(),
            Token::Oom => self.out_of_memory(),
            Token::Peer(number) => self.peer_ready(number, flags),
            Token::Stdin(number) => self.stdin_ready(number),
            Token::Source(number, stream) => self.source_ready(number, stream),
            Token::Log => self.log_ready(),
        }
    }

    /// Nothing to do: gives back what a burst, the start or an exec took.
    fn idle(&mut self) {
        let burst = self.buffer.is_large();
        self.buffer.release();
        self.log.writer.release();
        if burst {
            dhow_sys::memory::trim_heap();
        }
        if std::mem::take(&mut self.untidy) {
            dhow_sys::memory::trim_heap();
            // Only the shim's own memory is at stake.
            let _ = dhow_sys::memory::release_stack();
            let _ = dhow_sys::memory::release_code();
        }
    }

    fn is_over(&self) -> bool {
        self.life.exit.is_some()
            && self.processes.is_empty()
            && self.peers.iter().all(|peer| !peer.is_behind())
    }

    fn milliseconds_left(&self) -> Option<u64> {
        let deadline = self
            .processes
            .iter()
            .filter_map(|process| process.deadline)
            .min()?;
        let left = deadline.saturating_duration_since(Instant::now());
        Some(
            u64::try_from(left.as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(1),
        )
    }

    pub(super) fn process(&mut self, number: u32) -> Option<&mut Process> {
        self.processes
            .iter_mut()
            .find(|process| process.number == number)
    }

    /// The running exec with that id.
    pub(super) fn exec(&mut self, id: &str) -> Option<&mut Process> {
        self.processes
            .iter_mut()
            .find(|process| process.number != INIT && process.id == id)
    }

    /// Writes a line into the shim's own log, which exists only if there was something to write.
    pub(super) fn note(&self, text: &str) {
        let path = self.config.state_dir.join("shim.log");
        if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
            // Nobody could be told that this failed too.
            let _ = writeln!(file, "{} {text}", Timestamp::now());
        }
    }

    /// No client can connect any more.
    ///
    /// The socket's file stays: by now it may be that of a shim that follows, and nobody can tell without a race.
    pub(super) fn stop_listening(&mut self) {
        if let Some(mut listener) = self.doors.listener.take() {
            listener.forget(&self.poller);
        }
    }
}

fn streams(config: &ShimConfig) -> io::Result<(ChildEnds, OurEnds)> {
    if config.terminal {
        return Ok((ChildEnds::Terminal(config.console_size), OurEnds::default()));
    }
    pipes(config.open_stdin, true, true)
}

fn listen_on(socket: &Path) -> io::Result<UnixListener> {
    remove_if_there(socket)?;
    let (_folder, path) = short_socket_path(socket)?;
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
