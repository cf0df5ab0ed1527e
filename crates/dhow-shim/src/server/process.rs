//! The init and the execs, and the shim's ends of their streams.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use dhow_logging::Stream;
use dhow_runtime::Stdio;
use rustix::event::epoll::EventFlags;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use super::poll::{Poller, Token, Watched};
use crate::ConsoleSize;

/// The number of the init.
pub(super) const INIT: u32 = 0;

/// The ends of a process's streams that it gets itself.
#[derive(Debug)]
pub(super) enum ChildEnds {
    Pipes {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    Terminal(Option<ConsoleSize>),
}

impl ChildEnds {
    pub(super) fn stdio(&self) -> Stdio<'_> {
        match self {
            Self::Pipes {
                stdin,
                stdout,
                stderr,
            } => Stdio::Pipes {
                stdin: stdin.as_fd(),
                stdout: stdout.as_fd(),
                stderr: stderr.as_fd(),
            },
            Self::Terminal(size) => Stdio::Terminal {
                width: size.map_or(0, |size| size.cols),
                height: size.map_or(0, |size| size.rows),
            },
        }
    }
}

/// The shim's ends of a process's pipes.
#[derive(Debug, Default)]
pub(super) struct OurEnds {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// Makes pipes for the streams that are wanted; the others lead nowhere.
pub(super) fn pipes(stdin: bool, stdout: bool, stderr: bool) -> io::Result<(ChildEnds, OurEnds)> {
    let (mut ours, mut theirs) = (OurEnds::default(), [const { None }; 3]);
    if stdin {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        (ours.stdin, theirs[0]) = (Some(unblocked(write)?), Some(read));
    }
    for (wanted, end, place) in [(stdout, &mut ours.stdout, 1), (stderr, &mut ours.stderr, 2)] {
        if wanted {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            (*end, theirs[place]) = (Some(unblocked(read)?), Some(write));
        }
    }
    let [stdin, stdout, stderr] = theirs.map(|end| end.map_or_else(null, Ok));
    Ok((
        ChildEnds::Pipes {
            stdin: stdin?,
            stdout: stdout?,
            stderr: stderr?,
        },
        ours,
    ))
}

fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Makes our end non-blocking; a pipe's other end is a file of its own and does not change.
fn unblocked(fd: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(fd)
}

/// What a process reads.
#[derive(Debug)]
pub(super) struct Stdin {
    pub(super) watched: Watched<OwnedFd>,
    /// What it has not taken yet.
    pub(super) queue: Vec<u8>,
    /// Close it when the queue is empty.
    pub(super) closing: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
}

/// The init or an exec.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) number: u32,
    /// The exec's id; empty for the init.
    pub(super) id: String,
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Its terminal's master, for resizing.
    pub(super) terminal: Option<OwnedFd>,
    pub(super) stdin: Option<Stdin>,
    pub(super) sources: [Option<Watched<OwnedFd>>; 2],
    /// Which of them were made to hold more.
    large: [bool; 2],
    /// A client's end of input is the process's.
    pub(super) stdin_once: bool,
    pub(super) exit: Option<Exit>,
    /// When to stop waiting for the end of its output, after it has ended.
    pub(super) deadline: Option<Instant>,
}

impl Process {
    pub(super) fn new(number: u32, id: &str, pid: i32, pidfd: OwnedFd) -> Self {
        Self {
            number,
            id: id.into(),
            pid,
            pidfd,
            terminal: None,
            stdin: None,
            sources: [None, None],
            large: [false; 2],
            stdin_once: false,
            exit: None,
            deadline: None,
        }
    }

    /// Takes our ends of its pipes.
    pub(super) fn take_pipes(&mut self, ends: OurEnds) {
        self.stdin = ends.stdin.map(|fd| self.stdin_of(fd));
        for (stream, end) in [(Stream::Stdout, ends.stdout), (Stream::Stderr, ends.stderr)] {
            self.sources[place(stream)] =
                end.map(|fd| Watched::new(fd, Token::Source(self.number, stream)));
        }
    }

    /// Takes the master of its terminal.
    pub(super) fn take_terminal(&mut self, master: OwnedFd) -> io::Result<()> {
        let master = unblocked(master)?;
        let stdin = self.stdin_of(master.try_clone()?);
        self.stdin = Some(stdin);
        let token = Token::Source(self.number, Stream::Stdout);
        self.sources[0] = Some(Watched::new(master.try_clone()?, token));
        self.terminal = Some(master);
        Ok(())
    }

    fn stdin_of(&self, fd: OwnedFd) -> Stdin {
        Stdin {
            watched: Watched::new(fd, Token::Stdin(self.number)),
            queue: Vec::new(),
            closing: false,
        }
    }

    /// Is its output framed, and its input's end its own?
    pub(super) fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    pub(super) fn source(&mut self, stream: Stream) -> &mut Option<Watched<OwnedFd>> {
        &mut self.sources[place(stream)]
    }

    /// Was this stream's pipe made to hold more? It counts as such from now on.
    pub(super) fn is_large(&mut self, stream: Stream) -> bool {
        std::mem::replace(&mut self.large[place(stream)], true)
    }

    /// Reads what it prints from now on, or does not for a while.
    pub(super) fn set_reading(&mut self, poller: &Poller, reading: bool) {
        let interest = reading.then_some(EventFlags::IN);
        for source in self.sources.iter_mut().flatten() {
            source.set(poller, interest);
        }
    }

    pub(super) fn close_source(&mut self, poller: &Poller, stream: Stream) {
        if let Some(mut source) = self.source(stream).take() {
            source.forget(poller);
        }
    }

    pub(super) fn close_stdin(&mut self, poller: &Poller) {
        if let Some(mut stdin) = self.stdin.take() {
            stdin.watched.forget(poller);
        }
    }

    /// Has it ended, and everything it printed been read?
    pub(super) fn is_spent(&self) -> bool {
        self.exit.is_some() && self.sources.iter().all(Option::is_none)
    }
}

const fn place(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}
