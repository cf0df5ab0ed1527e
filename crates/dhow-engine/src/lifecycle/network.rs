//! A container's endpoints: reserved before its start, attached to its init, given back at its end.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use dhow_network::{Endpoint, EndpointRequest, HostPorts, MacAddress, NetworkRecord, PortRequest};

use super::report;
use crate::container::{ContainerRecord, PublishedPort};
use crate::events::EventKind;
use crate::services::Services;
use crate::store::Container;
use crate::{Error, Result};
use dhow_container::spec::{EndpointSettings, Invalid, NetworkMode, Port, PortBinding, Protocol};

/// What a container holds of its networks while it is started.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    pub(crate) endpoints: Vec<(Endpoint, NetworkRecord)>,
    /// Sockets that keep the published ports; the supervisor inherits them.
    pub(crate) held: Vec<OwnedFd>,
}

/// Takes addresses and ports on all of the container's networks; on an error nothing stays taken.
pub(super) fn reserve(services: &Services, record: &ContainerRecord) -> Result<Reservation> {
    let mut reservation = Reservation::default();
    for (name, settings) in in_order(record) {
        let is_first = reservation.endpoints.is_empty();
        let result = services.networks.get(name).and_then(|network| {
            let request = request(record, name, settings, is_first);
            services
                .networks
                .reserve(request)
                .map(|reserved| (reserved, network))
        });
        match result {
            Ok((reserved, network)) => {
                reservation.endpoints.push((reserved.endpoint, network));
                reservation.held.extend(reserved.held);
            }
            Err(error) => {
                report(
                    "release endpoints",
                    services.networks.release(&record.id, None),
                );
                return Err(Error::Networking(error));
            }
        }
    }
    Ok(reservation)
}

/// The endpoints, the one of the network mode first.
pub(super) fn in_order(record: &ContainerRecord) -> Vec<(&str, &EndpointSettings)> {
    let mode = record.host.network_mode.network();
    let mut list: Vec<_> = record
        .networks
        .iter()
        .map(|(name, wish)| (name.as_str(), wish))
        .collect();
    list.sort_by_key(|(name, wish)| (std::cmp::Reverse(wish.gw_priority), Some(*name) != mode));
    list
}

/// Whether any port of the container is to be published.
pub(super) fn publishes(record: &ContainerRecord) -> bool {
    !record.host.port_bindings.is_empty()
        || (record.host.publish_all_ports && !record.config.exposed_ports.is_empty())
}

pub(super) fn request(
    record: &ContainerRecord,
    network: &str,
    wish: &EndpointSettings,
    with_ports: bool,
) -> EndpointRequest {
    EndpointRequest {
        container_id: record.id.clone(),
        container_name: record.name.clone(),
        network: network.to_owned(),
        ip: wish.ipam.as_ref().and_then(|ipam| ipam.ipv4),
        mac: wish.wanted_mac.parse::<MacAddress>().ok(),
        ports: if with_ports {
            ports(record)
        } else {
            Vec::new()
        },
        aliases: wish.aliases.clone(),
    }
}

pub(super) fn port_request(port: &Port, binding: &PortBinding) -> PortRequest {
    let range = binding.host_port.map(|range| HostPorts {
        start: range.start,
        end: range.end,
    });
    PortRequest {
        protocol: protocol(port.protocol),
        container_port: port.number,
        host_ip: binding.host_ip,
        host_ports: range.unwrap_or(HostPorts::EPHEMERAL),
    }
}

fn ports(record: &ContainerRecord) -> Vec<PortRequest> {
    let mut list = Vec::new();
    let mut publish = |port: &Port, binding: &PortBinding| list.push(port_request(port, binding));
    let any = PortBinding::default();
    for (port, bindings) in &record.host.port_bindings {
        if bindings.is_empty() {
            publish(port, &any);
        }
        for binding in bindings {
            publish(port, binding);
        }
    }
    if record.host.publish_all_ports {
        let bound = &record.host.port_bindings;
        for port in record
            .config
            .exposed_ports
            .iter()
            .filter(|port| !bound.contains_key(port))
        {
            publish(port, &any);
        }
    }
    list
}

