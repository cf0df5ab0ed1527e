//! Changing the published ports of an endpoint while its container runs.

use std::os::fd::OwnedFd;

use crate::networks::Networks;
use crate::ports::{self, Taken};
use crate::{Endpoint, EndpointState, Error, PortBinding, PortRequest};

impl Networks {
    /// Takes further host ports for an endpoint: chosen as by [`Networks::reserve`], and held by the sockets that are
    /// given back; one at the place of a port in `given_up` needs none, as it has one. Nothing is published or written
    /// yet.
    ///
    /// # Errors
    /// Unknown endpoint; [`Error::External`] when a port can't be had, and then none is taken.
    pub fn take_ports(
        &self,
        endpoint_id: &str,
        requests: &[PortRequest],
        given_up: &[PortBinding],
    ) -> Result<(Vec<PortBinding>, Vec<OwnedFd>), Error> {
        let mut state = self.state();
        let endpoint = state.endpoint(endpoint_id)?.clone();
        let network = state.network(&endpoint.network_id)?;
        let default_bind = self.default_bind(network);
        let mut others = state.ports();
        others.retain(|port| !given_up.contains(port));
        let taken = Taken {
            ports: &others,
            given_up,
        };
        let next = &mut state.next_port;
        ports::reserve(requests, default_bind, endpoint.ip, &taken, next).map_err(|source| {
            Error::External {
                endpoint: endpoint.container_name,
                id: endpoint.id,
                source,
            }
        })
    }

    /// Publishes exactly these ports of an endpoint. Connections through ports that are no longer among them go on, but
    /// those of protocols without connections.
    ///
    /// # Errors
    /// Unknown endpoint, or the kernel or the database refuses: then everything is as it was.
    pub fn publish(&self, endpoint_id: &str, ports: Vec<PortBinding>) -> Result<Endpoint, Error> {
        let (before, after) = {
            let mut state = self.state();
            let endpoint = state
                .endpoint_mut(endpoint_id)
                .ok_or_else(|| Error::EndpointNotFound(endpoint_id.to_owned()))?;
            let before = endpoint.clone();
            // From here on, a table rendered by someone else has them.
            endpoint.ports = ports;
            (before, endpoint.clone())
        };
        let changed = self.exchange(&before, &after).and_then(|()| {
            self.db().put(&after.id, &after)?;
            Ok(())
        });
        if let Err(error) = changed {
            if let Some(endpoint) = self.state().endpoint_mut(endpoint_id) {
                endpoint.ports = before.ports;
            }
            if let Err(error) = self.replace_table() {
                tracing::warn!(error = %dhow_errdefs::chain(&error), "undoing a change of ports");
            }
            return Err(error);
        }
        Ok(after)
    }

    /// Closes the ports that are only in `before` and opens those that are only in `after`.
    fn exchange(&self, before: &Endpoint, after: &Endpoint) -> Result<(), Error> {
        if after.state != EndpointState::Attached {
            return Ok(());
        }
        let closed = without(before, &after.ports);
        let opened = without(after, &before.ports);
        self.change_ports(&closed, false)?;
        self.change_ports(&opened, true)?;
        self.forget_flows(&[closed, opened]);
        Ok(())
    }
}

/// The endpoint with those of its ports that are not among `others`.
fn without(endpoint: &Endpoint, others: &[PortBinding]) -> Endpoint {
    let mut rest = endpoint.clone();
    rest.ports.retain(|port| !others.contains(port));
    rest
}
