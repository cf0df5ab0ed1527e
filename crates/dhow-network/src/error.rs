//! What can go wrong with networks; the texts users know are Docker's.

use std::io;
use std::net::IpAddr;

use dhow_errdefs::{Classify, ErrorKind};

use crate::{Prefix, Protocol};

/// A failed step of networking.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No network has this name or id.
    #[error("network {0} not found")]
    NetworkNotFound(String),
    /// The id prefix fits several networks.
    #[error("network {name} is ambiguous ({matches} matches found on name)")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How many networks fit.
        matches: usize,
    },
    /// The name is taken.
    #[error("network with name {0} already exists")]
    NameTaken(String),
    /// `bridge`, `host` and `none` can't be made.
    #[error("operation is not permitted on predefined {0} network ")]
    CreatePredefined(String),
    /// `bridge`, `host` and `none` can't be removed.
    #[error("{0} is a pre-defined network and cannot be removed")]
    RemovePredefined(String),
    /// Only one network of the host and null drivers.
    #[error("only one instance of \"{0}\" network is allowed")]
    SingleInstance(String),
    /// No such driver.
    #[error("plugin {0:?} not found")]
    NoDriver(String),
    /// A name that can't be.
    #[error("invalid network name: {0}")]
    InvalidName(String),
    /// Containers are still on the network.
    #[error("error while removing network: network {name} has active endpoints ({endpoints})")]
    InUse {
        /// The network's name.
        name: String,
        /// `name:"web" id:"0123456789ab"`, comma-separated.
        endpoints: String,
    },
    /// The subnet asked for is partly another network's or the host's.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlap,
    /// No subnet is left in the pools.
    #[error("all predefined address pools have been fully subnetted")]
    PoolsExhausted,
    /// Every address of the subnet is taken.
    #[error("no available IPv4 addresses on this network's address pools: {name} ({id})")]
    AddressesExhausted {
        /// The network's name.
        name: String,
        /// The network's id.
        id: String,
    },
    /// The address asked for is taken.
    #[error("Address already in use")]
    AddressInUse,
    /// The address asked for is in no subnet of the network.
    #[error("invalid endpoint settings:\nno configured subnet contains IP address {0}")]
    AddressOutside(IpAddr),
    /// An address was asked for on the default bridge.
    #[error(
        "invalid config for network {0}: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only"
    )]
    AddressOnDefault(String),
    /// Names other than the container's were asked for on the default bridge.
    #[error(
        "invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined networks"
    )]
    AliasOnDefault,
    /// A subnet, gateway or range that contradicts another.
    #[error("invalid network config:\n{0}")]
    InvalidIpam(String),
    /// A driver option with a value that can't be; the reason is in Go's words.
    #[error("failed to parse {key} value: {value} ({reason})")]
    InvalidOption {
        /// The option.
        key: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// IPv6 is not there yet.
    #[error("IPv6 networks are not supported yet")]
    Ipv6Unsupported,
    /// The container is already on the network.
    #[error("endpoint with name {container} already exists in network {network}")]
    AlreadyConnected {
        /// The container's name.
        container: String,
        /// The network's name.
        network: String,
    },
    /// No endpoint has this id.
    #[error("endpoint {0} not found")]
    EndpointNotFound(String),
    /// The endpoint's ports can't be published.
    #[error("driver failed programming external connectivity on endpoint {endpoint} ({id})")]
    External {
        /// The container's name.
        endpoint: String,
        /// The endpoint's id.
        id: String,
        /// Why.
        #[source]
        source: PortError,
    },
    /// A device could not be made or changed.
    #[error("{step} {device}")]
    Link {
        /// What was tried: `create bridge`.
        step: &'static str,
        /// The device or address.
        device: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The device named is something else than a bridge, or has other addresses.
    #[error("bridge {device}: {reason}")]
    Bridge {
        /// The device.
        device: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The firewall table could not be changed.
    #[error("change nftables table {table}")]
    Firewall {
        /// The table.
        table: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A kernel setting could not be read or written.
    #[error("set {path}")]
    Sysctl {
        /// The file under `/proc/sys`.
        path: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A netlink socket could not be opened.
    #[error("open a netlink socket")]
    Netlink(#[source] io::Error),
    /// The container's network namespace could not be entered.
    #[error("enter the network namespace of container {container}")]
    Namespace {
        /// The container's id.
        container: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// `--bip`, `--fixed-cidr` or a pool is wrong.
    #[error("invalid {setting} {value}: {reason}")]
    Setting {
        /// The flag.
        setting: &'static str,
        /// Its value.
        value: Prefix,
        /// What is wrong.
        reason: String,
    },
    /// The records could not be read or written.
    #[error("networks' records")]
    Metadata(#[from] dhow_metadata::Error),
}

/// Why a port can't be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// Another container of ours has it.
    #[error("Bind for {ip}:{port} failed: port is already allocated")]
    Allocated {
        /// The host's address, brackets around IPv6.
        ip: String,
        /// The port.
        port: u16,
    },
    /// Someone else has it, or the address is not the host's.
    #[error("failed to bind host port for {host_ip}:{host_port}:{container}/{protocol}")]
    Bind {
        /// The host's address.
        host_ip: String,
        /// The host's port.
        host_port: u16,
        /// The container's address and port.
        container: String,
        /// The protocol.
        protocol: Protocol,
        /// The kernel's answer, in Go's words.
        #[source]
        source: SystemText,
    },
    /// No port of the range is free.
    #[error("all ports are allocated")]
    Exhausted,
    /// Publishing at an IPv6 address is not there yet.
    #[error("publishing at the IPv6 address {0} is not supported yet")]
    Ipv6(IpAddr),
}

/// An I/O error printed as Go prints it (`address already in use`, without Rust's `(os error 98)`).
#[derive(Debug)]
pub struct SystemText(pub io::Error);

impl std::fmt::Display for SystemText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut letters = text.chars();
        if let Some(first) = letters.next() {
            write!(f, "{}{}", first.to_lowercase(), letters.as_str())?;
        }
        Ok(())
    }
}

impl std::error::Error for SystemText {}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NetworkNotFound(_) | Self::NoDriver(_) | Self::EndpointNotFound(_) => {
                ErrorKind::NotFound
            }
            Self::NameTaken(_) => ErrorKind::Conflict,
            Self::CreatePredefined(_)
            | Self::RemovePredefined(_)
            | Self::SingleInstance(_)
            | Self::InUse { .. }
            | Self::Overlap
            | Self::AlreadyConnected { .. } => ErrorKind::Forbidden,
            Self::Ambiguous { .. }
            | Self::InvalidName(_)
            | Self::AddressOutside(_)
            | Self::AddressOnDefault(_)
            | Self::AliasOnDefault
            | Self::InvalidIpam(_)
            | Self::InvalidOption { .. }
            | Self::Setting { .. } => ErrorKind::InvalidArgument,
            Self::Ipv6Unsupported => ErrorKind::NotImplemented,
            Self::AddressInUse => ErrorKind::Forbidden,
            Self::PoolsExhausted
            | Self::AddressesExhausted { .. }
            | Self::External { .. }
            | Self::Link { .. }
            | Self::Bridge { .. }
            | Self::Firewall { .. }
            | Self::Sysctl { .. }
            | Self::Netlink(_)
            | Self::Namespace { .. }
            | Self::Metadata(_) => ErrorKind::System,
        }
    }
}
