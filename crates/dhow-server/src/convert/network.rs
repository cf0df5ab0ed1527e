//! Networks and endpoints.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dhow_api::network as wire;
use dhow_engine::networks::NetworkDetails;
use dhow_engine::spec::{EndpointIpam, EndpointSettings};
use dhow_network::{
    CreateNetwork, Endpoint, Ipam, IpamConfig, IpamUsage, MacAddress, NetworkRecord, Prefix,
};

use super::{map, null_list, null_map, time};
use crate::error::{ApiError, Result};

/// What a container wishes for on a network.
pub(crate) fn endpoint_wish(wire: wire::EndpointSettings) -> Result<EndpointSettings> {
    if !wire.mac_address.is_empty() {
        check_mac(&wire.mac_address)?;
    }
    let link_local = wire
        .ipam_config
        .as_ref()
        .and_then(|ipam| ipam.link_local_ips.as_ref());
    for (what, is_set) in [
        (
            "DriverOpts",
            wire.driver_opts
                .as_ref()
                .is_some_and(|opts| !opts.is_empty()),
        ),
        (
            "LinkLocalIPs",
            link_local.is_some_and(|list| !list.is_empty()),
        ),
    ] {
        if is_set {
            return Err(ApiError::not_implemented(format!("endpoint option {what}")));
        }
    }
    Ok(EndpointSettings {
        ipam: wire.ipam_config.map(endpoint_ipam).transpose()?,
        links: wire.links.unwrap_or_default(),
        aliases: wire.aliases.unwrap_or_default(),
        driver_opts: map(wire.driver_opts),
        gw_priority: wire.gw_priority,
        wanted_mac: wire.mac_address,
        ..EndpointSettings::default()
    })
}

/// Refuses what is no MAC address.
pub(crate) fn check_mac(text: &str) -> Result<()> {
    match text.parse::<MacAddress>() {
        Ok(_) => Ok(()),
        Err(_) => Err(ApiError::invalid(format!("invalid MAC address {text}"))),
    }
}

fn endpoint_ipam(wire: wire::EndpointIpamConfig) -> Result<EndpointIpam> {
    let fail = |what: &str, text: &str| {
        ApiError::invalid(format!(
            "invalid endpoint settings:\ninvalid {what} address: {text}"
        ))
    };
    let ipv4 = match wire.ipv4_address.as_str() {
        "" => None,
        text => Some(text.parse::<Ipv4Addr>().map_err(|_| fail("IPv4", text))?),
    };
    let ipv6 = match wire.ipv6_address.as_str() {
        "" => None,
        text => Some(text.parse::<Ipv6Addr>().map_err(|_| fail("IPv6", text))?),
    };
    let link_local = wire.link_local_ips.unwrap_or_default();
    let link_local = link_local
        .iter()
        .map(|text| {
            text.parse::<IpAddr>()
                .map_err(|_| fail("link-local IP", text))
        })
        .collect::<Result<_>>()?;
    Ok(EndpointIpam {
        ipv4,
        ipv6,
        link_local,
    })
}

/// A container's endpoint as it is shown.
pub(crate) fn endpoint_view(endpoint: &EndpointSettings) -> wire::EndpointSettings {
    let ipam = endpoint.ipam.as_ref().map(|ipam| wire::EndpointIpamConfig {
        ipv4_address: ipam.ipv4.map_or_else(String::new, |ip| ip.to_string()),
        ipv6_address: ipam.ipv6.map_or_else(String::new, |ip| ip.to_string()),
        link_local_ips: null_list(
            &ipam
                .link_local
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        ),
    });
    let mac = if endpoint.mac_address.is_empty() {
        &endpoint.wanted_mac
    } else {
        &endpoint.mac_address
    };
    wire::EndpointSettings {
        ipam_config: ipam,
        links: null_list(&endpoint.links),
        aliases: null_list(&endpoint.aliases),
        mac_address: mac.clone(),
        driver_opts: null_map(&endpoint.driver_opts),
        gw_priority: endpoint.gw_priority,
        network_id: endpoint.network_id.clone(),
        endpoint_id: endpoint.endpoint_id.clone(),
        gateway: endpoint.gateway.clone(),
        ip_address: endpoint.ip_address.clone(),
        ip_prefix_len: endpoint.ip_prefix_len.into(),
        ipv6_gateway: endpoint.ipv6_gateway.clone(),
        global_ipv6_address: endpoint.global_ipv6_address.clone(),
        global_ipv6_prefix_len: endpoint.global_ipv6_prefix_len.into(),
        dns_names: null_list(&endpoint.dns_names),
    }
}

