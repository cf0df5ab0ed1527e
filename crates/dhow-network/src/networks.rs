//! The handle for everything about networks: opening, looking up, reconciling.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use dhow_metadata::Database;

use crate::host::{self, Bridge, Host};
use crate::ipam;
use crate::netlink::RouteSocket;
use crate::nft::{Firewall, Plan};
use crate::state::{Device, OPTION_MTU, State, port_plans};
use crate::sweeper::Sweeper;
use crate::watch::Watch;
use crate::{Driver, Endpoint, EndpointState, Error, IpamUsage, NetworkRecord, NetworksConfig};

/// All networks and endpoints of one instance.
#[derive(Clone)]
pub struct Networks {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: NetworksConfig,
    /// The nftables table's name.
    pub(crate) table: String,
    /// What the names of our veths begin with.
    pub(crate) veth_prefix: String,
    state: Mutex<State>,
    /// Locked while the table is changed, so that a change is never made from an older state than the one before it.
    firewall: Mutex<Firewall>,
    pub(crate) sweeper: Sweeper,
    /// Set once the networks are open.
    pub(crate) watch: OnceLock<Watch>,
}

impl Networks {
    /// Opens the instance's networks: makes the records of the default networks where they are missing, and the
    /// default bridge, the forwarding setting and the nftables table in the calling thread's network namespace.
    ///
    /// Endpoints that are on record count as attached until [`Networks::reconcile`] is told which containers run.
    ///
    /// # Errors
    /// When the settings contradict each other or the kernel refuses.
    pub fn open(config: NetworksConfig) -> Result<Self, Error> {
        let mut state = State::default();
        for (_, network) in config.db.list::<NetworkRecord>()? {
            state.put_network(network);
        }
        for (_, mut endpoint) in config.db.list::<Endpoint>()? {
            endpoint.state = EndpointState::Attached;
            state.put_endpoint(endpoint);
        }
        let inner = Inner {
            table: table_name(&config.instance),
            veth_prefix: veth_prefix(&config.instance),
            config,
            state: Mutex::new(state),
            firewall: Mutex::new(Firewall::open().map_err(Error::Netlink)?),
            sweeper: Sweeper::default(),
            watch: OnceLock::new(),
        };
        let networks = Self {
            inner: Arc::new(inner),
        };
        networks.ensure_defaults()?;
        networks.ensure_bridges()?;
        if networks.inner.config.ip_forward {
            host::enable_forwarding()?;
        }
        networks.notice_foreign_firewall();
        networks.replace_table()?;
        networks.watch().map_err(Error::Netlink)?;
        Ok(networks)
    }

