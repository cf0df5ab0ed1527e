//! What networks need of the host: bridge devices, kernel settings, and what is in use already.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::netlink::{Link, RouteSocket};
use crate::{Error, MacAddress, Prefix};

/// Docker's default.
const DEFAULT_MTU: u32 = 1500;

/// The host's devices, addresses and routes at one moment.
#[derive(Debug)]
pub(crate) struct Host {
    links: Vec<Link>,
    addresses: Vec<(u32, Prefix)>,
    routes: Vec<(Option<u32>, Prefix)>,
    default_link: Option<u32>,
}

impl Host {
    /// Looks at the calling thread's network namespace.
    pub(crate) fn look(socket: &mut RouteSocket) -> Result<Self, Error> {
        let links = socket.links().map_err(Error::Netlink)?;
        let addresses = socket.addresses().map_err(Error::Netlink)?;
        let routes = socket.routes().map_err(Error::Netlink)?;
        let default_link = routes
            .iter()
            .filter(|route| route.is_default())
            .min_by_key(|route| route.priority);
        Ok(Self {
            default_link: default_link.and_then(|route| route.link),
            addresses: addresses
                .iter()
                .map(|address| (address.link, address.prefix))
                .collect(),
            routes: routes
                .iter()
                .filter(|route| !route.is_default())
                .map(|route| (route.link, route.destination))
                .collect(),
            links,
        })
    }

    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The devices in a bridge.
    pub(crate) fn ports(&self, bridge: u32) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.master == bridge)
    }

    /// The addresses of a device.
    pub(crate) fn addresses_of(&self, name: &str) -> Vec<Prefix> {
        let index = self.link(name).map(|link| link.index);
        self.addresses
            .iter()
            .filter(|(link, _)| Some(*link) == index)
            .map(|(_, prefix)| *prefix)
            .collect()
    }

    /// What addresses and routes of devices other than `device` cover.
    pub(crate) fn occupied(&self, device: &str) -> Vec<Prefix> {
        let own = self.link(device).map(|link| link.index);
        let addresses = self
            .addresses
            .iter()
            .filter(|(link, _)| Some(*link) != own)
            .map(|(_, prefix)| *prefix);
        let routes = self
            .routes
            .iter()
            .filter(|(link, _)| own.is_none() || *link != own)
            .map(|(_, prefix)| *prefix);
        addresses.chain(routes).collect()
    }

    /// Docker's 1500, or less where the way out has less: not every path sends the errors that tell a container so.
    pub(crate) fn mtu(&self) -> u32 {
        let way_out = self
            .links
            .iter()
            .find(|link| Some(link.index) == self.default_link);
        way_out.map_or(DEFAULT_MTU, |link| link.mtu.clamp(576, DEFAULT_MTU))
    }
}

/// A bridge as it should be.
#[derive(Debug)]
pub(crate) struct Bridge<'a> {
    pub(crate) device: &'a str,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) prefix_len: u8,
    pub(crate) mtu: u32,
    pub(crate) internal: bool,
}

impl Bridge<'_> {
    /// Makes the bridge what it should be, new or not, and returns its device number.
    pub(crate) fn ensure(&self, socket: &mut RouteSocket, host: &Host) -> Result<u32, Error> {
        let failed = |step| {
            move |source| Error::Link {
                step,
                device: self.device.to_owned(),
                source,
            }
        };
        match host.link(self.device) {
            Some(link) if link.kind != "bridge" => {
                let reason = format!("the device exists and is no bridge (but {:?})", link.kind);
                return Err(Error::Bridge {
                    device: self.device.to_owned(),
                    reason,
                });
            }
            Some(_) => {}
            None => socket
                .add_bridge(self.device, MacAddress::of(self.gateway))
                .map_err(failed("create bridge"))?,
        }
        let link = socket.link(self.device).map_err(failed("look up bridge"))?;
        let link = link.ok_or_else(|| failed("look up bridge")(io::ErrorKind::NotFound.into()))?;
        let index = link.index;
        if link.mtu != self.mtu {
            // Not when it is made: a bridge follows its ports' MTU unless it was changed by hand.
            socket
                .set_mtu(self.device, self.mtu)
                .map_err(failed("set the MTU of bridge"))?;
        }
        socket
            .add_address(index, self.gateway, self.prefix_len)
            .map_err(failed("give an address to bridge"))?;
        // Packets from the host's 127.0.0.1 to published ports may leave through the bridge.
        let localnet = if self.internal { "0" } else { "1" };
        set(
            &format!("net/ipv4/conf/{}/route_localnet", self.device),
            localnet,
        )?;
        socket
            .set_up(self.device)
            .map_err(failed("bring up bridge"))?;
        Ok(index)
    }
}

/// Turns forwarding on where it is off.
pub(crate) fn enable_forwarding() -> Result<(), Error> {
    set("net/ipv4/ip_forward", "1")
}

/// Writes a setting under `/proc/sys` that does not have this value yet.
fn set(name: &str, value: &str) -> Result<(), Error> {
    let path = PathBuf::from("/proc/sys").join(name);
    let failed = |source| Error::Sysctl {
        path: path.display().to_string(),
        source,
    };
    if std::fs::read_to_string(&path).map_err(failed)?.trim() == value {
        return Ok(());
    }
    std::fs::write(&path, value).map_err(failed)
}