/// A network asked for.
pub(crate) fn create(wire: wire::NetworkCreateRequest) -> Result<CreateNetwork> {
    let refuse = |what: &str| Err(ApiError::not_implemented(format!("network option {what}")));
    if wire.enable_ipv4 == Some(false) {
        return refuse("EnableIPv4=false");
    }
    if wire.ingress {
        return refuse("Ingress");
    }
    if wire.config_only
        || wire
            .config_from
            .is_some_and(|from| !from.network.is_empty())
    {
        return refuse("ConfigOnly/ConfigFrom");
    }
    if !matches!(wire.scope.as_str(), "" | "local") {
        return refuse("Scope");
    }
    Ok(CreateNetwork {
        name: wire.name,
        driver: wire.driver,
        ipam: ipam(wire.ipam.unwrap_or_default())?,
        internal: wire.internal,
        attachable: wire.attachable,
        enable_ipv6: wire.enable_ipv6.unwrap_or(false),
        options: map(wire.options),
        labels: map(wire.labels),
    })
}

fn ipam(wire: wire::Ipam) -> Result<Ipam> {
    if !matches!(wire.driver.as_str(), "" | "default") {
        return Err(ApiError::new(
            dhow_errdefs::ErrorKind::NotFound,
            format!("plugin {:?} not found", wire.driver),
        ));
    }
    let config = wire.config.unwrap_or_default();
    Ok(Ipam {
        driver: "default".to_owned(),
        options: wire.options,
        config: config.into_iter().map(ipam_config).collect::<Result<_>>()?,
    })
}

fn ipam_config(wire: wire::IpamConfig) -> Result<IpamConfig> {
    let aux = map(wire.auxiliary_addresses);
    Ok(IpamConfig {
        subnet: prefix(&wire.subnet)?,
        ip_range: prefix(&wire.ip_range)?,
        gateway: match wire.gateway.as_str() {
            "" => None,
            text => Some(address(text)?),
        },
        aux_addresses: aux
            .into_iter()
            .map(|(name, text)| Ok((name, address(&text)?)))
            .collect::<Result<_>>()?,
    })
}

fn prefix(text: &str) -> Result<Option<Prefix>> {
    if text.is_empty() {
        return Ok(None);
    }
    // Docker finds these while it decodes the JSON, and says so.
    let fail =
        |why: &str| ApiError::invalid(format!("invalid JSON: netip.ParsePrefix({text:?}): {why}"));
    if !text.contains('/') {
        return Err(fail("no '/'"));
    }
    let parsed = text.parse::<Prefix>();
    parsed.map(Some).map_err(|_| fail("not a network"))
}

fn address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| {
        ApiError::invalid(format!(
            "invalid JSON: ParseAddr({text:?}): unable to parse IP"
        ))
    })
}

/// A network as the list shows it.
pub(crate) fn view(record: &NetworkRecord) -> wire::Network {
    let config: Vec<_> = record.ipam.config.iter().map(ipam_config_view).collect();
    wire::Network {
        name: record.name.clone(),
        id: record.id.clone(),
        created: time::rfc3339(record.created),
        scope: record.scope.clone(),
        driver: record.driver.as_str().to_owned(),
        enable_ipv4: record.enable_ipv4,
        enable_ipv6: record.enable_ipv6,
        ipam: wire::Ipam {
            driver: record.ipam.driver.clone(),
            options: record.ipam.options.clone(),
            config: null_list(&config),
        },
        internal: record.internal,
        attachable: record.attachable,
        ingress: false,
        config_from: wire::ConfigReference::default(),
        config_only: false,
        containers: None,
        options: record.options.clone(),
        labels: record.labels.clone(),
        status: None,
    }
}

