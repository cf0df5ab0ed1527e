//! Changing the table in the kernel, each change one transaction.

use std::io;

use super::plan::Plan;
use super::ruleset::{self, SUBSYSTEM};
use crate::netlink::{Batch, Family, Socket, Transaction, attribute};

/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// `nfgenmsg`: no family, version 0, the subsystem.
const BRACKET: [u8; 4] = [0, 0, 0, 10];

/// A connection to nftables in the network namespace of its opener.
#[derive(Debug)]
pub(crate) struct Firewall {
    socket: Socket,
}

impl Firewall {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(Family::Netfilter)?,
        })
    }

    /// Puts the whole table in the place of the one that may be there.
    pub(crate) fn replace(&mut self, plan: &Plan) -> io::Result<()> {
        self.transact(|batch| plan.ruleset().encode(batch))
    }

    /// Opens or closes ports in the table as it is. `NotFound` when the table or a port is not there, `AlreadyExists`
    /// when a port leads elsewhere: then the table needs to be replaced.
    pub(crate) fn change_ports(&mut self, plan: &Plan, open: bool) -> io::Result<()> {
        self.transact(|batch| {
            for (set, elements) in plan.port_elements() {
                ruleset::change_elements(batch, &plan.table, set, &elements, open);
            }
        })
    }

    /// Removes the table.
    pub(crate) fn remove(&mut self, table: &str) -> io::Result<()> {
        self.transact(|batch| ruleset::encode_removal(batch, table))
    }

    fn transact(&mut self, body: impl FnOnce(&mut Batch)) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.message(BEGIN, 0, &BRACKET);
        body(&mut batch);
        if batch.len() == 1 {
            return Ok(());
        }
        batch.message(END, 0, &BRACKET);
        self.socket
            .commit(&mut batch)
            .map_err(|Transaction { source, .. }| source)
    }

    /// Whether a chain of someone else's drops forwarded IPv4 packets that none of its rules accepts.
    fn foreign_forward_drop(&mut self, ours: &str) -> io::Result<bool> {
        const GETCHAIN: u16 = SUBSYSTEM | 4;
        const DUMP: u16 = 0x300;
        let mut found = false;
        let mut request = Batch::new();
        request.message(GETCHAIN, DUMP, &[0; 4]);
        self.socket
            .dump(&mut request, |_, body| found |= drops_forwarded(body, ours))?;
        Ok(found)
    }
}

/// Whether someone else's nftables chain (Docker's, ufw's) drops forwarded packets by default. An accept of ours does
/// not help against that: every chain at the hook has to let a packet pass.
pub(crate) fn forward_is_blocked(ours: &str) -> io::Result<bool> {
    Firewall::open()?.foreign_forward_drop(ours)
}

/// Whether `body` describes a base chain at the IPv4 forward hook with policy drop, outside the table `ours`.
fn drops_forwarded(body: &[u8], ours: &str) -> bool {
    const FAMILIES: [u8; 2] = [1, 2];
    const FORWARD: [u8; 4] = [0, 0, 0, 2];
    const DROP: [u8; 4] = [0; 4];
    let (Some(family), Some(attributes)) = (body.first(), body.get(4..)) else {
        return false;
    };
    let name = attribute(attributes, 1).unwrap_or_default();
    FAMILIES.contains(family)
        && name.strip_suffix(&[0]) != Some(ours.as_bytes())
        && attribute(attributes, 4).and_then(|hook| attribute(hook, 1)) == Some(&FORWARD)
        && attribute(attributes, 5) == Some(&DROP)
}
