//! Route netlink: links, addresses, routes.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::codec::{self, Batch};
use super::socket::{self, Family, Socket, Transaction};
use crate::{MacAddress, Prefix};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;

const AF_INET: u8 = 2;
const AF_INET6: u16 = 10;
const IFF_UP: u32 = 1;
/// `ifinfomsg` and `ifaddrmsg`.
const IFINFO: usize = 16;
const IFADDR: usize = 8;
const RTMSG: usize = 12;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// No link-local address.
const ADDR_GEN_NONE: u8 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;

/// A device, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// `bridge`, `veth`, ...; empty for hardware.
    pub(crate) kind: String,
    pub(crate) mtu: u32,
    /// The index of the bridge it is in, or 0.
    pub(crate) master: u32,
}

/// An address of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) link: u32,
    pub(crate) prefix: Prefix,
}

/// A unicast route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: Prefix,
    pub(crate) link: Option<u32>,
    pub(crate) priority: u32,
}

/// A veth pair to be made: one end in a bridge here, the other in a container.
#[derive(Debug)]
pub(crate) struct VethSpec<'a> {
    pub(crate) host: &'a str,
    pub(crate) bridge: u32,
    pub(crate) container: &'a str,
    pub(crate) netns: BorrowedFd<'a>,
    pub(crate) mac: MacAddress,
    pub(crate) mtu: u32,
    pub(crate) port: BridgePort,
}

/// How a bridge treats one of its ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BridgePort {
    /// Frames may leave where they came in: a container reaches itself through its published port.
    pub(crate) hairpin: bool,
    /// No frames to other isolated ports.
    pub(crate) isolated: bool,
}

/// A route netlink socket.
#[derive(Debug)]
pub(crate) struct RouteSocket(Socket);