fn ipam_config_view(config: &IpamConfig) -> wire::IpamConfig {
    let prefix =
        |prefix: Option<Prefix>| prefix.map_or_else(String::new, |prefix| prefix.to_string());
    let aux = config
        .aux_addresses
        .iter()
        .map(|(name, ip)| (name.clone(), ip.to_string()));
    wire::IpamConfig {
        subnet: prefix(config.subnet),
        ip_range: prefix(config.ip_range),
        gateway: config.gateway.map_or_else(String::new, |ip| ip.to_string()),
        auxiliary_addresses: Some(aux.collect()),
    }
}

/// A network as inspection shows it: with its containers.
pub(crate) fn details(details: &NetworkDetails) -> wire::Network {
    let containers = details
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.container_id.clone(), resource(endpoint)));
    wire::Network {
        containers: Some(containers.collect()),
        status: Some(wire::NetworkStatus {
            ipam: wire::IpamStatus {
                subnets: details.usage.iter().map(subnet).collect(),
            },
        }),
        ..view(&details.record)
    }
}

fn subnet(usage: &IpamUsage) -> (String, wire::SubnetStatus) {
    let status = wire::SubnetStatus {
        ips_in_use: usage.in_use,
        dynamic_ips_available: usage.available,
    };
    (usage.subnet.to_string(), status)
}

fn resource(endpoint: &Endpoint) -> wire::EndpointResource {
    let address = |ip: Ipv4Addr| format!("{ip}/{}", endpoint.prefix_len);
    wire::EndpointResource {
        name: endpoint.container_name.clone(),
        endpoint_id: endpoint.id.clone(),
        mac_address: endpoint.mac.map_or_else(String::new, |mac| mac.to_string()),
        ipv4_address: endpoint.ip.map_or_else(String::new, address),
        ipv6_address: String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn impossible_networks_are_refused_in_dockers_words() {
        for (wire, text) in [
            (
                json!({"IPAM": {"Config": [{"Subnet": "nonsense"}]}}),
                "invalid JSON: netip.ParsePrefix(\"nonsense\"): no '/'",
            ),
            (
                json!({"IPAM": {"Driver": "dhcp"}}),
                "plugin \"dhcp\" not found",
            ),
            (
                json!({"Scope": "swarm"}),
                "network option Scope is not implemented",
            ),
            (
                json!({"ConfigOnly": true}),
                "network option ConfigOnly/ConfigFrom is not implemented",
            ),
        ] {
            let request = serde_json::from_value(wire).unwrap();
            assert_eq!(create(request).unwrap_err().message, text);
        }
    }

    #[test]
    fn endpoints_wish_for_addresses() {
        let wire = json!({
            "IPAMConfig": {"IPv4Address": "10.210.0.77"}, "Aliases": ["al"], "MacAddress": "02:42:00:00:00:01"
        });
        let wish = endpoint_wish(serde_json::from_value(wire).unwrap()).unwrap();
        assert_eq!(
            wish.ipam.as_ref().unwrap().ipv4,
            Some(Ipv4Addr::new(10, 210, 0, 77))
        );
        let shown = endpoint_view(&wish);
        assert_eq!(shown.ipam_config.unwrap().ipv4_address, "10.210.0.77");
        assert_eq!(shown.mac_address, "02:42:00:00:00:01");
        assert_eq!(shown.aliases.unwrap(), ["al"]);
        let wire = json!({"IPAMConfig": {"IPv4Address": "10.300.0.1"}});
        let error = endpoint_wish(serde_json::from_value(wire).unwrap()).unwrap_err();
        assert_eq!(
            error.message,
            "invalid endpoint settings:\ninvalid IPv4 address: 10.300.0.1"
        );
    }
}
