//! A container's endpoints: what was wished for, and what they have while it runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Fixed addresses for an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointIpam {
    /// The IPv4 address to take.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address to take.
    pub ipv6: Option<Ipv6Addr>,
    /// Further link-local addresses.
    pub link_local: Vec<IpAddr>,
}

/// One endpoint of a container: the wish (`ipam` to `gw_priority`) and, while it runs, the fact (the rest).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSettings {
    /// Fixed addresses.
    pub ipam: Option<EndpointIpam>,
    /// Legacy links.
    pub links: Vec<String>,
    /// Further names on this network.
    pub aliases: Vec<String>,
    /// Options for the network's driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Which endpoint's gateway is the default route: the highest wins.
    pub gw_priority: i64,
    /// The MAC address wished for; empty for one made from the address.
    pub wanted_mac: String,
    /// The network's id, once known.
    pub network_id: String,
    /// The endpoint's id; empty while the container does not run.
    pub endpoint_id: String,
    /// The IPv4 gateway.
    pub gateway: String,
    /// The IPv4 address.
    pub ip_address: String,
    /// The bits of the network in the address.
    pub ip_prefix_len: u8,
    /// The MAC address.
    pub mac_address: String,
    /// The IPv6 gateway.
    pub ipv6_gateway: String,
    /// The IPv6 address.
    pub global_ipv6_address: String,
    /// The bits of the network in the IPv6 address.
    pub global_ipv6_prefix_len: u8,
    /// Every name the container has on this network.
    pub dns_names: Vec<String>,
}

impl EndpointSettings {
    /// Forgets the facts, keeps the wish, the network and the names.
    pub fn clear_facts(&mut self) {
        *self = Self {
            ipam: self.ipam.take(),
            links: std::mem::take(&mut self.links),
            aliases: std::mem::take(&mut self.aliases),
            driver_opts: std::mem::take(&mut self.driver_opts),
            gw_priority: self.gw_priority,
            wanted_mac: std::mem::take(&mut self.wanted_mac),
            network_id: std::mem::take(&mut self.network_id),
            dns_names: std::mem::take(&mut self.dns_names),
            ..Self::default()
        };
    }
}
