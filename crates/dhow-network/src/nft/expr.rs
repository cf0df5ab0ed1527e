//! What a rule is made of: matches and statements.

use std::fmt;

use crate::Prefix;
use crate::netlink::Batch;

/// A register holding 16 bytes; the first of four.
const REG_1: u32 = 1;
/// The same registers in steps of four bytes.
const REG32_00: u32 = 8;
/// Where verdicts go.
const REG_VERDICT: u32 = 0;

/// Which of a packet's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Where it came in.
    In,
    /// Where it goes out.
    Out,
}

impl Direction {
    fn key(self) -> u32 {
        match self {
            Self::In => 6,
            Self::Out => 7,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::In => "iifname",
            Self::Out => "oifname",
        }
    }
}

/// Which of a packet's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

impl End {
    fn offset(self) -> u32 {
        match self {
            Self::Source => 12,
            Self::Destination => 16,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Source => "ip saddr",
            Self::Destination => "ip daddr",
        }
    }
}

/// A match or a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    /// The device has (or has not) this name.
    Device(Direction, bool, String),
    /// The device's name is (or is not) in this set.
    DeviceIn(Direction, bool, &'static str),
    /// The pair of the packet's devices is in this set.
    DevicesIn(&'static str),
    /// The address is (or is not) in this prefix.
    Address(End, bool, Prefix),
    /// The address is in this set.
    AddressIn(End, &'static str),
    /// The destination's routing type: 1 unicast, 2 local.
    DestinationType(u8),
    /// The connection is in one of these states (bits).
    State(u32),
    /// The connection was led to another destination.
    Redirected,
    /// The packet goes against the connection's direction.
    Reply,
    /// The packet may travel further than the next hop.
    TtlAboveOne,
    /// Protocol and destination port are in this map.
    PortIn(&'static str),
    /// Destination address, protocol and destination port are in this map.
    AddressPortIn(&'static str),
    /// Lead to what the map has for protocol and destination port.
    RedirectByPort(&'static str),
    /// Lead to what the map has for destination address, protocol and destination port.
    RedirectByAddressPort(&'static str),
    /// The packet has this mark.
    Mark(u32),
    /// Give the packet this mark.
    SetMark(u32),
    /// Track the packet's connection after all, in the default zone.
    Track,
    /// Send a copy to the destination as if it were the host's own packet.
    Resend,
    /// As [`Expr::Resend`], straight out of this device (by index).
    ResendThrough(u32),
    /// Hide the sender behind the outgoing device's address.
    Masquerade,
    /// Hide the sender behind this address.
    SourceNat([u8; 4]),
    /// Count on the next chain.
    Jump(&'static str),
    /// Let it pass this chain.
    Accept,
    /// Drop it.
    Drop,
}

/// State bits of `ct state`.
pub(crate) const ESTABLISHED_RELATED: u32 = 0x2 | 0x4;
/// `RTN_UNICAST`.
pub(crate) const UNICAST: u8 = 1;
/// `RTN_LOCAL`.
pub(crate) const LOCAL: u8 = 2;
/// `IPS_DST_NAT`.
const STATUS_DNAT: u32 = 0x20;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |is: bool| if is { "" } else { "!= " };
        match self {
            Self::Device(direction, is, name) => {
                write!(f, "{} {}\"{name}\"", direction.word(), not(*is))
            }
            Self::DeviceIn(direction, is, set) => {
                write!(f, "{} {}@{set}", direction.word(), not(*is))
            }
            Self::DevicesIn(set) => write!(f, "iifname . oifname @{set}"),
            Self::Address(end, is, prefix) => write!(f, "{} {}{prefix}", end.word(), not(*is)),
            Self::AddressIn(end, set) => write!(f, "{} @{set}", end.word()),
            Self::DestinationType(LOCAL) => f.write_str("fib daddr type local"),
            Self::DestinationType(_) => f.write_str("fib daddr type unicast"),
            Self::State(_) => f.write_str("ct state established,related"),
            Self::Redirected => f.write_str("ct status dnat"),
            Self::Reply => f.write_str("ct direction reply"),
            Self::TtlAboveOne => f.write_str("ip ttl > 1"),
            Self::PortIn(map) => write!(f, "meta l4proto . th dport @{map}"),
            Self::AddressPortIn(map) => write!(f, "ip daddr . meta l4proto . th dport @{map}"),
            Self::RedirectByPort(map) => write!(f, "dnat ip to meta l4proto . th dport map @{map}"),
            Self::RedirectByAddressPort(map) => {
                write!(
                    f,
                    "dnat ip to ip daddr . meta l4proto . th dport map @{map}"
                )
            }
            Self::Mark(mark) => write!(f, "meta mark {mark:#x}"),
            Self::SetMark(mark) => write!(f, "meta mark set {mark:#x}"),
            Self::Track => f.write_str("ct zone set 0"),
            Self::Resend => f.write_str("dup to ip daddr"),
            Self::ResendThrough(index) => write!(f, "dup to ip daddr device {index}"),
            Self::Masquerade => f.write_str("masquerade"),
            Self::SourceNat([a, b, c, d]) => write!(f, "snat to {a}.{b}.{c}.{d}"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
        }
    }
}

impl Expr {
    /// Appends the netlink expressions this stands for.
    pub(crate) fn encode(&self, batch: &mut Batch) {
        match self {
            Self::Device(direction, is, name) => {
                meta(batch, direction.key(), REG_1);
                compare(batch, *is, &device_key(name));
            }
            Self::DeviceIn(direction, is, set) => {
                meta(batch, direction.key(), REG_1);
                lookup(batch, set, !*is, None);
            }
            Self::DevicesIn(set) => {
                meta(batch, Direction::In.key(), REG_1);
                meta(batch, Direction::Out.key(), REG_1 + 1);
                lookup(batch, set, false, None);
            }
            Self::Address(end, is, prefix) => prefix_match(batch, *end, *is, prefix),
            Self::AddressIn(end, set) => {
                payload(batch, Base::Network, end.offset(), 4, REG_1);
                lookup(batch, set, false, None);
            }
            Self::DestinationType(kind) => destination_type(batch, *kind),
            Self::State(bits) => ct_bits(batch, 0, *bits),
            Self::Redirected => ct_bits(batch, 2, STATUS_DNAT),
            Self::Reply => {
                ct_load(batch, 1);
                compare(batch, true, &[1]);
            }
            Self::TtlAboveOne => {
                payload(batch, Base::Network, 8, 1, REG_1);
                compare_with(batch, 4, &[1]);
            }
            Self::PortIn(map) => by_port(batch, map),
            Self::AddressPortIn(map) => by_address_port(batch, map),
            Self::RedirectByPort(map) => {
                by_port(batch, map);
                nat(batch, 1, Some(REG32_00 + 1));
            }
            Self::RedirectByAddressPort(map) => {
                by_address_port(batch, map);
                nat(batch, 1, Some(REG32_00 + 1));
            }
            Self::Mark(mark) => {
                meta(batch, 3, REG_1);
                compare(batch, true, &mark.to_ne_bytes());
            }
            Self::SetMark(mark) => set_mark(batch, *mark),
            Self::Track => track(batch),
            Self::Resend => resend(batch, None),
            Self::ResendThrough(index) => resend(batch, Some(*index)),
            Self::Masquerade => expression(batch, "masq", |_| {}),
            Self::SourceNat(address) => {
                immediate(batch, REG_1, address);
                nat(batch, 0, None);
            }
            Self::Jump(chain) => verdict(batch, -3, Some(chain)),
            Self::Accept => verdict(batch, 1, None),
            Self::Drop => verdict(batch, 0, None),
        }
    }
}

/// A device name as nftables compares it: padded to 16 bytes.
pub(crate) fn device_key(name: &str) -> [u8; 16] {
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    key
}

/// Which header an offset counts from.
#[derive(Clone, Copy)]
enum Base {
    Network = 1,
    Transport = 2,
}

fn expression(batch: &mut Batch, name: &str, body: impl FnOnce(&mut Batch)) {
    const LIST_ELEM: u16 = 1;
    const EXPR_NAME: u16 = 1;
    const EXPR_DATA: u16 = 2;
    batch.nested(LIST_ELEM, |b| {
        b.string(EXPR_NAME, name).nested(EXPR_DATA, body);
    });
}

/// A `NFTA_DATA_VALUE` within the attribute `kind`.
fn value(batch: &mut Batch, kind: u16, bytes: &[u8]) {
    batch.nested(kind, |b| {
        b.bytes(1, bytes);
    });
}

fn meta(batch: &mut Batch, key: u32, register: u32) {
    expression(batch, "meta", |b| {
        b.be32(1, register).be32(2, key);
    });
}

fn compare(batch: &mut Batch, equal: bool, bytes: &[u8]) {
    compare_with(batch, u32::from(!equal), bytes);
}

fn compare_with(batch: &mut Batch, operator: u32, bytes: &[u8]) {
    expression(batch, "cmp", |b| {
        b.be32(1, REG_1).be32(2, operator);
        value(b, 3, bytes);
    });
}

fn payload(batch: &mut Batch, base: Base, offset: u32, length: u32, register: u32) {
    expression(batch, "payload", |b| {
        b.be32(1, register)
            .be32(2, base as u32)
            .be32(3, offset)
            .be32(4, length);
    });
}

fn lookup(batch: &mut Batch, set: &str, inverted: bool, destination: Option<u32>) {
    expression(batch, "lookup", |b| {
        b.string(1, set).be32(2, REG_1);
        if let Some(register) = destination {
            b.be32(3, register);
        }
        if inverted {
            b.be32(5, 1);
        }
    });
}

fn mask(batch: &mut Batch, length: u32, bits: &[u8], zero: &[u8]) {
    expression(batch, "bitwise", |b| {
        b.be32(1, REG_1).be32(2, REG_1).be32(3, length);
        value(b, 4, bits);
        value(b, 5, zero);
    });
}

fn prefix_match(batch: &mut Batch, end: End, is: bool, prefix: &Prefix) {
    let Some((first, last)) = prefix.range_v4() else {
        return;
    };
    payload(batch, Base::Network, end.offset(), 4, REG_1);
    mask(batch, 4, &(!(first ^ last)).to_be_bytes(), &[0; 4]);
    compare(batch, is, &first.to_be_bytes());
}

fn destination_type(batch: &mut Batch, kind: u8) {
    const RESULT_TYPE: u32 = 3;
    const DADDR: u32 = 2;
    expression(batch, "fib", |b| {
        b.be32(1, REG_1).be32(2, RESULT_TYPE).be32(3, DADDR);
    });
    compare(batch, true, &u32::from(kind).to_ne_bytes());
}

fn ct_load(batch: &mut Batch, key: u32) {
    expression(batch, "ct", |b| {
        b.be32(1, REG_1).be32(2, key);
    });
}

fn ct_bits(batch: &mut Batch, key: u32, bits: u32) {
    ct_load(batch, key);
    mask(batch, 4, &bits.to_ne_bytes(), &[0; 4]);
    compare(batch, false, &[0; 4]);
}

fn by_port(batch: &mut Batch, map: &str) {
    const L4PROTO: u32 = 16;
    meta(batch, L4PROTO, REG32_00);
    payload(batch, Base::Transport, 2, 2, REG32_00 + 1);
    lookup(batch, map, false, Some(REG_1));
}

fn by_address_port(batch: &mut Batch, map: &str) {
    const L4PROTO: u32 = 16;
    payload(batch, Base::Network, End::Destination.offset(), 4, REG32_00);
    meta(batch, L4PROTO, REG32_00 + 1);
    payload(batch, Base::Transport, 2, 2, REG32_00 + 2);
    lookup(batch, map, false, Some(REG_1));
}

/// Source (0) or destination (1) NAT to the address in the first register and, where given, the port in another.
fn nat(batch: &mut Batch, kind: u32, port: Option<u32>) {
    const NFPROTO_IPV4: u32 = 2;
    expression(batch, "nat", |b| {
        b.be32(1, kind).be32(2, NFPROTO_IPV4).be32(3, REG32_00);
        if let Some(register) = port {
            b.be32(5, register);
        }
    });
}

fn immediate(batch: &mut Batch, register: u32, bytes: &[u8]) {
    expression(batch, "immediate", |b| {
        b.be32(1, register);
        value(b, 2, bytes);
    });
}

fn set_mark(batch: &mut Batch, mark: u32) {
    const MARK: u32 = 3;
    immediate(batch, REG_1, &mark.to_ne_bytes());
    expression(batch, "meta", |b| {
        b.be32(2, MARK).be32(3, REG_1);
    });
}

fn track(batch: &mut Batch) {
    const ZONE: u32 = 17;
    immediate(batch, REG_1, &[0; 2]);
    expression(batch, "ct", |b| {
        b.be32(2, ZONE).be32(4, REG_1);
    });
}

fn resend(batch: &mut Batch, device: Option<u32>) {
    payload(batch, Base::Network, End::Destination.offset(), 4, REG_1);
    if let Some(index) = device {
        immediate(batch, REG_1 + 1, &index.to_ne_bytes());
    }
    expression(batch, "dup", |b| {
        b.be32(1, REG_1);
        if device.is_some() {
            b.be32(2, REG_1 + 1);
        }
    });
}

fn verdict(batch: &mut Batch, code: i32, chain: Option<&str>) {
    const DATA_VERDICT: u16 = 2;
    expression(batch, "immediate", |b| {
        b.be32(1, REG_VERDICT).nested(2, |b| {
            b.nested(DATA_VERDICT, |b| {
                b.be32(1, code.cast_unsigned());
                if let Some(chain) = chain {
                    b.string(2, chain);
                }
            });
        });
    });
}
