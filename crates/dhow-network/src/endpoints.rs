//! The life of an endpoint: reserve, attach, release.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use crate::create::random_id;
use crate::netlink::conntrack::Flow;
use crate::netlink::{BridgePort, RouteSocket, VethSpec};
use crate::networks::{Networks, delete};
use crate::state::{OPTION_BINDING, State, icc, interface_number};
use crate::{
    Driver, Endpoint, EndpointRequest, EndpointState, Error, MacAddress, NetworkRecord, Protocol,
    Reserved, ipam, ports,
};

impl Networks {
    /// Takes an address and host ports for a container and journals them; nothing is made in the kernel yet but the
    /// sockets that hold the ports.
    ///
    /// # Errors
    /// Unknown network, taken or exhausted addresses, [`Error::External`] for ports. Nothing stays taken.
    pub fn reserve(&self, request: EndpointRequest) -> Result<Reserved, Error> {
        let mut state = self.state();
        let network = state.network(&request.network)?.clone();
        let others = state.of_container(&request.container_id);
        if others
            .iter()
            .any(|endpoint| endpoint.network_id == network.id)
        {
            return Err(Error::AlreadyConnected {
                container: request.container_name,
                network: network.name,
            });
        }
        let number = others
            .iter()
            .map(|other| interface_number(other) + 1)
            .max()
            .unwrap_or(0);
        let mut endpoint = place(&state, &network, &request)?;
        let mut held = Vec::new();
        if network.driver == Driver::Bridge {
            endpoint.interface = Some(format!("eth{number}"));
            endpoint.host_interface =
                Some(format!("{}{}", self.inner.veth_prefix, &endpoint.id[..8]));
            if !network.internal && !request.ports.is_empty() {
                let taken = state.ports();
                let reserved = ports::reserve(
                    &request.ports,
                    self.default_bind(&network),
                    endpoint.ip,
                    &ports::Taken {
                        ports: &taken,
                        given_up: &[],
                    },
                    &mut state.next_port,
                );
                let external = |source| Error::External {
                    endpoint: request.container_name.clone(),
                    id: endpoint.id.clone(),
                    source,
                };
                (endpoint.ports, held) = reserved.map_err(external)?;
            }
        }
        self.db().put(&endpoint.id, &endpoint)?;
        state.put_endpoint(endpoint.clone());
        Ok(Reserved { endpoint, held })
    }

    /// Makes the endpoint's interface in the container's network namespace, with addresses and routes, brings `lo` up
    /// there, and opens the published ports. On `none` only `lo` is brought up; on `host` nothing is done.
    ///
    /// # Errors
    /// When the kernel refuses; the interface is gone again then, the reservation stays.
    pub fn attach(&self, endpoint_id: &str, netns: BorrowedFd<'_>) -> Result<Endpoint, Error> {
        let (endpoint, network) = self.begin(endpoint_id)?;
        let outcome = match network.driver {
            Driver::Host => Ok(()),
            Driver::Null => self
                .inside(&endpoint, netns)
                .and_then(|mut socket| socket.loopback_up().map_err(link_error("bring up", "lo"))),
            Driver::Bridge => self.plug(&endpoint, &network, netns),
        };
        if let Err(error) = outcome {
            self.unplug(&endpoint);
            return Err(error);
        }
        Ok(endpoint)
    }

    /// [`Networks::attach`] to the network namespace of a process.
    ///
    /// # Errors
    /// As [`Networks::attach`]; [`Error::Namespace`] when the process is gone.
    pub fn attach_pid(&self, endpoint_id: &str, pid: u32) -> Result<Endpoint, Error> {
        let container = self.endpoint(endpoint_id)?.container_id;
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let netns = File::open(path).map_err(|source| Error::Namespace { container, source })?;
        self.attach(endpoint_id, netns.as_fd())
    }

    /// Closes the endpoint's ports, removes its interface and frees its address. An endpoint that is already gone is
    /// no error. (The held sockets are the shim's to close.)
    ///
    /// # Errors
    /// When the records can't be written or the kernel refuses; can be repeated.
    pub fn release(&self, endpoint_id: &str) -> Result<(), Error> {
        self.give_back(endpoint_id, |device| {
            delete(&mut RouteSocket::open().map_err(Error::Netlink)?, &device)
        })
    }

