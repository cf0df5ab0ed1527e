//! From the clients to the processes.
//!
//! A process that does not read stops the reading of the clients that feed it.

use std::io::{self, Read};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::output::{is_later, room};
use super::process::Stdin;
use super::state::Server;

impl Server {
    /// A client has sent input, or ended it. `gone`: it will not take anything any more either.
    pub(super) fn input_ready(&mut self, peer: u32, process: u32, gone: bool) {
        loop {
            let mut buffer = self.buffer.take();
            let read = match self.peer(peer) {
                Some(peer) => (&peer.socket.fd).read(&mut buffer[room()]),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
            let length = *read.as_ref().unwrap_or(&0);
            self.feed(process, &buffer[room()][..length]);
            self.buffer.put_back(buffer, length);
            match read {
                Ok(0) => return self.input_ended(peer, process),
                // One that has gone has not much left, and would be reported again and again.
                Ok(_) if gone || !self.is_full(process) => {}
                Ok(_) => return self.refresh_feeders(process),
                Err(error) if is_later(&error) => return,
                Err(_) => return self.input_ended(peer, process),
            }
        }
    }

    /// Gives input to a process; to nobody if that has closed its end.
    pub(super) fn feed(&mut self, process: u32, bytes: &[u8]) {
        let Some(place) = self
            .processes
            .iter()
            .position(|other| other.number == process)
        else {
            return;
        };
        let Some(stdin) = &mut self.processes[place].stdin else {
            return;
        };
        stdin.queue.extend_from_slice(bytes);
        self.write_stdin(place);
    }

    /// A process can read again.
    pub(super) fn stdin_ready(&mut self, process: u32) {
        if let Some(place) = self
            .processes
            .iter()
            .position(|other| other.number == process)
        {
            self.write_stdin(place);
            self.refresh_feeders(process);
        }
    }

    fn write_stdin(&mut self, place: usize) {
        let process = &mut self.processes[place];
        let Some(stdin) = &mut process.stdin else {
            return;
        };
        let alive = write_queue(stdin);
        if !alive || (stdin.queue.is_empty() && stdin.closing) {
            process.close_stdin(&self.poller);
            return;
        }
        let interest = (!stdin.queue.is_empty()).then_some(EventFlags::OUT);
        stdin.watched.set(&self.poller, interest);
    }

    fn is_full(&mut self, process: u32) -> bool {
        let stdin = self
            .process(process)
            .and_then(|process| process.stdin.as_ref());
        stdin.is_some_and(|stdin| !stdin.queue.is_empty())
    }

    /// The clients that feed a process are read, unless it does not take what it has.
    fn refresh_feeders(&mut self, process: u32) {
        let feeders: Vec<u32> = self
            .peers
            .iter()
            .filter(|peer| peer.feeds(process))
            .map(|peer| peer.number)
            .collect();
        for peer in feeders {
            self.refresh_peer(peer);
        }
    }

    /// A client has ended its input. As in Docker: the process's input ends with it if that is so arranged and there
    /// is no terminal, otherwise the client is detached, unless nobody takes input anyway.
    pub(super) fn input_ended(&mut self, peer: u32, process: u32) {
        let place = self
            .processes
            .iter()
            .position(|other| other.number == process);
        let ends = place.is_some_and(|place| {
            let process = &self.processes[place];
            process.stdin_once && !process.has_terminal()
        });
        if let (true, Some(place)) = (ends, place) {
            if let Some(stdin) = &mut self.processes[place].stdin {
                stdin.closing = true;
            }
            self.write_stdin(place);
        }
        let detached = !ends
            && self
                .process(process)
                .is_some_and(|process| process.stdin.is_some());
        if let Some(peer) = self.peer(peer) {
            peer.stop_feeding();
            peer.closing |= detached;
        }
        self.refresh_peer(peer);
    }

    /// Can this process be given more input?
    pub(super) fn takes_input(&self, process: u32) -> bool {
        let process = self.processes.iter().find(|other| other.number == process);
        process.is_none_or(|process| {
            process
                .stdin
                .as_ref()
                .is_none_or(|stdin| stdin.queue.is_empty())
        })
    }
}

/// Writes as much as the process takes; false if it has closed its end.
fn write_queue(stdin: &mut Stdin) -> bool {
    let mut written = 0;
    let alive = loop {
        if written == stdin.queue.len() {
            break true;
        }
        match rustix::io::write(&stdin.watched.fd, &stdin.queue[written..]) {
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break true,
            Err(_) => break false,
        }
    };
    stdin.queue.drain(..written);
    if stdin.queue.is_empty() {
        stdin.queue = Vec::new();
    }
    alive
}
