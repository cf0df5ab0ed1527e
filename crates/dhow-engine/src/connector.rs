//! What the engine needs of networks: a small interface, so that the engine can be tested without privileges.
//!
//! All calls block for well under a millisecond.

use std::os::fd::OwnedFd;

use dhow_network::{
    CreateNetwork, Endpoint, EndpointRequest, Error, IpamUsage, NetworkRecord, Networks,
    PortBinding, PortRequest, Reserved,
};

/// The networks of an engine; see [`Networks`] for the contracts.
pub trait Connector: Send + Sync + 'static {
    /// All networks.
    ///
    /// # Errors
    /// The records can't be read.
    fn list(&self) -> Result<Vec<NetworkRecord>, Error>;
    /// The network of that name or id.
    ///
    /// # Errors
    /// There is none.
    fn get(&self, name: &str) -> Result<NetworkRecord, Error>;
    /// Makes a network.
    ///
    /// # Errors
    /// See [`Networks::create`].
    fn create(&self, request: CreateNetwork) -> Result<NetworkRecord, Error>;
    /// Removes a network.
    ///
    /// # Errors
    /// See [`Networks::remove`].
    fn remove(&self, name: &str) -> Result<NetworkRecord, Error>;
    /// The endpoints on a network, and how full its subnets are.
    ///
    /// # Errors
    /// The records can't be read.
    fn occupancy(&self, network_id: &str) -> Result<(Vec<Endpoint>, Vec<IpamUsage>), Error>;
    /// Takes an address and ports for a container.
    ///
    /// # Errors
    /// See [`Networks::reserve`].
    fn reserve(&self, request: EndpointRequest) -> Result<Reserved, Error>;
    /// Makes an endpoint's interface in a process's network namespace.
    ///
    /// # Errors
    /// See [`Networks::attach_pid`].
    fn attach(&self, endpoint_id: &str, pid: u32) -> Result<Endpoint, Error>;
    /// Takes further host ports for an endpoint.
    ///
    /// # Errors
    /// See [`Networks::take_ports`].
    fn take_ports(
        &self,
        endpoint_id: &str,
        requests: &[PortRequest],
        given_up: &[PortBinding],
    ) -> Result<(Vec<PortBinding>, Vec<OwnedFd>), Error>;
    /// Publishes these ports of an endpoint, and no others.
    ///
    /// # Errors
    /// See [`Networks::publish`].
    fn publish(&self, endpoint_id: &str, ports: Vec<PortBinding>) -> Result<Endpoint, Error>;
    /// Gives endpoints back: one of them, or all of the container's when none is named.
    ///
    /// # Errors
    /// See [`Networks::release`].
    fn release(&self, container_id: &str, endpoint_id: Option<&str>) -> Result<(), Error>;
    /// Notes a container's new name.
    ///
    /// # Errors
    /// The records can't be written.
    fn rename(&self, container_id: &str, name: &str) -> Result<(), Error>;
    /// Drops everything of containers that are not in `active`.
    ///
    /// # Errors
    /// See [`Networks::reconcile`].
    fn reconcile(&self, active: &[String]) -> Result<(), Error>;
}

impl Connector for Networks {
    fn list(&self) -> Result<Vec<NetworkRecord>, Error> {
        self.list()
    }

    fn get(&self, name: &str) -> Result<NetworkRecord, Error> {
        self.get(name)
    }

    fn create(&self, request: CreateNetwork) -> Result<NetworkRecord, Error> {
        self.create(request)
    }

    fn remove(&self, name: &str) -> Result<NetworkRecord, Error> {
        self.remove(name)
    }

    fn occupancy(&self, network_id: &str) -> Result<(Vec<Endpoint>, Vec<IpamUsage>), Error> {
        Ok((
            self.endpoints_on_network(network_id)?,
            self.usage(network_id)?,
        ))
    }

    fn reserve(&self, request: EndpointRequest) -> Result<Reserved, Error> {
        self.reserve(request)
    }

    fn attach(&self, endpoint_id: &str, pid: u32) -> Result<Endpoint, Error> {
        self.attach_pid(endpoint_id, pid)
    }

    fn take_ports(
        &self,
        endpoint_id: &str,
        requests: &[PortRequest],
        given_up: &[PortBinding],
    ) -> Result<(Vec<PortBinding>, Vec<OwnedFd>), Error> {
        self.take_ports(endpoint_id, requests, given_up)
    }

    fn publish(&self, endpoint_id: &str, ports: Vec<PortBinding>) -> Result<Endpoint, Error> {
        self.publish(endpoint_id, ports)
    }

    fn release(&self, container_id: &str, endpoint_id: Option<&str>) -> Result<(), Error> {
        match endpoint_id {
            Some(endpoint) => self.release(endpoint),
            None => self.release_container(container_id),
        }
    }

    fn rename(&self, container_id: &str, name: &str) -> Result<(), Error> {
        self.rename_container(container_id, name)
    }

    fn reconcile(&self, active: &[String]) -> Result<(), Error> {
        self.reconcile(active)
    }
}
