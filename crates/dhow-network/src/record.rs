//! What is known of networks and endpoints: their records, and what an endpoint is asked to be.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::str::FromStr;

use dhow_metadata::Record;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{MacAddress, Prefix};

/// What carries a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge device with NAT.
    Bridge,
    /// The host's own network.
    Host,
    /// Loopback only; Docker prints `null`.
    Null,
}

impl Driver {
    /// The name Docker prints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
        }
    }
}

/// A network: all that `docker network inspect` shows but the containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// 64 hex digits; stable over restarts, for the default networks too.
    pub id: String,
    /// The name, unique.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Always `local` here.
    pub scope: String,
    /// What carries it.
    pub driver: Driver,
    /// Whether it has IPv4.
    pub enable_ipv4: bool,
    /// Whether it has IPv6; never so far.
    pub enable_ipv6: bool,
    /// Subnets and gateways, all filled in.
    pub ipam: Ipam,
    /// No way out.
    pub internal: bool,
    /// As asked at creation.
    pub attachable: bool,
    /// Driver options as Docker shows them.
    pub options: BTreeMap<String, String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// The bridge device, for the bridge driver.
    pub device: Option<String>,
    /// Whether the bridge device existed before us (`com.docker.network.bridge.name`); then it is not removed.
    #[serde(default)]
    pub foreign_device: bool,
}

impl NetworkRecord {
    /// Whether this is one of `bridge`, `host` and `none`, which can't be removed.
    #[must_use]
    pub fn is_predefined(&self) -> bool {
        is_predefined(&self.name)
    }

    /// The IPv4 subnet, where there is one.
    #[must_use]
    pub fn subnet(&self) -> Option<Prefix> {
        self.ipam
            .config
            .iter()
            .filter_map(|config| config.subnet)
            .find(|subnet| subnet.addr().is_ipv4())
    }

    /// The IPv4 gateway, where there is one.
    #[must_use]
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.ipam
            .config
            .iter()
            .find_map(|config| match config.gateway {
                Some(IpAddr::V4(gateway)) => Some(gateway),
                _ => None,
            })
    }
}

/// Whether `name` is one of the default networks' or `default`.
pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none" | "default")
}

impl Record for NetworkRecord {
    const COLLECTION: &'static str = "networks";
}

/// How a network's addresses are given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    /// Always `default`.
    pub driver: String,
    /// Options for the driver, as given.
    pub options: Option<BTreeMap<String, String>>,
    /// One entry a subnet; empty for `host` and `none`.
    pub config: Vec<IpamConfig>,
}

impl Default for Ipam {
    fn default() -> Self {
        Self {
            driver: "default".to_owned(),
            options: None,
            config: Vec::new(),
        }
    }
}

/// One subnet of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamConfig {
    /// The subnet, host bits cleared.
    pub subnet: Option<Prefix>,
    /// The part of it from which containers get addresses.
    pub ip_range: Option<Prefix>,
    /// The host's address in it.
    pub gateway: Option<IpAddr>,
    /// Addresses in use by something else, by name.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// How full a subnet is, for `Status.IPAM` of `docker network inspect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpamUsage {
    /// The subnet.
    pub subnet: Prefix,
    /// Addresses taken: network, broadcast, gateway, auxiliary and endpoints' addresses.
    pub in_use: u64,
    /// Addresses a container may still get without asking for one.
    pub available: u64,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// `tcp`, `udp` or `sctp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// The number in the IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(()),
        }
    }
}

/// The host's ports a container port may be published at, both ends included: one, a range, or (start = end = 0) any
/// ephemeral one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPorts {
    /// The first port.
    pub start: u16,
    /// The last port.
    pub end: u16,
}

impl HostPorts {
    /// Any free port.
    pub const EPHEMERAL: Self = Self { start: 0, end: 0 };

    /// Exactly one port.
    #[must_use]
    pub fn one(port: u16) -> Self {
        Self {
            start: port,
            end: port,
        }
    }

    /// Whether any free port will do.
    #[must_use]
    pub fn is_ephemeral(self) -> bool {
        self.end == 0
    }
}

/// A port to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    /// The protocol.
    pub protocol: Protocol,
    /// The port in the container.
    pub container_port: u16,
    /// The host's address to publish at; the instance's default when absent.
    pub host_ip: Option<IpAddr>,
    /// The host's ports to choose from.
    pub host_ports: HostPorts,
}

/// A port that is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// The protocol.
    pub protocol: Protocol,
    /// The port in the container.
    pub container_port: u16,
    /// The host's address.
    pub host_ip: IpAddr,
    /// The host's port.
    pub host_port: u16,
}

/// An endpoint to be made.
#[derive(Debug, Clone, Default)]
pub struct EndpointRequest {
    /// The container's full id.
    pub container_id: String,
    /// The container's name, without a slash.
    pub container_name: String,
    /// The network's name or id.
    pub network: String,
    /// A wish for an address; any free one when absent.
    pub ip: Option<Ipv4Addr>,
    /// A wish for a MAC address; derived from the address when absent.
    pub mac: Option<MacAddress>,
    /// Ports to publish.
    pub ports: Vec<PortRequest>,
    /// Further names on the network.
    pub aliases: Vec<String>,
}

/// How far an endpoint has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    /// Address and ports are taken.
    Reserved,
    /// The interface is, or is just being, made in the container.
    Attached,
}

/// A container's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// 64 hex digits.
    pub id: String,
    /// The network's id.
    pub network_id: String,
    /// The network's name.
    pub network_name: String,
    /// The container's full id.
    pub container_id: String,
    /// The container's name.
    pub container_name: String,
    /// The address; none on `host` and `none`.
    pub ip: Option<Ipv4Addr>,
    /// The subnet's prefix length; 0 without an address.
    pub prefix_len: u8,
    /// The gateway; none on internal networks, `host` and `none`.
    pub gateway: Option<Ipv4Addr>,
    /// The MAC address, where there is an interface.
    pub mac: Option<MacAddress>,
    /// The published ports.
    pub ports: Vec<PortBinding>,
    /// Further names on the network.
    pub aliases: Vec<String>,
    /// The veth's end on the host, where there is one.
    pub host_interface: Option<String>,
    /// The interface in the container: `eth0`, `eth1`, ...
    pub interface: Option<String>,
    /// How far it has come.
    pub state: EndpointState,
}

impl Record for Endpoint {
    const COLLECTION: &'static str = "endpoints";
}

/// A reserved endpoint, and the sockets that keep its host ports from everybody else.
#[derive(Debug)]
pub struct Reserved {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Bound sockets; the container's shim inherits and never uses them. Closing them frees the ports.
    pub held: Vec<OwnedFd>,
}
