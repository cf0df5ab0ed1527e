//! Networks: the network layer, with events told and containers connected.

use std::sync::Arc;

use dhow_network::{CreateNetwork, Endpoint, IpamUsage, NetworkRecord};

use crate::Result;
use crate::filters::Filters;
use crate::services::Services;
use crate::spec::EndpointSettings;

/// A network, inspected.
#[derive(Debug, Clone)]
pub struct NetworkDetails {
    /// The record.
    pub record: NetworkRecord,
    /// The endpoints of running containers on it.
    pub endpoints: Vec<Endpoint>,
    /// How full its subnets are.
    pub usage: Vec<IpamUsage>,
}

/// Networks, each named by its name, its id or the beginning of its id.
#[derive(Debug, Clone)]
pub struct Networks {
    pub(crate) services: Arc<Services>,
}

impl Networks {
    /// The networks that pass the filters (`dangling`, `driver`, `id`, `label`, `name`, `scope`, `type`).
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn list(&self, filters: &Filters) -> Result<Vec<NetworkRecord>> {
        todo!()
    }

    /// Everything about a network.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn inspect(&self, name: &str) -> Result<NetworkDetails> {
        todo!()
    }

    /// Makes a network.
    ///
    /// # Errors
    /// The name or a subnet is taken, or the request is wrong.
    pub async fn create(&self, request: CreateNetwork) -> Result<NetworkRecord> {
        todo!()
    }

    /// Removes a network.
    ///
    /// # Errors
    /// It does not exist, is predefined, or has endpoints.
    pub async fn remove(&self, name: &str) -> Result<()> {
        todo!()
    }

    /// Connects a container to a network.
    ///
    /// # Errors
    /// Either does not exist, or they are connected already.
    pub async fn connect(&self, name: &str, container: &str, wish: EndpointSettings) -> Result<()> {
        todo!()
    }

    /// Disconnects a container from a network.
    ///
    /// # Errors
    /// Either does not exist, or they are not connected.
    pub async fn disconnect(&self, name: &str, container: &str, force: bool) -> Result<()> {
        todo!()
    }

    /// Removes the networks no container uses (filters: `label`, `label!`, `until`) and gives their names.
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Vec<String>> {
        todo!()
    }
}