    /// Releases all endpoints of a container that is over: as [`Networks::release`], but the interfaces, which nobody
    /// can see any more, go a little later.
    ///
    /// # Errors
    /// As [`Networks::release`]; goes on after a failure and reports the first.
    pub fn release_container(&self, container_id: &str) -> Result<(), Error> {
        let endpoints = self.endpoints_of_container(container_id)?;
        let later = |device| {
            self.inner.sweeper.remove(device);
            Ok(())
        };
        let outcomes: Vec<_> = endpoints
            .iter()
            .map(|endpoint| self.give_back(&endpoint.id, later))
            .collect();
        outcomes.into_iter().collect()
    }

    fn give_back(
        &self,
        endpoint_id: &str,
        remove: impl FnOnce(String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let endpoint = {
            let mut state = self.state();
            let Some(endpoint) = state.endpoint_mut(endpoint_id) else {
                return Ok(());
            };
            let before = endpoint.clone();
            // From here on, a table rendered by someone else has its ports no more.
            endpoint.state = EndpointState::Reserved;
            before
        };
        if endpoint.state == EndpointState::Attached {
            self.change_ports(&endpoint, false)?;
            self.forget_flows(std::slice::from_ref(&endpoint));
            endpoint.host_interface.map_or(Ok(()), remove)?;
        }
        self.db().delete::<Endpoint>(endpoint_id)?;
        self.state().remove_endpoint(endpoint_id);
        Ok(())
    }

    /// Marks the endpoint attached, so that every table rendered from now on has its ports.
    fn begin(&self, endpoint_id: &str) -> Result<(Endpoint, NetworkRecord), Error> {
        let mut state = self.state();
        let endpoint = state
            .endpoint_mut(endpoint_id)
            .ok_or_else(|| Error::EndpointNotFound(endpoint_id.to_owned()))?;
        endpoint.state = EndpointState::Attached;
        let endpoint = endpoint.clone();
        let network = state.network(&endpoint.network_id)?.clone();
        Ok((endpoint, network))
    }

    /// Makes the veth pair, configures its end in the container, and opens the ports.
    fn plug(
        &self,
        endpoint: &Endpoint,
        network: &NetworkRecord,
        netns: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let (Some(host), Some(inside), Some(ip), Some(mac)) = (
            &endpoint.host_interface,
            &endpoint.interface,
            endpoint.ip,
            endpoint.mac,
        ) else {
            return Ok(());
        };
        let bridge = self.state().devices.get(&network.id).copied();
        let bridge = bridge.ok_or_else(|| {
            let device = network.device.as_deref().unwrap_or_default();
            link_error("find bridge", device)(io::ErrorKind::NotFound.into())
        })?;
        let mut socket = RouteSocket::open().map_err(Error::Netlink)?;
        let spec = VethSpec {
            host,
            bridge: bridge.index,
            container: inside,
            netns,
            mac,
            mtu: bridge.mtu,
            port: BridgePort {
                hairpin: true,
                isolated: !icc(network),
            },
        };
        socket
            .add_veth(&spec)
            .map_err(|failed| link_error(veth_step(failed.index), host)(failed.source))?;
        // A container has one default route: the first interface's.
        let gateway = endpoint
            .gateway
            .filter(|_| self.has_default_route(endpoint));
        self.inside(endpoint, netns)?
            .configure(inside, ip, endpoint.prefix_len, gateway)
            .map_err(|failed| link_error(configure_step(failed.index), inside)(failed.source))?;
        if self.notice_foreign_firewall() {
            self.replace_table()?;
        } else {
            self.change_ports(endpoint, true)?;
        }
        self.forget_flows(std::slice::from_ref(endpoint));
        Ok(())
    }

    /// Whether this is the container's first interface with a gateway.
    fn has_default_route(&self, endpoint: &Endpoint) -> bool {
        let state = self.state();
        let endpoints = state.of_container(&endpoint.container_id);
        endpoints
            .iter()
            .find(|other| other.gateway.is_some())
            .is_some_and(|first| first.id == endpoint.id)
    }

    /// Takes back what an attach that failed has done.
    fn unplug(&self, endpoint: &Endpoint) {
        if let Some(endpoint) = self.state().endpoint_mut(&endpoint.id) {
            endpoint.state = EndpointState::Reserved;
        }
        let device = endpoint.host_interface.as_deref();
        let removed = device.map_or(Ok(()), |device| {
            RouteSocket::open()
                .map_err(Error::Netlink)
                .and_then(|mut socket| delete(&mut socket, device))
        });
        for error in [removed, self.change_ports(endpoint, false)]
            .into_iter()
            .filter_map(Result::err)
        {
            tracing::warn!(endpoint = endpoint.id, error = %dhow_errdefs::chain(&error), "undoing an endpoint");
        }
    }

    /// A socket inside the container's network namespace, opened by a thread that enters it and ends.
    fn inside(&self, endpoint: &Endpoint, netns: BorrowedFd<'_>) -> Result<RouteSocket, Error> {
        let failed = |source| Error::Namespace {
            container: endpoint.container_id.clone(),
            source,
        };
        let open = || {
            dhow_sys::namespace::join(netns, dhow_sys::namespace::kind::NET)?;
            RouteSocket::open()
        };
        let joined = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("netns".to_owned())
                .spawn_scoped(scope, open)?;
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
        });
        joined.map_err(failed)
    }

    /// Where the network publishes ports by default.
    pub(crate) fn default_bind(&self, network: &NetworkRecord) -> IpAddr {
        let own = network
            .options
            .get(OPTION_BINDING)
            .and_then(|value| value.parse().ok());
        own.unwrap_or(self.inner.config.default_bind)
    }

    /// Forgets connections without an end (UDP, SCTP) that lead to, or past, the endpoints' ports.
    pub(crate) fn forget_flows(&self, endpoints: &[Endpoint]) {
        let flows: Vec<Flow> = endpoints
            .iter()
            .filter_map(|endpoint| Some((endpoint.ip?, endpoint)))
            .flat_map(|(ip, endpoint)| endpoint.ports.iter().map(move |port| (ip, port)))
            .filter(|(_, port)| port.protocol != Protocol::Tcp)
            .map(|(container, port)| Flow {
                protocol: port.protocol,
                host_port: port.host_port,
                container,
            })
            .collect();
        if flows.is_empty() {
            return;
        }
        if let Err(error) = self.firewall().forget(&flows) {
            tracing::warn!(%error, "can't forget connections to published ports");
        }
    }
}

