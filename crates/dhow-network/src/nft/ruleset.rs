//! A table: its sets, maps, chains and rules.

use std::fmt;
use std::net::Ipv4Addr;

use super::expr::{Expr, device_key};
use crate::netlink::Batch;
use crate::{Prefix, Protocol};

/// `NFNL_SUBSYS_NFTABLES << 8`.
pub(crate) const SUBSYSTEM: u16 = 10 << 8;
const NEWTABLE: u16 = SUBSYSTEM;
/// `NFT_MSG_DELTABLE`.
pub(crate) const DELTABLE: u16 = SUBSYSTEM | 2;
/// `NFT_MSG_NEWCHAIN`.
pub(crate) const NEWCHAIN: u16 = SUBSYSTEM | 3;
/// `NFT_MSG_DELCHAIN`.
pub(crate) const DELCHAIN: u16 = SUBSYSTEM | 5;
const NEWRULE: u16 = SUBSYSTEM | 6;
const NEWSET: u16 = SUBSYSTEM | 9;
const NEWSETELEM: u16 = SUBSYSTEM | 12;
const DELSETELEM: u16 = SUBSYSTEM | 14;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// `nfgenmsg` for the ip family.
const IPV4: [u8; 4] = [2, 0, 0, 0];
/// Elements in one message; an attribute's length has 16 bits.
const CHUNK: usize = 256;

/// A whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruleset {
    pub(crate) table: String,
    pub(crate) sets: Vec<Set>,
    pub(crate) chains: Vec<Chain>,
}

/// A chain and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    /// Where packets come from; without it others jump here.
    pub(crate) hook: Option<Hook>,
    pub(crate) rules: Vec<Vec<Expr>>,
}

/// Where in a packet's way a chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) kind: &'static str,
    pub(crate) point: Point,
    pub(crate) priority: i32,
}

/// A point in a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// A set, or a map when its elements have data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) elements: Vec<Element>,
}

/// What a set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Devices,
    DevicePairs,
    Subnets,
    PortMap,
    AddressPortMap,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    Device(String),
    DevicePair(String, String),
    Subnet(Prefix),
    Port(Protocol, u16, Ipv4Addr, u16),
    AddressPort(Ipv4Addr, Protocol, u16, Ipv4Addr, u16),
}

impl Ruleset {
    /// Appends the messages that put this table in the place of whatever has its name.
    pub(crate) fn encode(&self, batch: &mut Batch) {
        table_message(batch, NEWTABLE, &self.table);
        table_message(batch, DELTABLE, &self.table);
        table_message(batch, NEWTABLE, &self.table);
        for (id, set) in (1..).zip(&self.sets) {
            set.encode(batch, &self.table, id);
            change_elements(batch, &self.table, set.name, &set.elements, true);
        }
        for chain in &self.chains {
            chain.encode(batch, &self.table);
        }
        for chain in &self.chains {
            for rule in &chain.rules {
                encode_rule(batch, &self.table, chain.name, rule);
            }
        }
    }
}

/// Appends the messages that remove a table, whether it is there or not.
pub(crate) fn encode_removal(batch: &mut Batch, table: &str) {
    table_message(batch, NEWTABLE, table);
    table_message(batch, DELTABLE, table);
}

fn table_message(batch: &mut Batch, kind: u16, table: &str) {
    let flags = if kind == NEWTABLE { CREATE } else { 0 };
    batch.message(kind, flags, &IPV4).string(1, table);
}

/// Appends the messages that add elements to a set or remove them.
pub(crate) fn change_elements(
    batch: &mut Batch,
    table: &str,
    set: &str,
    elements: &[Element],
    add: bool,
) {
    let (kind, flags) = if add {
        (NEWSETELEM, CREATE)
    } else {
        (DELSETELEM, 0)
    };
    for chunk in elements.chunks(CHUNK) {
        batch
            .message(kind, flags, &IPV4)
            .string(1, table)
            .string(2, set)
            .nested(3, |b| {
                for element in chunk {
                    element.encode(b, add);
                }
            });
    }
}

fn encode_rule(batch: &mut Batch, table: &str, chain: &str, rule: &[Expr]) {
    batch
        .message(NEWRULE, CREATE | APPEND, &IPV4)
        .string(1, table)
        .string(2, chain)
        .nested(4, |b| {
            for expr in rule {
                expr.encode(b);
            }
        });
}

impl Chain {
    fn encode(&self, batch: &mut Batch, table: &str) {
        batch
            .message(NEWCHAIN, CREATE, &IPV4)
            .string(1, table)
            .string(3, self.name);
        if let Some(hook) = self.hook {
            const ACCEPT: u32 = 1;
            batch
                .nested(4, |b| {
                    b.be32(1, hook.point as u32)
                        .be32(2, hook.priority.cast_unsigned());
                })
                .be32(5, ACCEPT)
                .string(7, hook.kind);
        }
    }
}

impl Kind {
    const IFNAME: u32 = 41;
    const IPV4_ADDR: u32 = 7;
    const INET_PROTO: u32 = 12;
    const INET_SERVICE: u32 = 13;

    /// The key's type, as nft numbers types, and its length.
    fn key(self) -> (u32, u32) {
        match self {
            Self::Devices => (Self::IFNAME, 16),
            Self::DevicePairs => (Self::IFNAME << 6 | Self::IFNAME, 32),
            Self::Subnets => (Self::IPV4_ADDR, 4),
            Self::PortMap => (Self::INET_PROTO << 6 | Self::INET_SERVICE, 8),
            Self::AddressPortMap => (
                (Self::IPV4_ADDR << 6 | Self::INET_PROTO) << 6 | Self::INET_SERVICE,
                12,
            ),
        }
    }

