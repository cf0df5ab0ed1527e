//! A netlink socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv,
    send, socket_with, sockopt,
};

use super::codec::{self, Batch, Message};

/// What a socket talks to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Family {
    /// Links, addresses, routes.
    Route,
    /// nftables and connection tracking.
    Netfilter,
}

/// An open netlink socket; it belongs to the network namespace its opener was in, wherever it is used.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A batch in which something failed.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// Which message failed.
    pub(crate) index: usize,
    /// The kernel's answer.
    pub(crate) source: io::Error,
}

impl Socket {
    pub(crate) fn open(family: Family) -> io::Result<Self> {
        let protocol: Option<Protocol> = match family {
            // Route netlink is protocol 0.
            Family::Route => None,
            Family::Netfilter => Some(netlink::NETFILTER),
        };
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        Ok(Self {
            fd,
            sequence: 1,
            buffer: vec![0; 32 * 1024],
        })
    }

    /// Sends the batch and waits for the fate of every message: all are tried, the first failure is reported.
    pub(crate) fn request(&mut self, batch: &mut Batch) -> Result<(), Transaction> {
        let messages = batch.len();
        self.submit(batch, |_| true, messages)
    }

    /// Sends a netfilter batch, whose messages take effect all together or not at all.
    ///
    /// Only the last message within the batch's brackets is acknowledged, and only when nothing failed before it.
    pub(crate) fn commit(&mut self, batch: &mut Batch) -> Result<(), Transaction> {
        let last = batch.len().saturating_sub(2);
        self.submit(batch, |index| index == last, 1)
    }

    fn submit(
        &mut self,
        batch: &mut Batch,
        ack: impl Fn(usize) -> bool,
        mut outstanding: usize,
    ) -> Result<(), Transaction> {
        let failed = |source: io::Error| Transaction { index: 0, source };
        let first = self.take_sequences(batch.len());
        self.send(batch.seal(first, ack)).map_err(failed)?;
        let mut failure: Option<Transaction> = None;
        while outstanding > 0 {
            // Everything is answered by now: an empty queue means that the rest was given up after a failure.
            let flags = if failure.is_some() {
                RecvFlags::DONTWAIT
            } else {
                RecvFlags::empty()
            };
            let length = match recv(&self.fd, &mut self.buffer[..], flags) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(errno) => return Err(failure.unwrap_or_else(|| failed(errno.into()))),
            };
            for message in codec::messages(&self.buffer[..length])
                .filter(|message| message.kind == codec::ERROR)
            {
                let index =
                    usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if index >= batch.len() {
                    continue;
                }
                outstanding = outstanding.saturating_sub(1);
                if let Some(source) = error_of(&message)
                    && failure.as_ref().is_none_or(|earlier| index < earlier.index)
                {
                    failure = Some(Transaction { index, source });
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sends one dump request and hands over every message of the answer.
    pub(crate) fn dump(
        &mut self,
        batch: &mut Batch,
        mut each: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        let first = self.take_sequences(1);
        self.send(batch.seal(first, |_| false))?;
        loop {
            let length = match recv(&self.fd, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            for message in
                codec::messages(&self.buffer[..length]).filter(|message| message.sequence == first)
            {
                match message.kind {
                    codec::DONE => return Ok(()),
                    codec::ERROR => return error_of(&message).map_or(Ok(()), Err),
                    kind => each(kind, message.body),
                }
            }
        }
    }

    /// Asks for one thing and returns the answer's body; `None` when there is no such thing.
    pub(crate) fn get(&mut self, batch: &mut Batch) -> io::Result<Option<Vec<u8>>> {
        let first = self.take_sequences(1);
        self.send(batch.seal(first, |_| false))?;
        loop {
            let length = match recv(&self.fd, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let Some(message) =
                codec::messages(&self.buffer[..length]).find(|message| message.sequence == first)
            else {
                continue;
            };
            if message.kind != codec::ERROR {
                return Ok(Some(message.body.to_vec()));
            }
            return match error_of(&message) {
                Some(error) if !is_missing(&error) => Err(error),
                _ => Ok(None),
            };
        }
    }

    fn take_sequences(&mut self, count: usize) -> u32 {
        let first = self.sequence;
        self.sequence = first
            .wrapping_add(u32::try_from(count).unwrap_or(u32::MAX))
            .max(1);
        first
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > 100 * 1024 {
            // A netlink message has to fit into the send buffer, twice as the kernel counts.
            let _ = sockopt::set_socket_send_buffer_size_force(&self.fd, bytes.len() * 2);
        }
        loop {
            match send(&self.fd, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// A socket that is told of every change to nftables in the network namespace of its opener.
#[derive(Debug)]
pub(crate) struct Listener(Socket);

impl Listener {
    pub(crate) fn open() -> io::Result<Self> {
        /// `NFNLGRP_NFTABLES` is group 7.
        const NFTABLES: u32 = 1 << 6;
        let socket = Socket::open(Family::Netfilter)?;
        bind(&socket.fd, &netlink::SocketAddrNetlink::new(0, NFTABLES))?;
        Ok(Self(socket))
    }

    /// Hands over what has been told so far.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        loop {
            match recv(&self.0.fd, &mut self.0.buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    codec::messages(&self.0.buffer[..length])
                        .for_each(|message| each(message.kind, message.body));
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                // More was told than there was room for: the caller looks for itself, at everything.
                Err(rustix::io::Errno::NOBUFS) => each(codec::OVERRUN, &[]),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// Whether the kernel says that the thing asked for or removed is not there.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    let missing = [
        rustix::io::Errno::NODEV,
        rustix::io::Errno::NOENT,
        rustix::io::Errno::NXIO,
    ];
    missing
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The error in an error message; `None` for an acknowledgement.
fn error_of(message: &Message<'_>) -> Option<io::Error> {
    let code = codec::u32_at(message.body, 0).map_or(0, u32::cast_signed);
    (code != 0).then(|| io::Error::from_raw_os_error(-code))
}
