//! The clients: accepted, heard, told and forgotten.

use std::io::Read;

use rustix::event::epoll::EventFlags;

use super::held;
use super::output::{is_later, room};
use super::peer::{Peer, Role};
use super::state::Server;
use crate::protocol::{Response, ShimEvent, next_message, push_message};

impl Server {
    /// Takes in everyone who waits to be.
    pub(super) fn accept(&mut self) {
        while let Some(listener) = &self.doors.listener {
            // Anything else than "nobody waits" is the client's misfortune, or passes.
            let Ok((socket, _)) = listener.fd.accept() else {
                return;
            };
            if socket.set_nonblocking(true).is_ok() {
                self.add_peer(Peer::control(socket, false));
            }
        }
    }

    pub(super) fn add_peer(&mut self, peer: Peer) {
        let number = self.take_number();
        self.peers.push(peer.numbered(number));
        self.refresh_peer(number);
    }

    pub(super) fn take_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = number.checked_add(1).unwrap_or(1);
        number
    }

    pub(super) fn peer(&mut self, number: u32) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.number == number)
    }

    /// Something happened on a client's connection.
    pub(super) fn peer_ready(&mut self, number: u32, flags: EventFlags) {
        let gone = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        let Some(peer) = self.peer(number) else {
            return;
        };
        if flags.contains(EventFlags::OUT) {
            peer.flush();
        }
        match peer.role {
            Role::Control(_) => self.hear(number),
            Role::Subscriber => self.ignore_input(number),
            Role::Attached(process, wants) => {
                if wants.stdin
                    && flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP)
                {
                    self.input_ready(number, process, gone);
                }
            }
        }
        if let (true, Some(peer)) = (gone, self.peer(number)) {
            peer.dead = true;
        }
        self.refresh_peer(number);
    }

    /// Waits for what makes sense for a client now.
    pub(super) fn refresh_peer(&mut self, number: u32) {
        let Some(place) = self.peers.iter().position(|peer| peer.number == number) else {
            return;
        };
        let fed = match self.peers[place].role {
            Role::Attached(process, _) => self.takes_input(process),
            _ => true,
        };
        self.peers[place].set_interest(&self.poller, fed);
    }

    /// Closes the connections that are over, and lets the processes they held up go on.
    pub(super) fn tidy_peers(&mut self) {
        let mut affected = Vec::new();
        let poller = &self.poller;
        self.peers.retain_mut(|peer| {
            let over = peer.dead || (peer.closing && !peer.is_behind());
            if let Role::Attached(process, _) = peer.role {
                affected.push(process);
            }
            if over {
                peer.socket.forget(poller);
            }
            !over
        });
        for process in affected {
            self.refresh_sources(process);
        }
    }

    /// Reads requests and answers them.
    fn hear(&mut self, number: u32) {
        let mut buffer = self.buffer.take();
        let Some(peer) = self.peer(number) else {
            return;
        };
        let read = held::receive(&peer.socket.fd, &mut buffer[room()], &mut peer.descriptors);
        let length = *read.as_ref().unwrap_or(&0);
        peer.input.extend_from_slice(&buffer[room()][..length]);
        peer.dead |= match read {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !is_later(&error),
        };
        self.buffer.put_back(buffer, length);
        self.answer_all(number);
    }

    fn answer_all(&mut self, number: u32) {
        loop {
            let Some(peer) = self.peer(number) else {
                return;
            };
            if !matches!(peer.role, Role::Control(_)) || peer.dead {
                return self.rest_is_input(number);
            }
            let input = std::mem::take(&mut peer.input);
            let taken = match next_message(&input) {
                Ok(None) => {
                    peer.input = input;
                    return;
                }
                Ok(Some((message, taken))) => {
                    self.answer(number, message);
                    taken
                }
                Err(_) => {
                    peer.dead = true;
                    return;
                }
            };
            if let Some(peer) = self.peer(number) {
                peer.input = input[taken..].to_vec();
            }
        }
    }

    /// What a client sent behind the request that made its connection a stream is input already.
    fn rest_is_input(&mut self, number: u32) {
        let Some(peer) = self.peer(number) else {
            return;
        };
        let input = std::mem::take(&mut peer.input);
        match peer.role {
            Role::Attached(process, wants) if wants.stdin && !input.is_empty() => {
                self.feed(process, &input)
            }
            _ => {}
        }
    }

    /// A subscriber has nothing to say; it may only go.
    fn ignore_input(&mut self, number: u32) {
        let Some(peer) = self.peer(number) else {
            return;
        };
        let mut ignored = [0; 64];
        match (&peer.socket.fd).read(&mut ignored) {
            Ok(0) => peer.dead = true,
            Ok(_) => {}
            Err(error) => peer.dead |= !is_later(&error),
        }
    }

    pub(super) fn respond(&mut self, number: u32, response: &Response) {
        let mut bytes = Vec::new();
        push_message(&mut bytes, response);
        if let Some(peer) = self.peer(number) {
            peer.send(&bytes);
        }
    }

    /// Tells all subscribers.
    pub(super) fn tell(&mut self, event: ShimEvent) {
        let mut bytes = Vec::new();
        push_message(&mut bytes, &Response::Event(event));
        for peer in self
            .peers
            .iter_mut()
            .filter(|peer| peer.role == Role::Subscriber)
        {
            peer.send(&bytes);
        }
        let subscribers: Vec<u32> = self
            .peers
            .iter()
            .filter(|peer| peer.role == Role::Subscriber)
            .map(|peer| peer.number)
            .collect();
        for number in subscribers {
            self.refresh_peer(number);
        }
    }
}
