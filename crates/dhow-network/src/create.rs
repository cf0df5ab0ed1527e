//! Making and removing networks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use dhow_golang::parse_bool;
use jiff::Timestamp;

use crate::host::Host;
use crate::ipam;
use crate::netlink::RouteSocket;
use crate::networks::{Networks, delete};
use crate::record::is_predefined;
use crate::state::{
    OPTION_BINDING, OPTION_DEFAULT, OPTION_ICC, OPTION_MASQUERADE, OPTION_MTU, OPTION_NAME,
};
use crate::{
    AddressPool, CreateNetwork, Driver, Error, Ipam, IpamConfig, NetworkRecord, NetworksConfig,
    Prefix,
};

impl Networks {
    /// Makes a user-defined network.
    ///
    /// # Errors
    /// Names and subnets that are taken or contradict each other; unknown drivers.
    pub fn create(&self, request: CreateNetwork) -> Result<NetworkRecord, Error> {
        validate(&request)?;
        let mut socket = RouteSocket::open().map_err(Error::Netlink)?;
        let host = Host::look(&mut socket)?;
        let network = {
            let mut state = self.state();
            if state.networks().any(|network| network.name == request.name) {
                return Err(Error::NameTaken(request.name));
            }
            let id = random_id();
            let device = device_for(&request, &id);
            let others: Vec<Prefix> = state.networks().filter_map(NetworkRecord::subnet).collect();
            let ipam = self.complete_ipam(&request.ipam, &others, &host, &device)?;
            let network = NetworkRecord {
                created: Timestamp::now(),
                scope: "local".to_owned(),
                driver: Driver::Bridge,
                enable_ipv4: true,
                enable_ipv6: false,
                ipam,
                internal: request.internal,
                attachable: request.attachable,
                options: request.options,
                labels: request.labels,
                foreign_device: host.link(&device).is_some(),
                device: Some(device),
                name: request.name,
                id,
            };
            // Before anything is in the kernel: what dies half-way is finished by the next start.
            self.db().put(&network.id, &network)?;
            state.put_network(network.clone());
            network
        };
        let made = self
            .ensure_bridge(&network, &mut socket, &host)
            .and_then(|()| self.replace_table());
        if let Err(error) = made {
            self.discard(&network, &mut socket);
            return Err(error);
        }
        Ok(network)
    }

    /// Removes a user-defined network that no endpoint is on, and returns what it was.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::RemovePredefined`].
    pub fn remove(&self, name: &str) -> Result<NetworkRecord, Error> {
        let network = {
            let mut state = self.state();
            let network = state.network(name)?.clone();
            if network.is_predefined() {
                return Err(Error::RemovePredefined(network.name));
            }
            let endpoints =
                state
                    .on_network(&network.id)
                    .iter()
                    .fold(String::new(), |mut text, endpoint| {
                        let comma = if text.is_empty() { "" } else { ", " };
                        let short = endpoint.id.get(..12).unwrap_or(&endpoint.id);
                        let _ = write!(
                            text,
                            "{comma}name:{:?} id:{short:?}",
                            endpoint.container_name
                        );
                        text
                    });
            if !endpoints.is_empty() {
                return Err(Error::InUse {
                    name: network.name,
                    endpoints,
                });
            }
            self.db().delete::<NetworkRecord>(&network.id)?;
            state.remove_network(&network.id);
            network
        };
        self.replace_table()?;
        if let Some(device) = network
            .device
            .as_deref()
            .filter(|_| !network.foreign_device)
        {
            delete(&mut RouteSocket::open().map_err(Error::Netlink)?, device)?;
        }
        Ok(network)
    }

    /// Makes the records of `bridge`, `host` and `none` where they are missing or the settings say otherwise.
    pub(crate) fn ensure_defaults(&self) -> Result<(), Error> {
        let config = &self.inner.config;
        for (name, driver) in [("none", Driver::Null), ("host", Driver::Host)] {
            if self.get(name).is_err() {
                self.record(fixed_network(name, driver))?;
            }
        }
        if !config.default_bridge {
            if let Ok(old) = self.get("bridge") {
                self.db().delete::<NetworkRecord>(&old.id)?;
                self.state().remove_network(&old.id);
            }
            return Ok(());
        }
        let mut socket = RouteSocket::open().map_err(Error::Netlink)?;
        let host = Host::look(&mut socket)?;
        let old = self.get("bridge").ok();
        let mut network = old
            .clone()
            .unwrap_or_else(|| fixed_network("bridge", Driver::Bridge));
        network.device = Some(config.bridge_name.clone());
        let ipam = self.default_ipam(&network, &host)?;
        network.ipam = Ipam {
            config: vec![ipam],
            ..Ipam::default()
        };
        network.options = default_options(config, config.mtu.unwrap_or_else(|| host.mtu()));
        if old.as_ref() != Some(&network) {
            if let Some(old) = &old {
                leave_address(&mut socket, &host, old, &network)?;
            }
            self.record(network)?;
        }
        Ok(())
    }