pub(super) fn protocol(protocol: Protocol) -> dhow_network::Protocol {
    match protocol {
        Protocol::Tcp => dhow_network::Protocol::Tcp,
        Protocol::Udp => dhow_network::Protocol::Udp,
        Protocol::Sctp => dhow_network::Protocol::Sctp,
    }
}

fn own_protocol(protocol: dhow_network::Protocol) -> Protocol {
    match protocol {
        dhow_network::Protocol::Tcp => Protocol::Tcp,
        dhow_network::Protocol::Udp => Protocol::Udp,
        dhow_network::Protocol::Sctp => Protocol::Sctp,
    }
}

/// Makes the endpoints' interfaces in the init's network namespace.
pub(super) fn attach(services: &Services, reservation: &Reservation, pid: u32) -> Result<()> {
    for (endpoint, network) in &reservation.endpoints {
        services
            .networks
            .attach(&endpoint.id, pid)
            .map_err(Error::Networking)?;
        tell(services, endpoint, network, "connect");
    }
    Ok(())
}

fn tell(services: &Services, endpoint: &Endpoint, network: &NetworkRecord, action: &str) {
    let attributes = [
        ("container", endpoint.container_id.as_str()),
        ("name", &network.name),
        ("type", network.driver.as_str()),
    ];
    services.tell_other(EventKind::Network, action, &network.id, &attributes);
}

/// Gives all endpoints of a container that has ended back; goes on after a failure.
pub(super) fn release(services: &Services, record: &ContainerRecord) {
    report(
        "release endpoints",
        services.networks.release(&record.id, None),
    );
    for (name, settings) in &record.networks {
        if settings.endpoint_id.is_empty() {
            continue;
        }
        let driver = services
            .networks
            .get(name)
            .map_or("bridge", |network| network.driver.as_str());
        let attributes = [
            ("container", record.id.as_str()),
            ("name", name),
            ("type", driver),
        ];
        services.tell_other(
            EventKind::Network,
            "disconnect",
            &settings.network_id,
            &attributes,
        );
    }
}

/// Notes in the record what the container has on its networks.
pub(super) fn note(record: &mut ContainerRecord, reservation: &Reservation) {
    record.ports = record
        .config
        .exposed_ports
        .iter()
        .map(|port| (*port, Vec::new()))
        .collect();
    for (endpoint, network) in &reservation.endpoints {
        note_endpoint(record, endpoint, network);
    }
    if !record.host.network_mode.is_private() {
        record.ports.clear();
    }
}

pub(super) fn note_endpoint(
    record: &mut ContainerRecord,
    endpoint: &Endpoint,
    network: &NetworkRecord,
) {
    let names = dns_names(record, network, &endpoint.aliases);
    // A network asked for by its id goes by its name from now on.
    let by_id = record
        .networks
        .keys()
        .find(|key| **key != network.name && network.id.starts_with(*key))
        .cloned();
    if let Some(settings) = by_id.and_then(|key| record.networks.remove(&key)) {
        record
            .networks
            .entry(network.name.clone())
            .or_insert(settings);
    }
    let settings = record.networks.entry(network.name.clone()).or_default();
    settings.network_id.clone_from(&network.id);
    settings.endpoint_id.clone_from(&endpoint.id);
    settings.gateway = endpoint
        .gateway
        .map(|gateway| gateway.to_string())
        .unwrap_or_default();
    settings.ip_address = endpoint.ip.map(|ip| ip.to_string()).unwrap_or_default();
    settings.ip_prefix_len = endpoint.prefix_len;
    settings.mac_address = endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default();
    settings.dns_names = names;
    note_ports(record, endpoint);
}

/// Notes where an endpoint's ports are published.
pub(super) fn note_ports(record: &mut ContainerRecord, endpoint: &Endpoint) {
    for binding in &endpoint.ports {
        let port = Port {
            number: binding.container_port,
            protocol: own_protocol(binding.protocol),
        };
        let published = PublishedPort {
            host_ip: binding.host_ip,
            host_port: binding.host_port,
        };
        record.ports.entry(port).or_default().push(published);
    }
}

