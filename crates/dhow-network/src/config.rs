//! What the networks of one instance are configured with, and what a new network is asked to be.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use dhow_metadata::Database;

use crate::{Ipam, Prefix};

/// The settings of an instance's networks; [`NetworksConfig::new`] has Docker's defaults.
#[derive(Clone)]
pub struct NetworksConfig {
    /// The instance's name: `dhow` for the default one. The nftables table, the veths and the bridges of user-defined
    /// networks are named after it, so that instances do not meet.
    pub instance: String,
    /// The device of the default network `bridge`; `dhow0` for the default instance. At most 15 bytes.
    pub bridge_name: String,
    /// `--bridge=none` turns the default network `bridge` off.
    pub default_bridge: bool,
    /// `--bip`: the bridge's own address with its prefix length; chosen from the pools when absent.
    pub bip: Option<Prefix>,
    /// `--fixed-cidr`: the part of the default bridge's subnet from which containers get addresses.
    pub fixed_cidr: Option<Prefix>,
    /// `default-address-pools`; Docker's pools when empty.
    pub address_pools: Vec<AddressPool>,
    /// `--mtu`; absent: 1500, as Docker, or the MTU of the default route's device when that is smaller.
    pub mtu: Option<u32>,
    /// `--ip`: where ports are published when a request names no host address.
    pub default_bind: IpAddr,
    /// `--ip-forward`: turn `net.ipv4.ip_forward` on when it is off.
    pub ip_forward: bool,
    /// `--icc`: containers on the default bridge may talk to each other.
    pub icc: bool,
    /// `--ip-masq`: hide containers behind the host's address on their way out.
    pub ip_masq: bool,
    /// Where the networks and endpoints are recorded.
    pub db: Database,
}

impl NetworksConfig {
    /// The default instance's settings with Docker's defaults.
    #[must_use]
    pub fn new(db: Database) -> Self {
        Self {
            instance: "dhow".to_owned(),
            bridge_name: "dhow0".to_owned(),
            default_bridge: true,
            bip: None,
            fixed_cidr: None,
            address_pools: Vec::new(),
            mtu: None,
            default_bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ip_forward: true,
            icc: true,
            ip_masq: true,
            db,
        }
    }
}

/// A range from which subnets of one size are given to networks without a subnet of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPool {
    /// The whole range, such as `172.17.0.0/12`.
    pub base: Prefix,
    /// The prefix length of each subnet taken from it.
    pub size: u8,
}

/// A network to be made; everything but the name has a default.
#[derive(Debug, Clone, Default)]
pub struct CreateNetwork {
    /// The new network's name.
    pub name: String,
    /// The driver's name; empty means `bridge`.
    pub driver: String,
    /// Subnets, gateways and ranges; what is absent is chosen.
    pub ipam: Ipam,
    /// No way out of the network.
    pub internal: bool,
    /// Only recorded: attachable matters in a swarm.
    pub attachable: bool,
    /// IPv6 was asked for; not there yet, refused.
    pub enable_ipv6: bool,
    /// Driver options, such as `com.docker.network.bridge.name`.
    pub options: BTreeMap<String, String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
}
