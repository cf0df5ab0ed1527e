//! The descriptors that are only held: sockets on the published ports.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, getsockname, recvmsg, sockopt,
};

use super::error::RequestError;
use super::state::Server;
use crate::protocol::{HeldPort, MOST_DESCRIPTORS, Response};

/// Room for the descriptors that can come with one read.
const ROOM: usize = rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS));

/// Reads from `socket` as `read` does; the descriptors that come along are put behind those in `descriptors`, which
/// takes as many as a message may have, and no more: a client that sends more without using them is refused.
pub(super) fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut room = [MaybeUninit::uninit(); ROOM];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            descriptors.extend(sent);
        }
    }
    if descriptors.len() > MOST_DESCRIPTORS {
        descriptors.clear();
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(received.bytes)
}

/// Where a socket is bound; none for what is no such socket.
fn place(socket: &OwnedFd) -> Option<HeldPort> {
    let protocol = sockopt::socket_protocol(socket).ok().flatten()?;
    let address = getsockname(socket).ok()?;
    let address = SocketAddr::try_from(address).ok()?;
    Some(HeldPort {
        protocol: u8::try_from(protocol.as_raw().get()).ok()?,
        address,
    })
}

impl Server {
    /// Holds `sent` descriptors that have come on the client's connection, and lets go of the sockets that are not at
    /// one of the places in `keep`.
    pub(super) fn hold(
        &mut self,
        peer: u32,
        sent: usize,
        keep: Option<&[HeldPort]>,
    ) -> Result<Response, RequestError> {
        if self.life.exit.is_some() {
            return Err(RequestError::Ended);
        }
        let received = self.peer(peer).map(|peer| &mut peer.descriptors);
        let new = received.map(std::mem::take).unwrap_or_default();
        if new.len() != sent {
            return Err(RequestError::Descriptors);
        }
        let held = &mut self.kept.descriptors;
        held.extend(new);
        if let Some(keep) = keep {
            held.retain(|socket| place(socket).is_none_or(|place| keep.contains(&place)));
        }
        Ok(Response::Done)
    }
}