/// The names a container has on a user-defined network; none on the default ones.
fn dns_names(record: &ContainerRecord, network: &NetworkRecord, aliases: &[String]) -> Vec<String> {
    if network.is_predefined() {
        return Vec::new();
    }
    let mut names = vec![record.name.clone()];
    let further = aliases
        .iter()
        .map(String::as_str)
        .chain([record.short_id(), &record.config.hostname]);
    for name in further {
        if !name.is_empty() && !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The addresses under which the container finds itself in its `/etc/hosts`.
pub(super) fn addresses(reservation: &Reservation) -> Vec<IpAddr> {
    reservation
        .endpoints
        .iter()
        .filter_map(|(endpoint, _)| endpoint.ip)
        .map(IpAddr::V4)
        .collect()
}

/// The address `host-gateway` stands for.
pub(crate) fn host_gateway(services: &Services) -> Option<IpAddr> {
    let bridge = || {
        services
            .networks
            .get("bridge")
            .ok()
            .and_then(|network| network.gateway())
    };
    services
        .config
        .defaults
        .host_gateway
        .or_else(|| bridge().map(|ip: Ipv4Addr| IpAddr::V4(ip)))
}

/// Connects a container to one more network; at once when it runs. The caller holds its lifecycle lock. Blocking.
pub(crate) fn connect(
    services: &Services,
    container: &Container,
    name: &str,
    wish: EndpointSettings,
) -> Result<NetworkRecord> {
    let network = services.networks.get(name).map_err(Error::Network)?;
    let record = container.record();
    if !record.host.network_mode.is_private() {
        return Err(Error::Refused(
            "container sharing network namespace with another container or host cannot be connected to any other network"
                .into(),
        ));
    }
    let is_none = |name: &str| name == "none";
    if network.name == "host" {
        return Err(Invalid::new(
            "cannot connect container to host network - container must be created in host network mode",
        )
        .into());
    }
    if is_none(&network.name) || record.networks.keys().any(|name| is_none(name)) {
        return Err(Invalid::new(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        )
        .into());
    }
    if record.networks.contains_key(&network.name) {
        let taken = dhow_network::Error::AlreadyConnected {
            container: record.name.clone(),
            network: network.name.clone(),
        };
        return Err(Error::Network(taken));
    }
    super::wish::check(&network, &wish)?;
    if !record.state.status.has_process() {
        container.save(&services.db, |record| {
            record.networks.insert(network.name.clone(), wish);
        })?;
        return Ok(network);
    }
    let request = request(&record, &network.name, &wish, false);
    let reserved = services.networks.reserve(request).map_err(Error::Network)?;
    let endpoint = reserved.endpoint;
    let attached = services
        .networks
        .attach(&endpoint.id, record.state.pid)
        .map_err(Error::Network);
    let saved = attached.and_then(|_| {
        container.save(&services.db, |record| {
            record.networks.insert(network.name.clone(), wish);
            note_endpoint(record, &endpoint, &network);
        })
    });
    if let Err(error) = saved {
        report(
            "release endpoint",
            services.networks.release(&record.id, Some(&endpoint.id)),
        );
        return Err(error);
    }
    tell(services, &endpoint, &network, "connect");
    Ok(network)
}

/// Disconnects a container from a network. The caller holds its lifecycle lock. Blocking.
pub(crate) fn disconnect(
    services: &Services,
    container: &Container,
    name: &str,
) -> Result<NetworkRecord> {
    let network = services.networks.get(name).map_err(Error::Network)?;
    let record = container.record();
    let Some(settings) = record.networks.get(&network.name) else {
        return Err(Error::Refused(format!(
            "container {} is not connected to network {}",
            record.id, network.name
        )));
    };
    if record.host.network_mode == NetworkMode::Host {
        return Err(Error::Refused(
            "container cannot be disconnected from host network or connected to host network"
                .into(),
        ));
    }
    if !settings.endpoint_id.is_empty() {
        let released = services
            .networks
            .release(&record.id, Some(&settings.endpoint_id));
        released.map_err(Error::Network)?;
    }
    container.save(&services.db, |record| {
        record.networks.remove(&network.name);
    })?;
    Ok(network)
}