    fn record(&self, network: NetworkRecord) -> Result<(), Error> {
        self.db().put(&network.id, &network)?;
        self.state().put_network(network);
        Ok(())
    }

    /// The default bridge's subnet: what `--bip` says, else what it had, else what its device has, else a free one.
    fn default_ipam(&self, network: &NetworkRecord, host: &Host) -> Result<IpamConfig, Error> {
        let config = &self.inner.config;
        let (others, used) = {
            let state = self.state();
            let others = state
                .networks()
                .filter(|other| other.id != network.id)
                .filter_map(NetworkRecord::subnet);
            (
                others.collect::<Vec<_>>(),
                !state.on_network(&network.id).is_empty(),
            )
        };
        let occupied = [others, host.occupied(&config.bridge_name)].concat();
        let is_free = |subnet: &Prefix| !occupied.iter().any(|other| other.overlaps(subnet));
        let recorded = network.ipam.config.first().cloned();
        let recorded =
            recorded.filter(|config| config.subnet.is_some_and(|subnet| used || is_free(&subnet)));
        let adopted = host.addresses_of(&config.bridge_name).first().copied();
        let (subnet, gateway) = match (config.bip, recorded, adopted) {
            (Some(bip), _, _) => (bip, Some(bip.addr())),
            (None, Some(recorded), _) => {
                (recorded.subnet.expect("filtered above"), recorded.gateway)
            }
            (None, None, Some(adopted)) => (adopted, Some(adopted.addr())),
            (None, None, None) => {
                let subnet =
                    ipam::choose_subnet(&self.pools(), &occupied).ok_or(Error::PoolsExhausted)?;
                (subnet, None)
            }
        };
        let wish = IpamConfig {
            ip_range: config.fixed_cidr,
            gateway,
            ..IpamConfig::default()
        };
        let complete = ipam::complete(&wish, subnet);
        complete.map_err(|error| match (config.bip, config.fixed_cidr) {
            (Some(value), None) => setting("--bip", value, &error),
            (_, Some(value)) => setting("--fixed-cidr", value, &error),
            _ => error,
        })
    }

    fn pools(&self) -> Vec<AddressPool> {
        let pools = &self.inner.config.address_pools;
        if pools.is_empty() {
            ipam::default_pools()
        } else {
            pools.clone()
        }
    }

    /// Chooses what a request for a network leaves open.
    fn complete_ipam(
        &self,
        wish: &Ipam,
        others: &[Prefix],
        host: &Host,
        device: &str,
    ) -> Result<Ipam, Error> {
        let mut configs = wish.config.iter();
        let config = configs.next().cloned().unwrap_or_default();
        if configs.next().is_some() {
            return Err(Error::InvalidIpam(
                "only one IPv4 subnet for a bridge network".to_owned(),
            ));
        }
        let subnet = match config.subnet {
            Some(subnet) if others.iter().any(|other| other.overlaps(&subnet)) => {
                return Err(Error::Overlap);
            }
            Some(subnet) => subnet,
            None if config.gateway.is_some() || config.ip_range.is_some() => {
                return Err(Error::InvalidIpam(
                    "a gateway or an ip-range needs a subnet".to_owned(),
                ));
            }
            None => {
                let occupied = [others.to_vec(), host.occupied(device)].concat();
                ipam::choose_subnet(&self.pools(), &occupied).ok_or(Error::PoolsExhausted)?
            }
        };
        let config = ipam::complete(&config, subnet)?;
        Ok(Ipam {
            driver: wish.driver.clone(),
            options: wish.options.clone(),
            config: vec![config],
        })
    }

    /// Undoes a creation that failed.
    fn discard(&self, network: &NetworkRecord, socket: &mut RouteSocket) {
        self.state().remove_network(&network.id);
        let device = network
            .device
            .as_deref()
            .filter(|_| !network.foreign_device);
        let outcomes = [
            device.map_or(Ok(()), |device| delete(socket, device)),
            self.db()
                .delete::<NetworkRecord>(&network.id)
                .map(drop)
                .map_err(Error::from),
            self.replace_table(),
        ];
        for error in outcomes.into_iter().filter_map(Result::err) {
            tracing::warn!(network = network.name, error = %dhow_errdefs::chain(&error), "undoing a network");
        }
    }
}

