//! The files that networking puts into a container: `/etc/resolv.conf` and `/etc/hosts`. Pure text.

use std::net::IpAddr;

/// What `--dns`, `--dns-search` and `--dns-opt` (or the daemon's defaults) say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvOptions {
    /// Name servers; the host's when empty.
    pub servers: Vec<IpAddr>,
    /// Search domains; the host's when empty. A single `.` means none at all.
    pub search: Vec<String>,
    /// Resolver options; the host's when empty.
    pub options: Vec<String>,
}

/// A line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsEntry {
    /// The address.
    pub ip: IpAddr,
    /// Its names, the canonical one first.
    pub names: Vec<String>,
}

/// The container's `/etc/resolv.conf`, from the host's and what was asked for.
#[must_use]
pub fn resolv_conf(host: &str, wish: &ResolvOptions) -> String {
    let _ = (host, wish);
    todo!()
}

/// The container's `/etc/hosts`: Docker's fixed lines, then `entries` (`--add-host` first, the container itself last).
#[must_use]
pub fn hosts_file(entries: &[HostsEntry]) -> String {
    let _ = entries;
    todo!()
}
