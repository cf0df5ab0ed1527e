//! A client's connection.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use dhow_logging::Stream;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::poll::{Poller, Token, Watched};
use crate::AttachRequest;

/// The most a subscriber may leave unread.
const EVENT_LIMIT: usize = 256 * 1024;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Requests and answers; whether the version is agreed.
    Control(bool),
    /// Events.
    Subscriber,
    /// The streams of the process with that number.
    Attached(u32, AttachRequest),
}

/// A client.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) number: u32,
    pub(super) socket: Watched<UnixStream>,
    pub(super) role: Role,
    /// Of a request that is not complete yet.
    pub(super) input: Vec<u8>,
    /// Those that came along.
    pub(super) descriptors: Vec<OwnedFd>,
    /// What the client has not taken yet.
    queue: Vec<u8>,
    /// Close it when the queue is empty.
    pub(super) closing: bool,
    /// It has gone.
    pub(super) dead: bool,
}

impl Peer {
    pub(super) fn control(socket: UnixStream, agreed: bool) -> Self {
        Self {
            number: 0,
            socket: Watched::new(socket, Token::Peer(0)),
            role: Role::Control(agreed),
            input: Vec::new(),
            descriptors: Vec::new(),
            queue: Vec::new(),
            closing: false,
            dead: false,
        }
    }

    /// Gives it its number; only before it is watched.
    pub(super) fn numbered(mut self, number: u32) -> Self {
        self.number = number;
        self.socket = Watched::new(self.socket.fd, Token::Peer(number));
        self
    }

    /// Does it receive this stream of that process?
    pub(super) fn receives(&self, process: u32, stream: Stream) -> bool {
        match self.role {
            Role::Attached(number, wants) if number == process && !self.closing && !self.dead => {
                match stream {
                    Stream::Stdout => wants.stdout,
                    Stream::Stderr => wants.stderr,
                }
            }
            _ => false,
        }
    }

    /// Is it attached to that process?
    pub(super) fn is_of(&self, process: u32) -> bool {
        matches!(self.role, Role::Attached(number, _) if number == process)
    }

    /// Does that process get this one's input?
    pub(super) fn feeds(&self, process: u32) -> bool {
        matches!(self.role, Role::Attached(number, wants) if number == process && wants.stdin)
    }

    /// Its input is not read any more.
    pub(super) fn stop_feeding(&mut self) {
        if let Role::Attached(_, wants) = &mut self.role {
            wants.stdin = false;
        }
    }

    /// Does not take what it is sent?
    pub(super) fn is_behind(&self) -> bool {
        !self.queue.is_empty() && !self.dead
    }

    /// Sends as much as it takes at once, and keeps the rest for later.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if self.dead {
            return;
        }
        let sent = if self.queue.is_empty() {
            self.send_now(bytes)
        } else {
            0
        };
        self.queue.extend_from_slice(&bytes[sent..]);
        if self.role == Role::Subscriber && self.queue.len() > EVENT_LIMIT {
            self.dead = true;
        }
    }

    /// Goes on sending what is left.
    pub(super) fn flush(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        let sent = self.send_now(&queue);
        if sent < queue.len() {
            self.queue = queue;
            self.queue.drain(..sent);
        }
    }

    fn send_now(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match rustix::net::send(
                &self.socket.fd,
                &bytes[sent..],
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Ok(more) => sent += more,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return sent,
                Err(_) => {
                    self.dead = true;
                    return bytes.len();
                }
            }
        }
        sent
    }

    /// Waits for what makes sense now. `fed`: the process it feeds takes input.
    pub(super) fn set_interest(&mut self, poller: &Poller, fed: bool) {
        let mut interest = match self.role {
            Role::Control(_) | Role::Subscriber => EventFlags::IN,
            Role::Attached(_, wants) if wants.stdin && fed && !self.closing => {
                EventFlags::IN | EventFlags::RDHUP
            }
            Role::Attached(..) => EventFlags::empty(),
        };
        if self.is_behind() {
            interest |= EventFlags::OUT;
        }
        self.socket.set(poller, Some(interest));
    }
}
