//! Networks that only pretend: addresses are counted, ports are taken in a list.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use dhow_network::{
    CreateNetwork, Driver, Endpoint, EndpointRequest, EndpointState, Error, IpamUsage,
    NetworkRecord, PortBinding, PortError, PortRequest, Reserved,
};

use crate::connector::Connector;

/// The default networks, and the endpoints on them.
#[derive(Default)]
pub(crate) struct SimNetworks {
    endpoints: Mutex<Vec<Endpoint>>,
    counter: Mutex<u8>,
    /// Refuse the next attachment.
    pub(crate) refuse_attach: Mutex<bool>,
}

fn network(name: &str, driver: Driver) -> NetworkRecord {
    let document = serde_json::json!({
        "id": format!("{name:0<64}"), "name": name, "created": "2026-01-01T00:00:00Z", "driver": driver,
        "scope": "local", "ipam": {"driver": "default", "options": null, "config": []}, "internal": false,
        "attachable": false, "enable_ipv6": false, "enable_ipv4": true, "options": {}, "labels": {}, "device": null,
    });
    serde_json::from_value(document).unwrap()
}

impl SimNetworks {
    /// The containers that have endpoints.
    pub(crate) fn connected(&self) -> Vec<String> {
        self.endpoints
            .lock()
            .unwrap()
            .iter()
            .map(|endpoint| endpoint.container_id.clone())
            .collect()
    }
}

impl Connector for SimNetworks {
    fn list(&self) -> Result<Vec<NetworkRecord>, Error> {
        Ok(vec![
            network("bridge", Driver::Bridge),
            network("host", Driver::Host),
            network("none", Driver::Null),
            network("own", Driver::Bridge),
        ])
    }

    fn get(&self, name: &str) -> Result<NetworkRecord, Error> {
        let found = self
            .list()?
            .into_iter()
            .find(|network| network.name == name || network.id == name);
        found.ok_or_else(|| Error::NetworkNotFound(name.to_owned()))
    }

    fn create(&self, request: CreateNetwork) -> Result<NetworkRecord, Error> {
        Err(Error::NameTaken(request.name))
    }

    fn remove(&self, name: &str) -> Result<NetworkRecord, Error> {
        Err(Error::RemovePredefined(name.to_owned()))
    }

    fn occupancy(&self, network_id: &str) -> Result<(Vec<Endpoint>, Vec<IpamUsage>), Error> {
        let endpoints = self.endpoints.lock().unwrap();
        let on = endpoints
            .iter()
            .filter(|endpoint| endpoint.network_id == network_id);
        Ok((on.cloned().collect(), Vec::new()))
    }

    fn reserve(&self, request: EndpointRequest) -> Result<Reserved, Error> {
        let network = self.get(&request.network)?;
        let mut counter = self.counter.lock().unwrap();
        *counter += 1;
        let id = format!("{:0>64}", *counter);
        let mut endpoints = self.endpoints.lock().unwrap();
        let mut ports = Vec::new();
        for port in request.ports {
            let host_port = if port.host_ports.is_ephemeral() {
                49153
            } else {
                port.host_ports.start
            };
            let all = endpoints.iter().flat_map(|endpoint| &endpoint.ports);
            if all.into_iter().any(|taken| taken.host_port == host_port) {
                let source = PortError::Allocated {
                    ip: "0.0.0.0".into(),
                    port: host_port,
                };
                return Err(Error::External {
                    endpoint: request.container_name,
                    id,
                    source,
                });
            }
            ports.push(PortBinding {
                protocol: port.protocol,
                container_port: port.container_port,
                host_ip: port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                host_port,
            });
        }
        let has_address = network.driver == Driver::Bridge;
        let endpoint = Endpoint {
            id,
            network_id: network.id,
            network_name: network.name,
            container_id: request.container_id,
            container_name: request.container_name,
            ip: has_address.then(|| Ipv4Addr::new(172, 17, 0, *counter)),
            prefix_len: 16,
            gateway: has_address.then_some(Ipv4Addr::new(172, 17, 0, 1)),
            mac: None,
            ports,
            aliases: request.aliases,
            host_interface: None,
            interface: None,
            state: EndpointState::Reserved,
        };
        endpoints.push(endpoint.clone());
        Ok(Reserved {
            endpoint,
            held: Vec::new(),
        })
    }

    fn attach(&self, endpoint_id: &str, _pid: u32) -> Result<Endpoint, Error> {
        if std::mem::take(&mut *self.refuse_attach.lock().unwrap()) {
            return Err(Error::EndpointNotFound(endpoint_id.to_owned()));
        }
        let endpoints = self.endpoints.lock().unwrap();
        Ok(endpoints
            .iter()
            .find(|endpoint| endpoint.id == endpoint_id)
            .unwrap()
            .clone())
    }

    fn take_ports(
        &self,
        _endpoint_id: &str,
        requests: &[PortRequest],
        _given_up: &[PortBinding],
    ) -> Result<(Vec<PortBinding>, Vec<OwnedFd>), Error> {
        let binding = |request: &PortRequest| PortBinding {
            protocol: request.protocol,
            container_port: request.container_port,
            host_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            host_port: request.host_ports.start.max(40000),
        };
        Ok((requests.iter().map(binding).collect(), Vec::new()))
    }

    fn publish(&self, endpoint_id: &str, ports: Vec<PortBinding>) -> Result<Endpoint, Error> {
        let mut endpoints = self.endpoints.lock().unwrap();
        let mut endpoints = endpoints.iter_mut();
        let found = endpoints.find(|endpoint| endpoint.id == endpoint_id);
        let endpoint = found.ok_or_else(|| Error::EndpointNotFound(endpoint_id.to_owned()))?;
        endpoint.ports = ports;
        Ok(endpoint.clone())
    }

    fn release(&self, container_id: &str, endpoint_id: Option<&str>) -> Result<(), Error> {
        self.endpoints
            .lock()
            .unwrap()
            .retain(|endpoint| match endpoint_id {
                Some(id) => endpoint.id != id,
                None => endpoint.container_id != container_id,
            });
        Ok(())
    }

    fn rename(&self, container_id: &str, name: &str) -> Result<(), Error> {
        for endpoint in self.endpoints.lock().unwrap().iter_mut() {
            if endpoint.container_id == container_id {
                endpoint.container_name = name.to_owned();
            }
        }
        Ok(())
    }

    fn reconcile(&self, active: &[String]) -> Result<(), Error> {
        self.endpoints
            .lock()
            .unwrap()
            .retain(|endpoint| active.contains(&endpoint.container_id));
        Ok(())
    }
}
