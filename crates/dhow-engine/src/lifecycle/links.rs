//! Links (`--link`): what a container is told of others on the default bridge, in its environment and its `hosts`.

use std::collections::HashMap;
use std::net::IpAddr;

use dhow_network::HostsEntry;

use super::report;
use crate::container::ContainerRecord;
use crate::services::Services;
use crate::{Error, Result};
use dhow_container::Link;
use dhow_container::oci::links::{self, Linked};
use dhow_container::spec::{HostConfig, Invalid, NetworkMode};

/// The links that a request asks for.
///
/// # Errors
/// A container is not there, or has no address that could be told; the texts are Docker's.
pub(super) fn resolve(services: &Services, host: &HostConfig) -> Result<Vec<Link>> {
    let mut list: Vec<Link> = Vec::new();
    for text in &host.links {
        let (name, alias) = split(text)?;
        let gone = |error: Error| Invalid(format!("could not get container for {name}: {error}"));
        let other = services.find(name).map_err(gone)?.record();
        if other.host.network_mode == NetworkMode::Host {
            return Err(conflict("host type networking").into());
        }
        let alias = alias.unwrap_or(&other.name).trim_start_matches('/');
        // Of two of one name the last one counts.
        list.retain(|link| link.alias != alias);
        list.push(Link {
            container: other.id.clone(),
            alias: alias.to_owned(),
        });
    }
    Ok(list)
}

/// `name[:alias]`; also as an inspection shows it, `/name:/parent/alias`.
fn split(text: &str) -> Result<(&str, Option<&str>)> {
    let parts: Vec<&str> = text.split(':').collect();
    match *parts.as_slice() {
        [name] => Ok((name.trim_start_matches('/'), None)),
        [name, alias] if !alias.is_empty() => {
            let alias = alias.rsplit('/').next().unwrap_or(alias);
            Ok((name.trim_start_matches('/'), Some(alias)))
        }
        [name, _] => Ok((name.trim_start_matches('/'), None)),
        _ => Err(Invalid(format!("bad format for links: {text}")).into()),
    }
}

fn conflict(what: &str) -> Invalid {
    Invalid(format!(
        "conflicting options: {what} can't be used with links. This would result in undefined behavior"
    ))
}

/// The variables that tell of the linked containers; only on the default bridge, as in Docker.
///
/// # Errors
/// One of them does not run.
pub(crate) fn environment(services: &Services, record: &ContainerRecord) -> Result<Vec<String>> {
    let mut list = Vec::new();
    for (link, other) in linked(services, record) {
        let Some(address) = on_bridge(record)
            .then(|| address(&other, "bridge"))
            .flatten()
        else {
            continue;
        };
        let mut ports: Vec<_> = other.config.exposed_ports.iter().copied().collect();
        ports.extend(other.host.port_bindings.keys().copied());
        list.extend(links::environment(&Linked {
            parent: &record.name,
            alias: &link.alias,
            address,
            ports,
            env: &other.config.env,
        }));
    }
    Ok(list)
}

/// Refuses to start a container that is linked to one that does not run.
pub(super) fn check(services: &Services, record: &ContainerRecord) -> Result<()> {
    if !on_bridge(record) {
        return Ok(());
    }
    for (link, other) in linked(services, record) {
        if !other.state.status.has_process() {
            return Err(Error::Refused(format!(
                "Cannot link to a non running container: /{} AS /{}/{}",
                other.name, record.name, link.alias
            )));
        }
        if address(&other, "bridge").is_none() {
            return Err(Error::Refused(format!(
                "container {} not attached to default bridge network",
                other.id
            )));
        }
    }
    Ok(())
}

/// The lines for `hosts`: alias, host name, name of each linked container that can be reached.
pub(super) fn hosts(services: &Services, record: &ContainerRecord) -> Vec<HostsEntry> {
    let network = record.host.network_mode.network().unwrap_or_default();
    linked(services, record)
        .into_iter()
        .filter_map(|(link, other)| {
            let mut names = vec![link.alias.clone()];
            for name in [&other.config.hostname, &other.name] {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            let ip = address(&other, network)?;
            Some(HostsEntry { ip, names })
        })
        .collect()
}

/// Tells the containers that are linked to this one of its new address.
pub(super) fn tell_linked(services: &Services, id: &str) {
    for container in services.containers.all() {
        let outline = container.outline();
        let is_linked = outline.links.iter().any(|link| link.container == id);
        if is_linked && outline.state.status.has_process() {
            let record = container.record();
            let own: Vec<IpAddr> = record
                .networks
                .values()
                .filter_map(|endpoint| endpoint.ip_address.parse().ok())
                .collect();
            let written = super::files::write_hosts(services, &record, &own);
            report("tell a linked container", written);
        }
    }
}

/// The links as an inspection shows them: `/name:/parent/alias`, by the names of now.
pub(crate) fn shown(services: &Services, record: &ContainerRecord) -> Vec<String> {
    linked(services, record)
        .into_iter()
        .map(|(link, other)| format!("/{}:/{}/{}", other.name, record.name, link.alias))
        .collect()
}

/// The further names that links give containers, by their ids: `parent/alias`.
pub(crate) fn names(services: &Services) -> HashMap<String, Vec<String>> {
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    for container in services.containers.all() {
        let outline = container.outline();
        for link in outline.links.iter() {
            let name = format!("{}/{}", outline.name, link.alias);
            names.entry(link.container.clone()).or_default().push(name);
        }
    }
    names
}

/// Removes a link by its name, `parent/alias`.
///
/// # Errors
/// There is no such link.
pub(crate) fn remove(services: &Services, name: &str) -> Result<()> {
    let (parent, alias) = name
        .trim_start_matches('/')
        .split_once('/')
        .ok_or_else(|| {
            Error::Refused("Conflict, cannot remove the default link name of the container".into())
        })?;
    let container = services.find(parent)?;
    if !container
        .record()
        .links
        .iter()
        .any(|link| link.alias == alias)
    {
        return Err(Error::NoSuchContainer(name.to_owned()));
    }
    container.save(&services.db, |record| {
        record.links.retain(|link| link.alias != alias);
    })?;
    Ok(())
}

/// The containers that are linked to and still there.
fn linked<'a>(
    services: &Services,
    record: &'a ContainerRecord,
) -> Vec<(&'a Link, std::sync::Arc<ContainerRecord>)> {
    let links = record.links.iter();
    links
        .filter_map(|link| Some((link, services.find(&link.container).ok()?.record())))
        .collect()
}

fn on_bridge(record: &ContainerRecord) -> bool {
    matches!(
        record.host.network_mode,
        NetworkMode::Default | NetworkMode::Bridge
    )
}

fn address(record: &ContainerRecord, network: &str) -> Option<IpAddr> {
    record.networks.get(network)?.ip_address.parse().ok()
}
