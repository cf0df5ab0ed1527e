//! Connection tracking: forgetting what leads to a port that has changed hands.

use std::io;
use std::net::Ipv4Addr;

use super::codec::{self, Batch};
use super::socket::Socket;
use crate::Protocol;

/// `NFNL_SUBSYS_CTNETLINK << 8`.
const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

/// `nfgenmsg`: IPv4, version 0.
const GENERIC: [u8; 4] = [2, 0, 0, 0];

const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const IP_V4_SRC: u16 = 1;
const PROTO_NUM: u16 = 1;
const PROTO_DST_PORT: u16 = 3;

/// What to forget: flows of a protocol to a port of the host, or to a container's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) protocol: Protocol,
    pub(crate) host_port: u16,
    pub(crate) container: Ipv4Addr,
}

/// Forgets the connections that match one of `flows`. A UDP flow is kept alive by its packets: without this, a client
/// that goes on sending would be led to the old place for ever.
pub(crate) fn forget(socket: &mut Socket, flows: &[Flow]) -> io::Result<()> {
    let mut request = Batch::new();
    request.message(GET, codec::DUMP, &GENERIC);
    let mut doomed = Batch::new();
    socket.dump(&mut request, |_, body| {
        if let Some(original) = matching(body, flows) {
            doomed
                .message(DELETE, 0, &GENERIC)
                .bytes(TUPLE_ORIG | 0x8000, original);
        }
    })?;
    if doomed.len() == 0 {
        return Ok(());
    }
    match socket.request(&mut doomed) {
        // Gone by itself in between.
        Err(failed) if failed.source.kind() != io::ErrorKind::NotFound => Err(failed.source),
        _ => Ok(()),
    }
}

/// The original tuple of the connection in `body` when it is one of `flows`.
fn matching<'a>(body: &'a [u8], flows: &[Flow]) -> Option<&'a [u8]> {
    let attributes = body.get(GENERIC.len()..)?;
    let original = codec::attribute(attributes, TUPLE_ORIG)?;
    let reply = codec::attribute(attributes, TUPLE_REPLY)?;
    let proto = codec::attribute(original, TUPLE_PROTO)?;
    let number = *codec::attribute(proto, PROTO_NUM)?.first()?;
    let port = codec::attribute(proto, PROTO_DST_PORT)
        .and_then(|value| value.try_into().ok())
        .map(u16::from_be_bytes);
    let answering = codec::attribute(reply, TUPLE_IP)
        .and_then(|ip| codec::attribute(ip, IP_V4_SRC))
        .and_then(|value| <[u8; 4]>::try_from(value).ok())
        .map(Ipv4Addr::from);
    flows
        .iter()
        .any(|flow| {
            flow.protocol.number() == number
                && (Some(flow.host_port) == port || Some(flow.container) == answering)
        })
        .then_some(original)
}
