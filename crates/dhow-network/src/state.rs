//! Networks and endpoints in memory, indexed for what is asked often; the database is their journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dhow_golang::parse_bool;

use crate::nft::{NetworkPlan, Plan, PortPlan};
use crate::{Driver, Endpoint, EndpointState, Error, NetworkRecord, PortBinding};

/// Everything known, and where the next search for an ephemeral port begins.
#[derive(Debug, Default)]
pub(crate) struct State {
    networks: BTreeMap<String, NetworkRecord>,
    endpoints: HashMap<String, Endpoint>,
    by_container: HashMap<String, BTreeSet<String>>,
    by_network: HashMap<String, BTreeSet<String>>,
    addresses: HashMap<String, BTreeSet<u32>>,
    /// The bridges by network.
    pub(crate) devices: HashMap<String, Device>,
    pub(crate) next_port: u16,
    /// Whether packets have to avoid the forward hook.
    pub(crate) detour: bool,
    /// The kernel can't do that.
    pub(crate) no_detour: bool,
    /// Nothing is put back any more.
    pub(crate) torn_down: bool,
}

/// A bridge device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device {
    pub(crate) index: u32,
    pub(crate) mtu: u32,
}

impl State {
    pub(crate) fn networks(&self) -> impl Iterator<Item = &NetworkRecord> {
        self.networks.values()
    }

    pub(crate) fn put_network(&mut self, network: NetworkRecord) {
        self.networks.insert(network.id.clone(), network);
    }

    pub(crate) fn remove_network(&mut self, id: &str) {
        self.networks.remove(id);
        self.addresses.remove(id);
        self.devices.remove(id);
    }

    /// The network with this id, name or unique start of an id.
    pub(crate) fn network(&self, name: &str) -> Result<&NetworkRecord, Error> {
        let wanted = if name == "default" { "bridge" } else { name };
        if let Some(network) = self.networks.get(wanted) {
            return Ok(network);
        }
        if let Some(network) = self.networks().find(|network| network.name == wanted) {
            return Ok(network);
        }
        let mut matching = self
            .networks()
            .filter(|network| !wanted.is_empty() && network.id.starts_with(wanted));
        match (matching.next(), matching.count()) {
            (Some(network), 0) => Ok(network),
            (Some(_), others) => Err(Error::Ambiguous {
                name: name.to_owned(),
                matches: others + 1,
            }),
            (None, _) => Err(Error::NetworkNotFound(name.to_owned())),
        }
    }

    pub(crate) fn put_endpoint(&mut self, endpoint: Endpoint) {
        let id = endpoint.id.clone();
        if let Some(ip) = endpoint.ip {
            self.addresses
                .entry(endpoint.network_id.clone())
                .or_default()
                .insert(ip.to_bits());
        }
        self.by_container
            .entry(endpoint.container_id.clone())
            .or_default()
            .insert(id.clone());
        self.by_network
            .entry(endpoint.network_id.clone())
            .or_default()
            .insert(id.clone());
        self.endpoints.insert(id, endpoint);
    }

    pub(crate) fn remove_endpoint(&mut self, id: &str) {
        let Some(endpoint) = self.endpoints.remove(id) else {
            return;
        };
        if let (Some(ip), Some(taken)) = (endpoint.ip, self.addresses.get_mut(&endpoint.network_id))
        {
            taken.remove(&ip.to_bits());
        }
        forget(&mut self.by_container, &endpoint.container_id, id);
        forget(&mut self.by_network, &endpoint.network_id, id);
    }

    pub(crate) fn endpoint(&self, id: &str) -> Result<&Endpoint, Error> {
        self.endpoints
            .get(id)
            .ok_or_else(|| Error::EndpointNotFound(id.to_owned()))
    }

    pub(crate) fn endpoint_mut(&mut self, id: &str) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(id)
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    /// A container's endpoints, `eth0` first.
    pub(crate) fn of_container(&self, container: &str) -> Vec<&Endpoint> {
        let ids = self.by_container.get(container).into_iter().flatten();
        let mut endpoints: Vec<_> = ids.filter_map(|id| self.endpoints.get(id)).collect();
        endpoints.sort_by_key(|endpoint| interface_number(endpoint));
        endpoints
    }

