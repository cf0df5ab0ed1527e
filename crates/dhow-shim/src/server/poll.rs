//! Waiting for descriptors.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use dhow_logging::Stream;

/// What a descriptor is to the shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    Signals,
    Oom,
    /// A client, by its number.
    Peer(u32),
    /// What a process reads, by its number.
    Stdin(u32),
    /// What a process prints.
    Source(u32, Stream),
    /// The process that delivers the log.
    Log,
}

impl Token {
    fn encode(self) -> u64 {
        let (kind, number) = match self {
            Self::Listener => (0, 0),
            Self::Signals => (1, 0),
            Self::Oom => (2, 0),
            Self::Peer(number) => (3, number),
            Self::Stdin(number) => (4, number),
            Self::Source(number, Stream::Stdout) => (5, number),
            Self::Source(number, Stream::Stderr) => (6, number),
            Self::Log => (7, 0),
        };
        kind << 32 | u64::from(number)
    }

    fn decode(data: u64) -> Self {
        let number = u32::try_from(data & 0xffff_ffff).unwrap_or(0);
        match data >> 32 {
            0 => Self::Listener,
            1 => Self::Signals,
            2 => Self::Oom,
            3 => Self::Peer(number),
            4 => Self::Stdin(number),
            5 => Self::Source(number, Stream::Stdout),
            6 => Self::Source(number, Stream::Stderr),
            _ => Self::Log,
        }
    }
}

/// An `epoll` instance.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
}

/// How many events are taken at a time.
pub(super) const EVENTS: usize = 16;

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
        })
    }

    /// Watches a descriptor for reading, for as long as both live.
    pub(super) fn watch(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            EventData::new_u64(token.encode()),
            EventFlags::IN,
        )?)
    }

    /// Waits for events, at most `milliseconds` where given.
    pub(super) fn wait(&self, milliseconds: Option<u64>) -> io::Result<Vec<(Token, EventFlags)>> {
        let timeout = milliseconds.map(|milliseconds| rustix::event::Timespec {
            tv_sec: i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(milliseconds % 1000 * 1_000_000).unwrap_or(0),
        });
        let mut buffer = [Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        }; EVENTS];
        match epoll::wait(&self.epoll, &mut buffer[..], timeout.as_ref()) {
            Ok(count) => {
                let event = |event: &Event| (Token::decode(event.data.u64()), event.flags);
                Ok(buffer[..count].iter().map(event).collect())
            }
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A descriptor and what is waited for on it.
///
/// It must be [`Watched::forget`]-ed before it is closed: a child that was forked meanwhile may have a copy, which
/// would keep the registration alive.
#[derive(Debug)]
pub(super) struct Watched<F> {
    pub(super) fd: F,
    token: Token,
    interest: Option<EventFlags>,
}

impl<F: AsFd> Watched<F> {
    pub(super) fn new(fd: F, token: Token) -> Self {
        Self {
            fd,
            token,
            interest: None,
        }
    }

    /// Waits for `interest` from now on; `None`: not even for a hang-up, which can't be masked otherwise.
    pub(super) fn set(&mut self, poller: &Poller, interest: Option<EventFlags>) {
        if self.interest == interest {
            return;
        }
        let data = EventData::new_u64(self.token.encode());
        let done = match (self.interest, interest) {
            (None, Some(flags)) => epoll::add(&poller.epoll, &self.fd, data, flags),
            (Some(_), Some(flags)) => epoll::modify(&poller.epoll, &self.fd, data, flags),
            (_, None) => epoll::delete(&poller.epoll, &self.fd),
        };
        // It can only fail for want of memory; then the next change tries again.
        if done.is_ok() {
            self.interest = interest;
        }
    }

    pub(super) fn forget(&mut self, poller: &Poller) {
        self.set(poller, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [
            Token::Listener,
            Token::Signals,
            Token::Oom,
            Token::Peer(7),
            Token::Stdin(u32::MAX),
            Token::Source(1, Stream::Stdout),
            Token::Source(2, Stream::Stderr),
            Token::Log,
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