    fn is_map(self) -> bool {
        matches!(self, Self::PortMap | Self::AddressPortMap)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Devices => "type ifname",
            Self::DevicePairs => "type ifname . ifname",
            Self::Subnets => "type ipv4_addr; flags interval",
            Self::PortMap => "type inet_proto . inet_service : ipv4_addr . inet_service",
            Self::AddressPortMap => {
                "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service"
            }
        }
    }
}

impl Set {
    fn encode(&self, batch: &mut Batch, table: &str, id: u32) {
        const INTERVAL: u32 = 4;
        const MAP: u32 = 8;
        let interval = if self.kind == Kind::Subnets {
            INTERVAL
        } else {
            0
        };
        let map = if self.kind.is_map() { MAP } else { 0 };
        let (key_type, key_length) = self.kind.key();
        batch
            .message(NEWSET, CREATE, &IPV4)
            .string(1, table)
            .string(2, self.name)
            .be32(3, interval | map)
            .be32(4, key_type)
            .be32(5, key_length);
        if self.kind.is_map() {
            batch
                .be32(6, Kind::IPV4_ADDR << 6 | Kind::INET_SERVICE)
                .be32(7, 8);
        }
        batch.be32(10, id);
        if matches!(self.kind, Kind::Devices | Kind::DevicePairs) {
            // For the nft program: device names are in the host's byte order, that is, not reversed when printed.
            const UDATA_KEYBYTEORDER: u8 = 0;
            let mut userdata = vec![UDATA_KEYBYTEORDER, 4];
            userdata.extend_from_slice(&1_u32.to_ne_bytes());
            batch.bytes(13, &userdata);
        }
    }
}

impl Element {
    fn encode(&self, batch: &mut Batch, with_data: bool) {
        match self {
            Self::Device(name) => element(batch, &device_key(name), None, false),
            Self::DevicePair(first, second) => {
                element(
                    batch,
                    &[device_key(first), device_key(second)].concat(),
                    None,
                    false,
                );
            }
            Self::Subnet(prefix) => {
                let Some((first, last)) = prefix.range_v4() else {
                    return;
                };
                element(batch, &first.to_be_bytes(), None, false);
                if let Some(end) = last.checked_add(1) {
                    element(batch, &end.to_be_bytes(), None, true);
                }
            }
            Self::Port(protocol, port, to, to_port) => {
                let key = port_key(*protocol, *port);
                element(batch, &key, with_data.then(|| target(*to, *to_port)), false);
            }
            Self::AddressPort(address, protocol, port, to, to_port) => {
                let key = [&address.octets()[..], &port_key(*protocol, *port)].concat();
                element(batch, &key, with_data.then(|| target(*to, *to_port)), false);
            }
        }
    }
}

/// Protocol and port, each padded to four bytes.
fn port_key(protocol: Protocol, port: u16) -> [u8; 8] {
    let [high, low] = port.to_be_bytes();
    [protocol.number(), 0, 0, 0, high, low, 0, 0]
}

/// Address and port, padded.
fn target(address: Ipv4Addr, port: u16) -> [u8; 8] {
    let [a, b, c, d] = address.octets();
    let [high, low] = port.to_be_bytes();
    [a, b, c, d, high, low, 0, 0]
}

fn element(batch: &mut Batch, key: &[u8], data: Option<[u8; 8]>, interval_end: bool) {
    const LIST_ELEM: u16 = 1;
    const DATA_VALUE: u16 = 1;
    batch.nested(LIST_ELEM, |b| {
        b.nested(1, |b| {
            b.bytes(DATA_VALUE, key);
        });
        if let Some(data) = data {
            b.nested(2, |b| {
                b.bytes(DATA_VALUE, &data);
            });
        }
        if interval_end {
            b.be32(3, 1);
        }
    });
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(name) => write!(f, "\"{name}\""),
            Self::DevicePair(first, second) => write!(f, "\"{first}\" . \"{second}\""),
            Self::Subnet(prefix) => write!(f, "{prefix}"),
            Self::Port(protocol, port, to, to_port) => {
                write!(f, "{protocol} . {port} : {to} . {to_port}")
            }
            Self::AddressPort(address, protocol, port, to, to_port) => {
                write!(f, "{address} . {protocol} . {port} : {to} . {to_port}")
            }
        }
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table ip {} {{", self.table)?;
        for set in &self.sets {
            writeln!(
                f,
                "\t{} {} {{",
                if set.kind.is_map() { "map" } else { "set" },
                set.name
            )?;
            writeln!(f, "\t\t{}", set.kind.words())?;
            if !set.elements.is_empty() {
                let elements: Vec<_> = set.elements.iter().map(ToString::to_string).collect();
                writeln!(f, "\t\telements = {{ {} }}", elements.join(", "))?;
            }
            writeln!(f, "\t}}")?;
        }
        for chain in &self.chains {
            writeln!(f, "\tchain {} {{", chain.name)?;
            if let Some(Hook {
                kind,
                point,
                priority,
            }) = chain.hook
            {
                let point = format!("{point:?}").to_lowercase();
                writeln!(
                    f,
                    "\t\ttype {kind} hook {point} priority {priority}; policy accept;"
                )?;
            }
            for rule in &chain.rules {
                let words: Vec<_> = rule.iter().map(ToString::to_string).collect();
                writeln!(f, "\t\t{}", words.join(" "))?;
            }
            writeln!(f, "\t}}")?;
        }
        writeln!(f, "}}")
    }
}