    /// All networks, in order of creation.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn list(&self) -> Result<Vec<NetworkRecord>, Error> {
        let mut networks: Vec<_> = self.state().networks().cloned().collect();
        networks.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        Ok(networks)
    }

    /// The network with this id, name or unique start of an id (in this order); `default` is `bridge`.
    ///
    /// # Errors
    /// [`Error::NetworkNotFound`], [`Error::Ambiguous`].
    pub fn get(&self, name: &str) -> Result<NetworkRecord, Error> {
        self.state().network(name).cloned()
    }

    /// How full the network's subnets are.
    ///
    /// # Errors
    /// [`Error::NetworkNotFound`].
    pub fn usage(&self, network_id: &str) -> Result<Vec<IpamUsage>, Error> {
        let state = self.state();
        let network = state.network(network_id)?;
        let taken = state.addresses(&network.id);
        Ok(network
            .ipam
            .config
            .iter()
            .filter_map(|config| ipam::usage(config, taken))
            .collect())
    }

    /// The endpoint with this id.
    ///
    /// # Errors
    /// [`Error::EndpointNotFound`].
    pub fn endpoint(&self, endpoint_id: &str) -> Result<Endpoint, Error> {
        self.state().endpoint(endpoint_id).cloned()
    }

    /// The endpoints of a container, `eth0` first.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn endpoints_of_container(&self, container_id: &str) -> Result<Vec<Endpoint>, Error> {
        Ok(self
            .state()
            .of_container(container_id)
            .into_iter()
            .cloned()
            .collect())
    }

    /// The endpoints on a network, lowest address first.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn endpoints_on_network(&self, network_id: &str) -> Result<Vec<Endpoint>, Error> {
        Ok(self
            .state()
            .on_network(network_id)
            .into_iter()
            .cloned()
            .collect())
    }

    /// Notes a container's new name in its endpoints.
    ///
    /// # Errors
    /// When the records can't be written.
    pub fn rename_container(&self, container_id: &str, name: &str) -> Result<(), Error> {
        let mut state = self.state();
        let mut renamed: Vec<Endpoint> = state
            .of_container(container_id)
            .into_iter()
            .cloned()
            .collect();
        for endpoint in &mut renamed {
            name.clone_into(&mut endpoint.container_name);
        }
        self.db().write(|tx| {
            renamed
                .iter()
                .try_for_each(|endpoint| tx.put(&endpoint.id, endpoint))
        })?;
        for endpoint in renamed {
            state.put_endpoint(endpoint);
        }
        Ok(())
    }

    /// Drops every endpoint whose container is not in `active` (full ids), devices of ours that no endpoint has, and
    /// renders the nftables table anew in one transaction; ports of running containers are never closed meanwhile.
    ///
    /// # Errors
    /// When the records can't be written or the kernel refuses.
    pub fn reconcile(&self, active: &[String]) -> Result<(), Error> {
        let active: HashSet<&str> = active.iter().map(String::as_str).collect();
        let stale = {
            let mut state = self.state();
            let stale: Vec<Endpoint> = state
                .endpoints()
                .filter(|endpoint| !active.contains(endpoint.container_id.as_str()))
                .cloned()
                .collect();
            for endpoint in &stale {
                if let Some(endpoint) = state.endpoint_mut(&endpoint.id) {
                    endpoint.state = EndpointState::Reserved;
                }
            }
            stale
        };
        self.notice_foreign_firewall();
        self.replace_table()?;
        self.forget_flows(&stale);
        self.remove_stray_devices(&stale)?;
        self.db().write(|tx| {
            stale
                .iter()
                .try_for_each(|endpoint| tx.delete::<Endpoint>(&endpoint.id).map(drop))
        })?;
        let mut state = self.state();
        for endpoint in &stale {
            state.remove_endpoint(&endpoint.id);
        }
        Ok(())
    }

    /// Removes everything that this instance has in the kernel: bridges, veths, the nftables table. The records stay.
    /// For tests, and for an instance that is taken off a machine.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn tear_down(&self) -> Result<(), Error> {
        let mut socket = RouteSocket::open().map_err(Error::Netlink)?;
        let host = Host::look(&mut socket)?;
        for network in self.list()? {
            let Some(link) = network
                .device
                .as_deref()
                .and_then(|device| host.link(device))
            else {
                continue;
            };
            for port in host
                .ports(link.index)
                .filter(|port| port.name.starts_with(&self.inner.veth_prefix))
            {
                delete(&mut socket, &port.name)?;
            }
            if !network.foreign_device {
                delete(&mut socket, &link.name)?;
            }
        }
        let mut firewall = self.firewall();
        self.state().torn_down = true;
        let outcome = firewall.remove(&self.inner.table);
        drop(firewall);
        outcome.map_err(|source| self.firewall_error(source))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held can't have left it half-changed in a way that matters more than going on.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Locked before the state, never after it.
    pub(crate) fn firewall(&self) -> MutexGuard<'_, Firewall> {
        self.inner
            .firewall
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn db(&self) -> &Database {
        &self.inner.config.db
    }

    /// Makes the bridge devices of all networks.
    fn ensure_bridges(&self) -> Result<(), Error> {
        let mut socket = RouteSocket::open().map_err(Error::Netlink)?;
        let host = Host::look(&mut socket)?;
        let networks: Vec<_> = self
            .state()
            .networks()
            .filter(|n| n.driver == Driver::Bridge)
            .cloned()
            .collect();
        for network in networks {
            self.ensure_bridge(&network, &mut socket, &host)?;
        }
        Ok(())
    }

    /// Makes the bridge device of one network and notes its number.
    pub(crate) fn ensure_bridge(
        &self,
        network: &NetworkRecord,
        socket: &mut RouteSocket,
        host: &Host,
    ) -> Result<(), Error> {
        let (Some(device), Some(subnet), Some(gateway)) =
            (&network.device, network.subnet(), network.gateway())
        else {
            return Ok(());
        };
        let bridge = Bridge {
            device,
            gateway,
            prefix_len: subnet.len(),
            mtu: self.mtu(network, host),
            internal: network.internal,
        };
        let device = Device {
            index: bridge.ensure(socket, host)?,
            mtu: bridge.mtu,
        };
        self.state().devices.insert(network.id.clone(), device);
        Ok(())
    }

    /// The network's own MTU, the instance's, or the host's.
    pub(crate) fn mtu(&self, network: &NetworkRecord, host: &Host) -> u32 {
        let own = network
            .options
            .get(OPTION_MTU)
            .and_then(|value| value.parse().ok());
        own.or(self.inner.config.mtu).unwrap_or_else(|| host.mtu())
    }

    /// Finds out whether packets have to avoid the forward hook. Returns whether that has changed.
    pub(crate) fn notice_foreign_firewall(&self) -> bool {
        let detour = match self.firewall().forward_is_blocked(&self.inner.table) {
            Ok(blocked) => blocked,
            Err(error) => {
                tracing::warn!(%error, "can't see other nftables chains; assuming that none drops forwarded packets");
                false
            }
        };
        let mut state = self.state();
        let detour = detour && !state.no_detour;
        if detour && !state.detour {
            tracing::info!(
                "another firewall drops forwarded packets; containers' packets take a detour around it"
            );
        }
        std::mem::replace(&mut state.detour, detour) != detour
    }

    /// Whether our table is there.
    pub(crate) fn has_table(&self) -> bool {
        self.firewall().has(&self.inner.table).unwrap_or(true)
    }

    /// Renders the whole table anew.
    pub(crate) fn replace_table(&self) -> Result<(), Error> {
        let mut firewall = self.firewall();
        let mut plan = {
            let state = self.state();
            if state.torn_down {
                return Ok(());
            }
            state.plan(&self.inner.table)
        };
        let mut outcome = firewall.replace(&plan);
        if let (Err(error), true) = (&outcome, plan.detour) {
            tracing::warn!(%error, "this kernel can't take packets around the other firewall: it will drop them");
            let mut state = self.state();
            (state.detour, state.no_detour) = (false, true);
            drop(state);
            plan.detour = false;
            outcome = firewall.replace(&plan);
        }
        drop(firewall);
        outcome.map_err(|source| self.firewall_error(source))
    }

    /// Opens or closes one endpoint's ports; the table is rendered anew when it is not what it should be.
    pub(crate) fn change_ports(&self, endpoint: &Endpoint, open: bool) -> Result<(), Error> {
        if endpoint.ports.is_empty() {
            return Ok(());
        }
        let mut plan = Plan {
            table: self.inner.table.clone(),
            ..Plan::default()
        };
        plan.ports = port_plans(endpoint).collect();
        let outcome = self.firewall().change_ports(&plan, open);
        match outcome {
            Ok(()) => Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::AlreadyExists
                        | io::ErrorKind::ResourceBusy
                ) =>
            {
                self.replace_table()
            }
            Err(source) => Err(self.firewall_error(source)),
        }
    }

    fn firewall_error(&self, source: io::Error) -> Error {
        Error::Firewall {
            table: self.inner.table.clone(),
            source,
        }
    }

    /// Removes the devices of these endpoints and veths of ours that belong to no endpoint at all.
    fn remove_stray_devices(&self, stale: &[Endpoint]) -> Result<(), Error> {
        let mut socket = RouteSocket::open().map_err(Error::Netlink)?;
        let host = Host::look(&mut socket)?;
        let (known, bridges) = {
            let state = self.state();
            let known: HashSet<String> = state
                .endpoints()
                .filter_map(|e| e.host_interface.clone())
                .collect();
            (
                known,
                state
                    .devices
                    .values()
                    .map(|device| device.index)
                    .collect::<Vec<_>>(),
            )
        };
        let gone: HashSet<&str> = stale
            .iter()
            .filter_map(|endpoint| endpoint.host_interface.as_deref())
            .collect();
        for port in bridges.iter().flat_map(|bridge| host.ports(*bridge)) {
            let ours = port.name.starts_with(&self.inner.veth_prefix);
            if ours && (gone.contains(port.name.as_str()) || !known.contains(&port.name)) {
                delete(&mut socket, &port.name)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn delete(socket: &mut RouteSocket, device: &str) -> Result<(), Error> {
    let failed = |source| Error::Link {
        step: "remove device",
        device: device.to_owned(),
        source,
    };
    socket.delete(device).map_err(failed)
}

/// `dhow`, or `dhow-<instance>` with what nftables does not take in a name replaced.
fn table_name(instance: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let plain: String = instance.chars().map(plain).collect();
    if plain == "dhow" || plain.starts_with("dhow-") {
        plain
    } else {
        format!("dhow-{plain}")
    }
}

/// `dv` and five characters that differ from one instance to another, so that with eight of the endpoint's id the
/// whole fits into a device name's fifteen.
fn veth_prefix(instance: &str) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    // FNV-1a: the same in every release, which the standard library's hasher does not promise.
    let hash = instance.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let digit = |shift: u32| char::from(DIGITS[usize::try_from(hash >> shift & 31).unwrap_or(0)]);
    [
        "dv".to_owned(),
        [0, 5, 10, 15, 20].map(digit).iter().collect(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_have_names_of_their_own() {
        assert_eq!(table_name("dhow"), "dhow");
        assert_eq!(table_name("dhow-7f"), "dhow-7f");
        assert_eq!(table_name("ci/run 7"), "dhow-ci-run-7");
        let (a, b) = (veth_prefix("dhow"), veth_prefix("dhow-2"));
        assert_ne!(a, b);
        assert_eq!((a.len(), b.len()), (7, 7));
    }
}
