//! `--publish` and `--expose`.

use std::net::IpAddr;

use dhow_api::container::{PortBinding, PortMap};
use dhow_api::{Empty, Set};
use dhow_golang::parse_uint;

/// Ports a container exposes and the host addresses they are published on.
pub type Ports = (Set, PortMap);

/// Reads all values of `--publish`: `[[ip:]host:]container[/proto]`, ranges, or `target=80,published=8080`.
pub fn publish(values: &[String]) -> Result<Ports, String> {
    let mut ports = (Set::new(), PortMap::new());
    for value in values {
        if value.contains('=') {
            publish_one(&long_form(value)?, &mut ports)?;
        } else {
            publish_one(value, &mut ports)?;
        }
    }
    Ok(ports)
}

/// Adds the ports of `--expose` to the exposed ones.
pub fn expose(values: &[String], exposed: &mut Set) -> Result<(), String> {
    for value in values {
        if value.contains(':') {
            return Err(format!("invalid port format for --expose: {value}"));
        }
        let (protocol, port) = split_protocol(value);
        let (first, last) = range(port).map_err(|error| {
            format!("invalid range format for --expose: {value}, error: {error}")
        })?;
        for port in first..=last {
            exposed.insert(format!("{port}/{protocol}"), Empty);
        }
    }
    Ok(())
}

fn long_form(value: &str) -> Result<String, String> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for parameter in value.split(',') {
        let (name, value) = parameter.split_once('=').ok_or_else(|| {
            format!("invalid publish opts format (should be name=value but got '{parameter}')")
        })?;
        let value = value.split('=').next().unwrap_or_default();
        match name {
            "published" => published = value,
            "target" => target = value,
            "protocol" => protocol = value,
            _ => {}
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn publish_one(value: &str, (exposed, bindings): &mut Ports) -> Result<(), String> {
    let (ip, host, container) = split(value);
    let (protocol, container) = split_protocol(container);
    if container.is_empty() {
        return Err(format!("no port specified: {value}<empty>"));
    }
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let ip = address(ip)?;
    let (first, last) =
        range(container).map_err(|_| format!("invalid containerPort: {container}"))?;
    let host_range = match host {
        "" => None,
        host => Some(range(host).map_err(|_| format!("invalid hostPort: {host}"))?),
    };
    if let Some((host_first, host_last)) = host_range
        && last - first != host_last - host_first
        && last != first
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    for port in first..=last {
        let key = format!("{port}/{protocol}");
        let host_port = match host_range {
            None => String::new(),
            // One port of the container gets any free port of the range.
            Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
            Some((from, _)) => (from + (port - first)).to_string(),
        };
        exposed.insert(key.clone(), Empty);
        let binding = PortBinding {
            host_ip: ip.clone(),
            host_port,
        };
        bindings
            .entry(key)
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    Ok(())
}

/// Host address, host port and container port.
fn split(value: &str) -> (&str, &str, &str) {
    match value.rsplit_once(':') {
        None => ("", "", value),
        Some((rest, container)) => match rest.rsplit_once(':') {
            None => ("", rest, container),
            Some((ip, host)) => (ip, host, container),
        },
    }
}

fn split_protocol(value: &str) -> (&str, &str) {
    match value.split_once('/') {
        Some(("", _)) => ("", ""),
        Some((port, "")) => ("tcp", port),
        Some((port, protocol)) => (protocol, port),
        None if value.is_empty() => ("", ""),
        None => ("tcp", value),
    }
}

fn address(ip: &str) -> Result<String, String> {
    if ip.is_empty() {
        return Ok(String::new());
    }
    let bare = match ip.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| {
            format!("invalid IP address {ip}: address {ip}:: missing ']' in address")
        })?,
        None => ip,
    };
    let plain = bare.split('%').next().unwrap_or(bare);
    plain
        .parse::<IpAddr>()
        .map_err(|_| format!("invalid IP address: {bare}"))?;
    Ok(bare.to_owned())
}

fn range(text: &str) -> Result<(u16, u16), String> {
    if text.is_empty() {
        return Err("empty string specified for ports.".to_owned());
    }
    let number = |text: &str| {
        let port = parse_uint(text, 10, 16).map_err(|error| error.to_string())?;
        u16::try_from(port).map_err(|error| error.to_string())
    };
    let Some((first, last)) = text.split_once('-') else {
        let port = number(text)?;
        return Ok((port, port));
    };
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}
