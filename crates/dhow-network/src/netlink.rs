//! Netlink, as much of it as networks need: a message codec, a socket, and the families used.
//!
//! The kernel handles a netlink request while it is being sent: when `send` returns, every answer is already queued.
//! So a whole batch is one `send` and, as a rule, one `recv`.

mod codec;
pub(crate) mod conntrack;
mod route;
mod socket;

pub(crate) use codec::{Batch, OVERRUN, attribute};
pub(crate) use route::{BridgePort, Link, RouteSocket, VethSpec};
pub(crate) use socket::{Family, Listener, Socket, Transaction};