    /// A network's endpoints, lowest address first.
    pub(crate) fn on_network(&self, network: &str) -> Vec<&Endpoint> {
        let ids = self.by_network.get(network).into_iter().flatten();
        let mut endpoints: Vec<_> = ids.filter_map(|id| self.endpoints.get(id)).collect();
        endpoints.sort_by_key(|endpoint| endpoint.ip);
        endpoints
    }

    /// The addresses that a network's endpoints have.
    pub(crate) fn addresses(&self, network: &str) -> &BTreeSet<u32> {
        static NONE: BTreeSet<u32> = BTreeSet::new();
        self.addresses.get(network).unwrap_or(&NONE)
    }

    /// The ports that are published or about to be.
    pub(crate) fn ports(&self) -> Vec<PortBinding> {
        self.endpoints
            .values()
            .flat_map(|endpoint| endpoint.ports.iter().cloned())
            .collect()
    }

    /// The table that fits the networks and the attached endpoints.
    pub(crate) fn plan(&self, table: &str) -> Plan {
        let bridges = self
            .networks()
            .filter(|network| network.driver == Driver::Bridge);
        let networks = bridges
            .filter_map(|network| network_plan(network, &self.devices))
            .collect();
        let attached = self
            .endpoints()
            .filter(|endpoint| endpoint.state == EndpointState::Attached);
        let ports = attached.flat_map(port_plans).collect();
        Plan {
            table: table.to_owned(),
            networks,
            ports,
            detour: self.detour,
        }
    }
}

fn forget(index: &mut HashMap<String, BTreeSet<String>>, key: &str, id: &str) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

/// `eth7` → 7.
pub(crate) fn interface_number(endpoint: &Endpoint) -> u32 {
    endpoint
        .interface
        .as_deref()
        .and_then(|name| name.strip_prefix("eth")?.parse().ok())
        .unwrap_or(0)
}

fn network_plan(network: &NetworkRecord, devices: &HashMap<String, Device>) -> Option<NetworkPlan> {
    let on = |key: &str| {
        network
            .options
            .get(key)
            .is_none_or(|value| parse_bool(value) == Ok(true))
    };
    Some(NetworkPlan {
        device: network.device.clone()?,
        index: devices.get(&network.id)?.index,
        subnet: network.subnet()?,
        internal: network.internal,
        icc: on(OPTION_ICC),
        masquerade: on(OPTION_MASQUERADE),
    })
}

/// Whether containers on the network may talk to each other.
pub(crate) fn icc(network: &NetworkRecord) -> bool {
    network
        .options
        .get(OPTION_ICC)
        .is_none_or(|value| parse_bool(value) == Ok(true))
}

/// The endpoint's published ports for the table.
pub(crate) fn port_plans(endpoint: &Endpoint) -> impl Iterator<Item = PortPlan> {
    endpoint.ports.iter().filter_map(|port| {
        Some(PortPlan {
            protocol: port.protocol,
            host_ip: port.host_ip,
            host_port: port.host_port,
            ip: endpoint.ip?,
            port: port.container_port,
        })
    })
}

/// Driver option: the bridge's device.
pub(crate) const OPTION_NAME: &str = "com.docker.network.bridge.name";
/// Driver option: containers may talk to each other.
pub(crate) const OPTION_ICC: &str = "com.docker.network.bridge.enable_icc";
/// Driver option: hide containers on their way out.
pub(crate) const OPTION_MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// Driver option: where ports are published by default.
pub(crate) const OPTION_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
/// Driver option: this is the default bridge.
pub(crate) const OPTION_DEFAULT: &str = "com.docker.network.bridge.default_bridge";
/// Driver option: the MTU.
pub(crate) const OPTION_MTU: &str = "com.docker.network.driver.mtu";