/// The endpoint on this network, with an address but no ports yet.
fn place(
    state: &State,
    network: &NetworkRecord,
    request: &EndpointRequest,
) -> Result<Endpoint, Error> {
    let mut endpoint = Endpoint {
        id: random_id(),
        network_id: network.id.clone(),
        network_name: network.name.clone(),
        container_id: request.container_id.clone(),
        container_name: request.container_name.clone(),
        ip: None,
        prefix_len: 0,
        gateway: None,
        mac: None,
        ports: Vec::new(),
        aliases: request.aliases.clone(),
        host_interface: None,
        interface: None,
        state: EndpointState::Reserved,
    };
    if network.is_predefined() && request.ip.is_some() {
        return Err(Error::AddressOnDefault(network.name.clone()));
    }
    if network.driver != Driver::Bridge {
        return Ok(endpoint);
    }
    let taken: &BTreeSet<u32> = state.addresses(&network.id);
    let exhausted = || Error::AddressesExhausted {
        name: network.name.clone(),
        id: network.id.clone(),
    };
    let config = network.ipam.config.first().ok_or_else(exhausted)?;
    let ip = match request.ip {
        Some(ip) => {
            ipam::check_wish(config, taken, ip)?;
            ip
        }
        None => ipam::lowest_free(config, taken).ok_or_else(exhausted)?,
    };
    endpoint.ip = Some(ip);
    endpoint.prefix_len = config.subnet.map_or(0, |subnet| subnet.len());
    endpoint.gateway = network.gateway().filter(|_| !network.internal);
    endpoint.mac = Some(request.mac.unwrap_or_else(|| MacAddress::of(ip)));
    Ok(endpoint)
}

fn link_error<'a>(
    step: &'static str,
    device: &'a str,
) -> impl FnOnce(io::Error) -> Error + use<'a> {
    move |source| Error::Link {
        step,
        device: device.to_owned(),
        source,
    }
}

fn veth_step(message: usize) -> &'static str {
    if message == 0 {
        "create veth pair"
    } else {
        "bring up veth"
    }
}

fn configure_step(message: usize) -> &'static str {
    match message {
        0 => "find or bring up lo beside",
        1 => "bring up",
        2 => "give an address to",
        _ => "set the default route through",
    }
}
