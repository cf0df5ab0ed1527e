//! Networks, endpoints, IPAM, published ports and the nftables ruleset.
//!
//! Terms: a *network* is what `docker network ls` shows, with a driver (`bridge`, `host` or `null`); an *endpoint* is
//! a container's place on a network: address, MAC, veth pair and published ports.
//!
//! Life of an endpoint: [`Networks::reserve`] picks address and ports, binds the host's ports (so that nobody else
//! gets them) and journals it all; the sockets it returns are held by the container's shim. When the container's
//! network namespace is there, [`Networks::attach`] makes the interface in it and opens the ports.
//! [`Networks::release`] undoes both. Every step is in the database before it is in the kernel, so a daemon that died
//! in between finds and undoes it in [`Networks::reconcile`].
//!
//! All calls block (for well under a millisecond, save [`Networks::open`] and [`Networks::reconcile`]).

mod config;
mod create;
mod endpoints;
mod error;
mod files;
mod host;
mod ipam;
mod mac;
mod netlink;
mod networks;
mod nft;
mod ports;
mod prefix;
mod publish;
mod record;
mod state;
mod sweeper;
mod watch;

pub use config::{AddressPool, CreateNetwork, NetworksConfig};
pub use error::{Error, PortError, SystemText};
pub use files::{HostsEntry, ResolvOptions, hosts_file, resolv_conf};
pub use mac::MacAddress;
pub use networks::Networks;
pub use prefix::{Prefix, PrefixError};
pub use record::{
    Driver, Endpoint, EndpointRequest, EndpointState, HostPorts, Ipam, IpamConfig, IpamUsage,
    NetworkRecord, PortBinding, PortRequest, Protocol, Reserved,
};
