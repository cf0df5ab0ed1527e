//! Networks: the network layer, with events told and containers connected.

use std::collections::HashSet;
use std::sync::Arc;

use dhow_network::{CreateNetwork, Endpoint, IpamUsage, NetworkRecord};
use jiff::Timestamp;

use crate::events::EventKind;
use crate::filters::{Filters, Patterns};
use crate::services::{Services, blocking};
use crate::{Error, Result, lifecycle};
use dhow_container::spec::{EndpointSettings, Invalid};

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
        filters.check(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
        for kind in filters.get("type") {
            if !matches!(kind.as_str(), "custom" | "builtin") {
                return Err(Error::Refused(format!("invalid filter: 'type'='{kind}'")));
            }
        }
        let dangling = filters
            .contains("dangling")
            .then(|| filters.flag("dangling", false))
            .transpose()
            .map_err(|_| {
                Invalid::new(
                    "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")",
                )
            })?;
        let services = self.services.clone();
        let networks = blocking(move || services.networks.list()).await?;
        let used = self.used();
        let (ids, names) = (Patterns::new(filters, "id"), Patterns::new(filters, "name"));
        let accepts = |network: &NetworkRecord| {
            let kind = if network.is_predefined() {
                "builtin"
            } else {
                "custom"
            };
            let is_used = network.is_predefined() || used.contains(&network.name);
            filters.exact("driver", network.driver.as_str())
                && ids.fit(&network.id)
                && names.fit(&network.name)
                && filters.labels("label", &network.labels)
                && filters.exact("scope", "local")
                && filters.exact("type", kind)
                && dangling.is_none_or(|dangling| dangling != is_used)
        };
        Ok(networks.into_iter().filter(accepts).collect())
    }

    /// The names of the networks that running containers are on.
    fn used(&self) -> HashSet<String> {
        let containers = self.services.containers.all();
        containers
            .iter()
            .map(|container| container.outline())
            .filter(|outline| outline.state.status.has_process())
            .flat_map(|outline| outline.networks.keys().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// Everything about a network.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn inspect(&self, name: &str) -> Result<NetworkDetails> {
        let (services, name) = (self.services.clone(), name.to_owned());
        blocking(move || {
            let record = services.networks.get(&name)?;
            let (endpoints, usage) = services.networks.occupancy(&record.id)?;
            Ok::<_, Error>(NetworkDetails {
                record,
                endpoints,
                usage,
            })
        })
        .await
    }

    /// Makes a network.
    ///
    /// # Errors
    /// The name or a subnet is taken, or the request is wrong.
    pub async fn create(&self, request: CreateNetwork) -> Result<NetworkRecord> {
        let services = self.services.clone();
        let network = blocking(move || services.networks.create(request)).await?;
        self.tell(&network, "create");
        Ok(network)
    }

    /// Removes a network.
    ///
    /// # Errors
    /// It does not exist, is predefined, or has endpoints.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let (services, name) = (self.services.clone(), name.to_owned());
        let network = blocking(move || services.networks.remove(&name)).await?;
        self.tell(&network, "destroy");
        Ok(())
    }

    /// Connects a container to a network.
    ///
    /// # Errors
    /// Either does not exist, or they are connected already.
    pub async fn connect(&self, name: &str, container: &str, wish: EndpointSettings) -> Result<()> {
        let container = self.services.find(container)?;
        let _guard = container.lifecycle.lock().await;
        let (services, name) = (self.services.clone(), name.to_owned());
        let connected = container.clone();
        let network =
            blocking(move || lifecycle::network::connect(&services, &connected, &name, wish))
                .await?;
        if !container.record().state.status.has_process() {
            self.tell_container(&network, &container.id, "connect");
        }
        Ok(())
    }

    /// Disconnects a container from a network.
    ///
    /// # Errors
    /// Either does not exist, or they are not connected.
    pub async fn disconnect(&self, name: &str, container: &str, force: bool) -> Result<()> {
        let container = match self.services.find(container) {
            // With `force`, Docker looks for an endpoint of a container that is gone; here there never is one.
            Err(Error::NoSuchContainer(_)) if force => {
                self.services.networks.get(name).map_err(Error::Network)?;
                let none = dhow_network::Error::EndpointNotFound(container.to_owned());
                return Err(Error::Network(none));
            }
            found => found?,
        };
        let _guard = container.lifecycle.lock().await;
        let (services, name) = (self.services.clone(), name.to_owned());
        let connected = container.clone();
        let network =
            blocking(move || lifecycle::network::disconnect(&services, &connected, &name)).await?;
        self.tell_container(&network, &container.id, "disconnect");
        Ok(())
    }

    /// Removes the networks no container uses (filters: `label`, `label!`, `until`) and gives their names.
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Vec<String>> {
        filters.check(&["label", "label!", "until"])?;
        let until = filters.time("until", Timestamp::now())?;
        let used = self.used();
        let services = self.services.clone();
        let mut removed = Vec::new();
        for network in blocking(move || services.networks.list()).await? {
            let chosen = !network.is_predefined()
                && !used.contains(&network.name)
                && until.is_none_or(|until| network.created < until)
                && filters.labels("label", &network.labels)
                && !filters.any_label("label!", &network.labels);
            if chosen && self.remove(&network.id).await.is_ok() {
                removed.push(network.name);
            }
        }
        self.services
            .tell_other(EventKind::Network, "prune", "", &[("reclaimed", "0")]);
        Ok(removed)
    }

    fn tell(&self, network: &NetworkRecord, action: &str) {
        let attributes = [
            ("name", network.name.as_str()),
            ("type", network.driver.as_str()),
        ];
        self.services
            .tell_other(EventKind::Network, action, &network.id, &attributes);
    }

    fn tell_container(&self, network: &NetworkRecord, container: &str, action: &str) {
        let attributes = [
            ("container", container),
            ("name", network.name.as_str()),
            ("type", network.driver.as_str()),
        ];
        self.services
            .tell_other(EventKind::Network, action, &network.id, &attributes);
    }
}
