//! `--network` and the flags that say how a container is in its first network.

use dhow_api::Map;
use dhow_api::network::{EndpointIpamConfig, EndpointSettings};

use super::csv;
use crate::flags::Parsed;

/// One value of `--network`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Attachment {
    pub(crate) target: String,
    settings: EndpointSettings,
}

/// Checks one value of `--network`.
pub(crate) fn check(value: &str) -> Result<(), String> {
    parse(value).map(drop)
}

/// Reads `name` or `name=…,alias=…,ip=…,ip6=…,mac-address=…,driver-opt=…`.
pub(crate) fn parse(value: &str) -> Result<Attachment, String> {
    let mut attachment = Attachment::default();
    if !is_long(value) {
        value.clone_into(&mut attachment.target);
        return Ok(attachment);
    }
    let settings = &mut attachment.settings;
    for field in csv(value)? {
        let (key, value) = field
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("invalid field {field}"))?;
        let value = value.trim().to_owned();
        match key.trim() {
            "name" => attachment.target = value,
            "alias" => settings.aliases.get_or_insert_default().push(value),
            "ip" => addresses(settings).ipv4_address = value,
            "ip6" => addresses(settings).ipv6_address = value,
            "mac-address" => settings.mac_address = mac(&value)?,
            "link-local-ip" => {
                addresses(settings)
                    .link_local_ips
                    .get_or_insert_default()
                    .push(value);
            }
            "driver-opt" => {
                let (key, value) = value
                    .split_once('=')
                    .filter(|(key, _)| !key.is_empty())
                    .ok_or("invalid key value pair format in driver options")?;
                let options = settings.driver_opts.get_or_insert_default();
                options.insert(key.trim().to_lowercase(), value.trim().to_owned());
            }
            "gw-priority" => {
                settings.gw_priority = value
                    .parse()
                    .map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?;
            }
            key => return Err(format!("invalid field key {key}")),
        }
    }
    if attachment.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

/// Whether somewhere a word, an equals sign and a word follow each other.
fn is_long(value: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    value.match_indices('=').any(|(at, _)| {
        word(value[..at].chars().next_back()) && word(value[at + 1..].chars().next())
    })
}

fn addresses(settings: &mut EndpointSettings) -> &mut EndpointIpamConfig {
    settings.ipam_config.get_or_insert_default()
}

/// Checks a hardware address.
pub(crate) fn mac(value: &str) -> Result<String, String> {
    let separator = if value.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = value.split(separator).collect();
    let colons = matches!(parts.len(), 6 | 8 | 20)
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
    let parts: Vec<&str> = value.split('.').collect();
    let dots = matches!(parts.len(), 3 | 4 | 10)
        && parts
            .iter()
            .all(|part| part.len() == 4 && part.bytes().all(|b| b.is_ascii_hexdigit()));
    if colons || dots {
        Ok(value.to_owned())
    } else {
        Err(format!("{value} is not a valid mac address"))
    }
}

/// Whether a network is one that users made, not one of the predefined modes.
pub(crate) fn is_user_defined(mode: &str) -> bool {
    !matches!(mode, "" | "default" | "bridge" | "host" | "none") && !mode.starts_with("container:")
}

/// The network mode and the endpoints of a container.
pub(crate) fn endpoints(flags: &Parsed) -> Result<(String, Map<Option<EndpointSettings>>), String> {
    let mut attachments = flags
        .list("network")
        .iter()
        .map(|value| parse(value))
        .collect::<Result<Vec<_>, _>>()?;
    if attachments.is_empty() {
        attachments.push(Attachment {
            target: "default".to_owned(),
            ..Attachment::default()
        });
    }
    let mode = attachments[0].target.clone();
    let alone = flags.changed("network") && attachments.len() == 1;
    let first = &mut attachments[0];
    apply_flags(first, flags)?;
    let mut endpoints = Map::new();
    let (mut user_defined, mut predefined) = (false, false);
    for attachment in attachments {
        let own = is_user_defined(&attachment.target);
        user_defined |= own;
        predefined |= !own;
        validate(&attachment, own)?;
        let Attachment { target, settings } = attachment;
        if endpoints.contains_key(&target) {
            return Err(format!("network {target:?} is specified multiple times"));
        }
        // What only names the network is said by the mode.
        if !(alone && settings == EndpointSettings::default()) {
            endpoints.insert(target, Some(settings));
        }
    }
    if user_defined && predefined {
        return Err("conflicting options: cannot attach both user-defined and non-user-defined network-modes".to_owned());
    }
    Ok((mode, endpoints))
}

fn validate(attachment: &Attachment, user_defined: bool) -> Result<(), String> {
    if attachment.target.trim().is_empty() {
        return Err("no name set for network".to_owned());
    }
    if !user_defined
        && attachment
            .settings
            .aliases
            .as_ref()
            .is_some_and(|list| !list.is_empty())
    {
        return Err(
            "network-scoped aliases are only supported for user-defined networks".to_owned(),
        );
    }
    Ok(())
}

/// `--network-alias`, `--ip`, `--ip6`, `--link-local-ip`, `--link` and `--mac-address` are about the first network.
fn apply_flags(first: &mut Attachment, flags: &Parsed) -> Result<(), String> {
    let settings = &mut first.settings;
    let conflict = |flag: &str, other: &str| {
        Err(format!(
            "conflicting options: cannot specify both --{flag} and per-network {other}"
        ))
    };
    let aliases = flags.list("network-alias");
    if !aliases.is_empty() {
        if settings.aliases.is_some() {
            return conflict("network-alias", "alias");
        }
        settings.aliases = Some(aliases);
    }
    let links = flags.list("link");
    if !links.is_empty() && is_user_defined(&first.target) {
        settings.links = Some(links);
    }
    let given = |name: &str| Some(flags.text(name).to_owned()).filter(|text| !text.is_empty());
    if let Some(ip) = given("ip") {
        if !addresses(settings).ipv4_address.is_empty() {
            return conflict("ip", "IPv4 address");
        }
        addresses(settings).ipv4_address = ip;
    }
    if let Some(ip) = given("ip6") {
        if !addresses(settings).ipv6_address.is_empty() {
            return conflict("ip6", "IPv6 address");
        }
        addresses(settings).ipv6_address = ip;
    }
    if let Some(address) = given("mac-address") {
        if !settings.mac_address.is_empty() {
            return conflict("mac-address", "MAC address");
        }
        settings.mac_address = mac(&address)?;
    }
    let local = flags.list("link-local-ip");
    if !local.is_empty() {
        addresses(settings).link_local_ips = Some(local);
    }
    Ok(())
}