impl RouteSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        Socket::open(Family::Route).map(Self)
    }

    /// The device with this name.
    pub(crate) fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut batch = Batch::new();
        batch
            .message(GETLINK, 0, &[0; IFINFO])
            .string(IFLA_IFNAME, name);
        Ok(self.0.get(&mut batch)?.as_deref().and_then(parse_link))
    }

    /// All devices.
    pub(crate) fn links(&mut self) -> io::Result<Vec<Link>> {
        self.list(GETLINK, &[0; IFINFO], parse_link)
    }

    /// All IPv4 addresses.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<Address>> {
        let mut fixed = [0; IFADDR];
        fixed[0] = AF_INET;
        self.list(GETADDR, &fixed, parse_address)
    }

    /// All IPv4 unicast routes of the main table.
    pub(crate) fn routes(&mut self) -> io::Result<Vec<Route>> {
        let mut fixed = [0; RTMSG];
        fixed[0] = AF_INET;
        self.list(GETROUTE, &fixed, parse_route)
    }

    /// Makes a bridge, down.
    pub(crate) fn add_bridge(&mut self, name: &str, mac: MacAddress) -> io::Result<()> {
        let mut batch = Batch::new();
        batch
            .message(NEWLINK, codec::CREATE | codec::EXCLUSIVE, &[0; IFINFO])
            .string(IFLA_IFNAME, name)
            .bytes(IFLA_ADDRESS, &mac.0)
            .nested(IFLA_LINKINFO, |b| {
                b.string(IFLA_INFO_KIND, "bridge");
            });
        self.0.request(&mut batch).map_err(|failed| failed.source)
    }

    /// Brings a device up, without a link-local address.
    pub(crate) fn set_up(&mut self, name: &str) -> io::Result<()> {
        let mut batch = Batch::new();
        link_up(&mut batch, name);
        self.0.request(&mut batch).map_err(|failed| failed.source)
    }

    /// Sets a device's MTU.
    pub(crate) fn set_mtu(&mut self, name: &str, mtu: u32) -> io::Result<()> {
        let mut batch = Batch::new();
        batch
            .message(NEWLINK, 0, &[0; IFINFO])
            .string(IFLA_IFNAME, name)
            .u32(IFLA_MTU, mtu);
        self.0.request(&mut batch).map_err(|failed| failed.source)
    }

    /// Gives a device an address; one that it has already is no error.
    pub(crate) fn add_address(&mut self, link: u32, ip: Ipv4Addr, len: u8) -> io::Result<()> {
        let mut batch = Batch::new();
        address(&mut batch, link, ip, len);
        self.0.request(&mut batch).map_err(|failed| failed.source)
    }

    /// Takes an address from a device; one that it has not is no error.
    pub(crate) fn remove_address(&mut self, link: u32, ip: Ipv4Addr, len: u8) -> io::Result<()> {
        const IFA_LOCAL: u16 = 2;
        const ADDRESS_NOT_AVAILABLE: i32 = 99;
        let mut fixed = [AF_INET, len, 0, 0, 0, 0, 0, 0];
        fixed[4..].copy_from_slice(&link.to_ne_bytes());
        let mut batch = Batch::new();
        batch
            .message(DELADDR, 0, &fixed)
            .bytes(IFA_LOCAL, &ip.octets());
        match self.0.request(&mut batch) {
            Err(failed) if failed.source.raw_os_error() != Some(ADDRESS_NOT_AVAILABLE) => {
                Err(failed.source)
            }
            _ => Ok(()),
        }
    }

    /// Removes a device; one that is not there is no error.
    pub(crate) fn delete(&mut self, name: &str) -> io::Result<()> {
        let mut batch = Batch::new();
        batch
            .message(DELLINK, 0, &[0; IFINFO])
            .string(IFLA_IFNAME, name);
        match self.0.request(&mut batch) {
            Err(failed) if !socket::is_missing(&failed.source) => Err(failed.source),
            _ => Ok(()),
        }
    }

    /// Makes a veth pair in one message, its host end in the bridge and its other end directly in the container's
    /// namespace, and brings the host end up in a second one of the same batch.
    pub(crate) fn add_veth(&mut self, spec: &VethSpec<'_>) -> Result<(), Transaction> {
        let mut batch = Batch::new();
        batch
            .message(NEWLINK, codec::CREATE | codec::EXCLUSIVE, &[0; IFINFO])
            .string(IFLA_IFNAME, spec.host)
            .u32(IFLA_MTU, spec.mtu)
            .u32(IFLA_MASTER, spec.bridge)
            // One queue each, not one per processor: they only matter to XDP, and each costs time and memory.
            .u32(IFLA_NUM_TX_QUEUES, 1)
            .u32(IFLA_NUM_RX_QUEUES, 1)
            .nested(IFLA_LINKINFO, |b| {
                b.string(IFLA_INFO_KIND, "veth")
                    .nested(IFLA_INFO_DATA, |b| {
                        b.nested(VETH_INFO_PEER, |b| {
                            b.raw(&[0; IFINFO])
                                .string(IFLA_IFNAME, spec.container)
                                .u32(IFLA_MTU, spec.mtu)
                                .bytes(IFLA_ADDRESS, &spec.mac.0)
                                .u32(IFLA_NET_NS_FD, spec.netns.as_raw_fd().cast_unsigned());
                        });
                    });
            });
        link_up(&mut batch, spec.host).nested(IFLA_LINKINFO, |b| {
            b.string(IFLA_INFO_SLAVE_KIND, "bridge")
                .nested(IFLA_INFO_SLAVE_DATA, |b| {
                    b.bytes(IFLA_BRPORT_MODE, &[u8::from(spec.port.hairpin)])
                        .bytes(IFLA_BRPORT_ISOLATED, &[u8::from(spec.port.isolated)]);
                });
        });
        self.0.request(&mut batch)
    }

    /// Brings `lo` up.
    pub(crate) fn loopback_up(&mut self) -> io::Result<()> {
        let mut batch = Batch::new();
        batch
            .message(NEWLINK, 0, &ifinfo_up())
            .string(IFLA_IFNAME, "lo");
        self.0.request(&mut batch).map_err(|failed| failed.source)
    }

    /// Within a container: brings `lo` and the interface up, gives it its address and, with a gateway, the default
    /// route; one batch.
    pub(crate) fn configure(
        &mut self,
        interface: &str,
        ip: Ipv4Addr,
        len: u8,
        gateway: Option<Ipv4Addr>,
    ) -> Result<(), Transaction> {
        let missing = || Transaction {
            index: 0,
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        let link = self
            .link(interface)
            .map_err(|source| Transaction { index: 0, source })?
            .ok_or_else(missing)?;
        let mut batch = Batch::new();
        batch
            .message(NEWLINK, 0, &ifinfo_up())
            .string(IFLA_IFNAME, "lo");
        link_up(&mut batch, interface);
        address(&mut batch, link.index, ip, len);
        if let Some(gateway) = gateway {
            default_route(&mut batch, link.index, gateway);
        }
        self.0.request(&mut batch)
    }

    fn list<T>(
        &mut self,
        kind: u16,
        fixed: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut batch = Batch::new();
        batch.message(kind, codec::DUMP, fixed);
        let mut found = Vec::new();
        self.0
            .dump(&mut batch, |_, body| found.extend(parse(body)))?;
        Ok(found)
    }
}