/// Takes the address that a network had, and has no more, from its device.
fn leave_address(
    socket: &mut RouteSocket,
    host: &Host,
    old: &NetworkRecord,
    new: &NetworkRecord,
) -> Result<(), Error> {
    let (Some(device), Some(gateway), Some(subnet)) = (&old.device, old.gateway(), old.subnet())
    else {
        return Ok(());
    };
    let Some(link) = host
        .link(device)
        .filter(|_| (Some(gateway), Some(subnet)) != (new.gateway(), new.subnet()))
    else {
        return Ok(());
    };
    let failed = |source| Error::Link {
        step: "take an address from",
        device: device.clone(),
        source,
    };
    socket
        .remove_address(link.index, gateway, subnet.len())
        .map_err(failed)
}

fn setting(setting: &'static str, value: Prefix, error: &Error) -> Error {
    Error::Setting {
        setting,
        value,
        reason: error.to_string(),
    }
}

/// What can be said of a request without looking at anything else.
fn validate(request: &CreateNetwork) -> Result<(), Error> {
    let name = request.name.as_str();
    if is_predefined(name) {
        return Err(Error::CreatePredefined(name.to_owned()));
    }
    if name.trim().is_empty() || name.starts_with('/') || name.chars().any(char::is_control) {
        return Err(Error::InvalidName(name.to_owned()));
    }
    match request.driver.as_str() {
        "" | "bridge" | "default" => {}
        "host" | "null" => return Err(Error::SingleInstance(request.driver.clone())),
        other => return Err(Error::NoDriver(other.to_owned())),
    }
    if request.enable_ipv6 {
        return Err(Error::Ipv6Unsupported);
    }
    request
        .options
        .iter()
        .try_for_each(|(key, value)| validate_option(key, value))
}

fn validate_option(key: &str, value: &str) -> Result<(), Error> {
    let go = |function: &str| format!("strconv.{function}: parsing {value:?}: invalid syntax");
    let (valid, reason) = match key {
        OPTION_MTU => (
            value
                .parse()
                .is_ok_and(|mtu: u32| (68..=65535).contains(&mtu)),
            go("Atoi"),
        ),
        OPTION_ICC | OPTION_MASQUERADE => (parse_bool(value).is_ok(), go("ParseBool")),
        OPTION_NAME => {
            let fits = (1..16).contains(&value.len()) && !matches!(value, "." | "..");
            let plain = value
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':');
            (fits && plain, "invalid interface name".to_owned())
        }
        OPTION_BINDING => (
            value.parse::<Ipv4Addr>().is_ok(),
            "invalid IPv4 address".to_owned(),
        ),
        _ => return Ok(()),
    };
    let (key, value) = (key.to_owned(), value.to_owned());
    if valid {
        Ok(())
    } else {
        Err(Error::InvalidOption { key, value, reason })
    }
}

/// The bridge device of a new network: the one asked for, or Docker's `br-` and twelve digits of the id.
fn device_for(request: &CreateNetwork, id: &str) -> String {
    request
        .options
        .get(OPTION_NAME)
        .cloned()
        .unwrap_or_else(|| format!("br-{}", &id[..12]))
}

fn fixed_network(name: &str, driver: Driver) -> NetworkRecord {
    NetworkRecord {
        id: random_id(),
        name: name.to_owned(),
        created: Timestamp::now(),
        scope: "local".to_owned(),
        driver,
        enable_ipv4: true,
        enable_ipv6: false,
        ipam: Ipam::default(),
        internal: false,
        attachable: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        device: None,
        foreign_device: false,
    }
}

fn default_options(config: &NetworksConfig, mtu: u32) -> BTreeMap<String, String> {
    let text = |value: bool| value.to_string();
    BTreeMap::from([
        (OPTION_DEFAULT.to_owned(), text(true)),
        (OPTION_ICC.to_owned(), text(config.icc)),
        (OPTION_MASQUERADE.to_owned(), text(config.ip_masq)),
        (OPTION_BINDING.to_owned(), config.default_bind.to_string()),
        (OPTION_NAME.to_owned(), config.bridge_name.clone()),
        (OPTION_MTU.to_owned(), mtu.to_string()),
    ])
}

/// 64 hex digits.
pub(crate) fn random_id() -> String {
    let mut bytes = [0_u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        // Only an interrupted call gives less than was asked for; early boot is long over.
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
                .unwrap_or(0);
    }
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
