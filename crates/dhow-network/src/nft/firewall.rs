//! Changing the table in the kernel, each change one transaction.

use std::io;

use super::plan::Plan;
use super::ruleset::{self, SUBSYSTEM};
use crate::netlink::conntrack::{self, Flow};
use crate::netlink::{Batch, Family, Socket, Transaction, attribute};

/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// `nfgenmsg`: no family, version 0, the subsystem.
const BRACKET: [u8; 4] = [0, 0, 0, 10];

/// A connection to netfilter in the network namespace of its opener.
///
/// It is kept open: closing one waits for the kernel to have freed everything that was removed, some 10 ms.
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

    /// Whether the table is there.
    pub(crate) fn has(&mut self, table: &str) -> io::Result<bool> {
        const GETTABLE: u16 = SUBSYSTEM | 1;
        const IPV4: [u8; 4] = [2, 0, 0, 0];
        let mut request = Batch::new();
        request.message(GETTABLE, 0, &IPV4).string(1, table);
        Ok(self.socket.get(&mut request)?.is_some())
    }

    /// Forgets connections.
    pub(crate) fn forget(&mut self, flows: &[Flow]) -> io::Result<()> {
        conntrack::forget(&mut self.socket, flows)
    }

    /// Whether someone else's nftables chain (Docker's, ufw's) drops forwarded packets by default. An accept of ours
    /// does not help against that: every chain at the hook has to let a packet pass.
    pub(crate) fn forward_is_blocked(&mut self, ours: &str) -> io::Result<bool> {
        const GETCHAIN: u16 = SUBSYSTEM | 4;
        const DUMP: u16 = 0x300;
        let mut found = false;
        let mut request = Batch::new();
        request.message(GETCHAIN, DUMP, &[0; 4]);
        self.socket
            .dump(&mut request, |_, body| found |= drops_forwarded(body, ours))?;
        Ok(found || has_legacy_filter())
    }
}

/// Whether `body` describes a base chain at the IPv4 forward hook, outside the table `ours`, that drops by default;
/// firewalld's accepts by default, but its last rule rejects.
fn drops_forwarded(body: &[u8], ours: &str) -> bool {
    const INET_OR_IPV4: [u8; 2] = [1, 2];
    const FORWARD: [u8; 4] = [0, 0, 0, 2];
    const DROP: [u8; 4] = [0; 4];
    let (Some(family), Some(attributes)) = (body.first(), body.get(4..)) else {
        return false;
    };
    let table = attribute(attributes, 1)
        .and_then(|name| name.strip_suffix(&[0]))
        .unwrap_or_default();
    INET_OR_IPV4.contains(family)
        && table != ours.as_bytes()
        && attribute(attributes, 4).and_then(|hook| attribute(hook, 1)) == Some(&FORWARD)
        && (attribute(attributes, 5) == Some(&DROP) || table == b"firewalld")
}

/// Whether the iptables of old, which nftables does not show, has a filter table in the thread's network namespace.
/// What is in it would take another interface to read: taking the detour in vain does no harm.
fn has_legacy_filter() -> bool {
    let tables =
        std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    tables.lines().any(|table| table == "filter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_foreign_forward_chains_that_drop_are_in_the_way() {
        let chain = |family: u8, table: &str, hook: u32, policy: u32| {
            let mut batch = Batch::new();
            batch
                .message(0, 0, &[family, 0, 0, 0])
                .string(1, table)
                .string(3, "c");
            batch.nested(4, |b| {
                b.be32(1, hook).be32(2, 0);
            });
            batch.be32(5, policy);
            batch.seal(1, |_| false)[16..].to_vec()
        };
        for (body, expected) in [
            (chain(2, "filter", 2, 0), true),
            (chain(1, "filter", 2, 0), true),
            (chain(1, "firewalld", 2, 1), true),
            (chain(2, "filter", 2, 1), false),
            (chain(2, "filter", 1, 0), false),
            (chain(2, "dhow", 2, 0), false),
            (chain(10, "filter", 2, 0), false),
            (Vec::new(), false),
        ] {
            assert_eq!(drops_forwarded(&body, "dhow"), expected, "{body:?}");
        }
    }
}