/// `ifinfomsg` with `IFF_UP` set.
fn ifinfo_up() -> [u8; IFINFO] {
    let mut fixed = [0; IFINFO];
    fixed[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
    fixed[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    fixed
}

fn link_up<'a>(batch: &'a mut Batch, name: &str) -> &'a mut Batch {
    batch
        .message(NEWLINK, 0, &ifinfo_up())
        .string(IFLA_IFNAME, name)
        .nested(IFLA_AF_SPEC, |b| {
            b.nested(AF_INET6, |b| {
                b.bytes(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_NONE]);
            });
        })
}

fn address(batch: &mut Batch, link: u32, ip: Ipv4Addr, len: u8) {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_BROADCAST: u16 = 4;
    let mut fixed = [AF_INET, len, 0, 0, 0, 0, 0, 0];
    fixed[4..].copy_from_slice(&link.to_ne_bytes());
    batch
        .message(NEWADDR, codec::CREATE | codec::REPLACE, &fixed)
        .bytes(IFA_LOCAL, &ip.octets())
        .bytes(IFA_ADDRESS, &ip.octets());
    if let Some((_, broadcast)) = Prefix::v4(ip, len)
        .filter(|_| len < 31)
        .and_then(|prefix| prefix.range_v4())
    {
        batch.bytes(IFA_BROADCAST, &broadcast.to_be_bytes());
    }
}

fn default_route(batch: &mut Batch, link: u32, gateway: Ipv4Addr) {
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    const TABLE_MAIN: u8 = 254;
    const PROTO_BOOT: u8 = 3;
    const TYPE_UNICAST: u8 = 1;
    let fixed = [
        AF_INET,
        0,
        0,
        0,
        TABLE_MAIN,
        PROTO_BOOT,
        0,
        TYPE_UNICAST,
        0,
        0,
        0,
        0,
    ];
    batch
        .message(NEWROUTE, codec::CREATE | codec::EXCLUSIVE, &fixed)
        .u32(RTA_OIF, link)
        .bytes(RTA_GATEWAY, &gateway.octets());
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let attributes = body.get(IFINFO..)?;
    let number = |kind| {
        codec::attribute(attributes, kind)
            .and_then(|value| codec::u32_at(value, 0))
            .unwrap_or(0)
    };
    let kind = codec::attribute(attributes, IFLA_LINKINFO)
        .and_then(|info| codec::attribute(info, IFLA_INFO_KIND));
    Some(Link {
        index: codec::u32_at(body, 4)?,
        name: codec::text(codec::attribute(attributes, IFLA_IFNAME)?),
        kind: kind.map(codec::text).unwrap_or_default(),
        mtu: number(IFLA_MTU),
        master: number(IFLA_MASTER),
    })
}

fn parse_address(body: &[u8]) -> Option<Address> {
    const IFA_LOCAL: u16 = 2;
    let attributes = body.get(IFADDR..)?;
    let octets: [u8; 4] = codec::attribute(attributes, IFA_LOCAL)?.try_into().ok()?;
    Some(Address {
        link: codec::u32_at(body, 4)?,
        prefix: Prefix::v4(octets.into(), body[1])?,
    })
}

fn parse_route(body: &[u8]) -> Option<Route> {
    const RTA_DST: u16 = 1;
    const RTA_OIF: u16 = 4;
    const RTA_PRIORITY: u16 = 6;
    const RTA_TABLE: u16 = 15;
    let attributes = body.get(RTMSG..)?;
    let number =
        |kind| codec::attribute(attributes, kind).and_then(|value| codec::u32_at(value, 0));
    let table = number(RTA_TABLE).unwrap_or_else(|| u32::from(body[4]));
    if table != 254 || body[7] != 1 {
        return None;
    }
    let destination = match codec::attribute(attributes, RTA_DST) {
        Some(value) => <[u8; 4]>::try_from(value).ok()?.into(),
        None => Ipv4Addr::UNSPECIFIED,
    };
    Some(Route {
        destination: Prefix::v4(destination, body[1])?,
        link: number(RTA_OIF),
        priority: number(RTA_PRIORITY).unwrap_or(0),
    })
}

impl Route {
    /// Whether this is a default route.
    pub(crate) fn is_default(&self) -> bool {
        self.destination.is_empty() && self.destination.addr() == IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }
}
