//! The handle for everything about networks.

use std::os::fd::BorrowedFd;

use crate::{
    CreateNetwork, Endpoint, EndpointRequest, Error, IpamUsage, NetworkRecord, NetworksConfig,
    Reserved,
};

/// All networks and endpoints of one instance.
#[derive(Clone)]
pub struct Networks {}

impl Networks {
    /// Opens the instance's networks: makes the records of the default networks where they are missing, and the
    /// default bridge, the forwarding setting and the nftables table in the calling thread's network namespace.
    ///
    /// Call [`Networks::reconcile`] once it is known which containers run.
    ///
    /// # Errors
    /// When the settings contradict each other or the kernel refuses.
    pub fn open(config: NetworksConfig) -> Result<Self, Error> {
        let _ = config;
        todo!()
    }

    /// All networks, in order of creation.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn list(&self) -> Result<Vec<NetworkRecord>, Error> {
        todo!()
    }

    /// The network with this id, name or unique start of an id (in this order); `default` is `bridge`.
    ///
    /// # Errors
    /// [`Error::NetworkNotFound`], [`Error::Ambiguous`].
    pub fn get(&self, name: &str) -> Result<NetworkRecord, Error> {
        let _ = name;
        todo!()
    }

    /// Makes a user-defined network.
    ///
    /// # Errors
    /// Names and subnets that are taken or contradict each other; unknown drivers.
    pub fn create(&self, request: CreateNetwork) -> Result<NetworkRecord, Error> {
        let _ = request;
        todo!()
    }

    /// Removes a user-defined network that no endpoint is on, and returns what it was.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::RemovePredefined`].
    pub fn remove(&self, name: &str) -> Result<NetworkRecord, Error> {
        let _ = name;
        todo!()
    }

    /// How full the network's subnets are.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn usage(&self, network_id: &str) -> Result<Vec<IpamUsage>, Error> {
        let _ = network_id;
        todo!()
    }

    /// Takes an address and host ports for a container and journals them; nothing is made in the kernel yet but the
    /// sockets that hold the ports.
    ///
    /// # Errors
    /// Unknown network, taken or exhausted addresses, [`Error::External`] for ports. Nothing stays taken.
    pub fn reserve(&self, request: EndpointRequest) -> Result<Reserved, Error> {
        let _ = request;
        todo!()
    }

    /// Makes the endpoint's interface in the container's network namespace, with addresses and routes, brings `lo` up
    /// there, and opens the published ports. On `none` only `lo` is brought up; on `host` nothing is done.
    ///
    /// # Errors
    /// When the kernel refuses; the interface is gone again then, the reservation stays.
    pub fn attach(&self, endpoint_id: &str, netns: BorrowedFd<'_>) -> Result<Endpoint, Error> {
        let _ = (endpoint_id, netns);
        todo!()
    }

    /// [`Networks::attach`] to the network namespace of a process.
    ///
    /// # Errors
    /// As [`Networks::attach`]; [`Error::Namespace`] when the process is gone.
    pub fn attach_pid(&self, endpoint_id: &str, pid: u32) -> Result<Endpoint, Error> {
        let _ = (endpoint_id, pid);
        todo!()
    }

    /// Closes the endpoint's ports, removes its interface and frees its address. An endpoint that is already gone is
    /// no error. (The held sockets are the shim's to close.)
    ///
    /// # Errors
    /// When the records can't be written or the kernel refuses; can be repeated.
    pub fn release(&self, endpoint_id: &str) -> Result<(), Error> {
        let _ = endpoint_id;
        todo!()
    }

    /// Releases all endpoints of a container.
    ///
    /// # Errors
    /// As [`Networks::release`]; goes on after a failure and reports the first.
    pub fn release_container(&self, container_id: &str) -> Result<(), Error> {
        let _ = container_id;
        todo!()
    }

    /// The endpoint with this id.
    ///
    /// # Errors
    /// [`Error::EndpointNotFound`].
    pub fn endpoint(&self, endpoint_id: &str) -> Result<Endpoint, Error> {
        let _ = endpoint_id;
        todo!()
    }

    /// The endpoints of a container, in the order they were made.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn endpoints_of_container(&self, container_id: &str) -> Result<Vec<Endpoint>, Error> {
        let _ = container_id;
        todo!()
    }

    /// The endpoints on a network.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn endpoints_on_network(&self, network_id: &str) -> Result<Vec<Endpoint>, Error> {
        let _ = network_id;
        todo!()
    }

    /// Notes a container's new name in its endpoints.
    ///
    /// # Errors
    /// When the records can't be written.
    pub fn rename_container(&self, container_id: &str, name: &str) -> Result<(), Error> {
        let _ = (container_id, name);
        todo!()
    }

    /// Drops every endpoint whose container is not in `active` (full ids), devices of ours that no endpoint has, and
    /// renders the nftables table anew in one transaction; ports of running containers are never closed meanwhile.
    ///
    /// # Errors
    /// When the records can't be written or the kernel refuses.
    pub fn reconcile(&self, active: &[String]) -> Result<(), Error> {
        let _ = active;
        todo!()
    }

    /// Removes everything that this instance has in the kernel: bridges, veths, the nftables table. The records stay.
    /// For tests, and for an instance that is taken off a machine.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn tear_down(&self) -> Result<(), Error> {
        todo!()
    }
}
