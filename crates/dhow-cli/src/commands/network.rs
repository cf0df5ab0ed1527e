//! `network`: lists and changes networks.

use dhow_api::Map;
use dhow_api::network::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, Network, NetworkConnectRequest,
    NetworkCreateRequest, NetworkCreated, NetworkDisconnectRequest,
};

use super::{inspect, prune, runner};
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Filters, Request};
use dhow_format::{Layout, Row, label, labels_text, times};
use dhow_options::filters;
use dhow_options::flags::{Flag, Kind, Parsed};
use dhow_options::{environment, pairs};

pub(crate) const COMMAND: Command = Command::group(
    "network",
    "Manage networks",
    &[
        &CONNECT,
        &CREATE,
        &DISCONNECT,
        &inspect::NETWORK,
        &LS,
        &prune::NETWORK,
        &RM,
    ],
);

const LS: Command = Command {
    aliases: &["list"],
    also: "network ls, network list",
    flags: &[&[
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Provide filter values (e.g. \"driver=bridge\")",
        )
        .short('f')
        .checked(filters::check),
        Flag::text(
            "format",
            "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag::switch("no-trunc", "Do not truncate the output"),
        Flag::switch("quiet", "Only display network IDs").short('q'),
    ]],
    ..Command::new("ls", "List networks", "[OPTIONS]", runner!(ls))
};

const RM: Command = Command {
    aliases: &["remove"],
    also: "network rm, network remove",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Networks,
    flags: &[&[Flag::switch("force", "Do not error if the network does not exist").short('f')]],
    ..Command::new(
        "rm",
        "Remove one or more networks",
        "NETWORK [NETWORK...]",
        runner!(rm),
    )
};

const CREATE: Command = Command {
    arguments: Arguments::Exactly(1),
    flags: &[&[
        Flag::switch("attachable", "Enable manual container attachment"),
        Flag::new(
            "aux-address",
            Kind::List,
            "map",
            "Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])",
        ),
        Flag::text(
            "config-from",
            "The network from which to copy the configuration",
        ),
        Flag::switch("config-only", "Create a configuration only network"),
        Flag::text(
            "driver",
            "Driver to manage the Network (default \"bridge\")",
        )
        .short('d')
        .default("bridge"),
        Flag::new(
            "gateway",
            Kind::Strings,
            "strings",
            "IPv4 or IPv6 Gateway for the master subnet",
        ),
        Flag::switch("ingress", "Create swarm routing-mesh network"),
        Flag::switch("internal", "Restrict external access to the network"),
        Flag::new(
            "ip-range",
            Kind::Strings,
            "strings",
            "Allocate container ip from a sub-range",
        ),
        Flag::text(
            "ipam-driver",
            "IP Address Management Driver (default \"default\")",
        )
        .default("default"),
        Flag::new(
            "ipam-opt",
            Kind::List,
            "map",
            "Set IPAM driver specific options (default map[])",
        ),
        Flag::switch(
            "ipv4",
            "Enable or disable IPv4 address assignment (default true)",
        )
        .default("true"),
        Flag::switch("ipv6", "Enable or disable IPv6 address assignment"),
        Flag::list("label", "Set metadata on a network").checked(environment::check_label),
        Flag::new(
            "opt",
            Kind::List,
            "map",
            "Set driver specific options (default map[])",
        )
        .short('o'),
        Flag::text("scope", "Control the network's scope"),
        Flag::new(
            "subnet",
            Kind::Strings,
            "strings",
            "Subnet in CIDR format that represents a network segment",
        ),
    ]],
    ..Command::new(
        "create",
        "Create a network",
        "[OPTIONS] NETWORK",
        runner!(create),
    )
};

const CONNECT: Command = Command {
    arguments: Arguments::Exactly(2),
    completes: Completes::NetworkThenContainer,
    flags: &[&[
        Flag::new(
            "alias",
            Kind::Strings,
            "strings",
            "Add network-scoped alias for the container",
        ),
        Flag::new(
            "driver-opt",
            Kind::Strings,
            "strings",
            "driver options for the network",
        ),
        Flag::int(
            "gw-priority",
            "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
        ),
        Flag::text("ip", "IPv4 address (e.g., \"172.30.100.104\")"),
        Flag::text("ip6", "IPv6 address (e.g., \"2001:db8::33\")"),
        Flag::list("link", "Add link to another container"),
        Flag::new(
            "link-local-ip",
            Kind::Strings,
            "strings",
            "Add a link-local address for the container",
        ),
    ]],
    ..Command::new(
        "connect",
        "Connect a container to a network",
        "[OPTIONS] NETWORK CONTAINER",
        runner!(connect),
    )
};

const DISCONNECT: Command = Command {
    arguments: Arguments::Exactly(2),
    completes: Completes::NetworkThenContainer,
    flags: &[&[
        Flag::switch("force", "Force the container to disconnect from a network").short('f'),
    ]],
    ..Command::new(
        "disconnect",
        "Disconnect a container from a network",
        "[OPTIONS] NETWORK CONTAINER",
        runner!(disconnect),
    )
};

const TYPE: &str = "*network.networkContext";

async fn ls(session: &Session, flags: &Parsed) -> Result<()> {
    let request = Request::get("/networks").filters(&Filters::new(&flags.list("filter")));
    let mut networks: Vec<Network> = session.client()?.json(request).await?;
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    let truncate = !flags.switch("no-trunc");
    let rows: Vec<Row> = networks
        .into_iter()
        .map(|network| row(network, truncate))
        .collect();
    let layout = Layout {
        headers: &[
            ("ID", "NETWORK ID"),
            ("Name", "NAME"),
            ("Driver", "DRIVER"),
            ("Scope", "SCOPE"),
            ("IPv4", "IPV4"),
            ("IPv6", "IPV6"),
            ("Internal", "INTERNAL"),
            ("Labels", "LABELS"),
            ("CreatedAt", "CREATED AT"),
        ],
        table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}".to_owned(),
        quiet: "{{.ID}}",
        raw: Some("network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"),
    };
    let format = super::format_or(session, flags, "networksFormat");
    session.print(&dhow_format::render(
        &layout,
        &format,
        flags.switch("quiet"),
        &rows,
    )?)
}

fn row(network: Network, truncate: bool) -> Row {
    let id = if truncate {
        dhow_format::short_id(&network.id).to_owned()
    } else {
        network.id
    };
    let created = network
        .created
        .parse()
        .map(times::go)
        .unwrap_or(network.created);
    Row::new(
        TYPE,
        vec![
            ("ID", id.into()),
            ("Name", network.name.into()),
            ("Driver", network.driver.into()),
            ("Scope", network.scope.into()),
            ("IPv4", network.enable_ipv4.to_string().into()),
            ("IPv6", network.enable_ipv6.to_string().into()),
            ("Internal", network.internal.to_string().into()),
            ("Labels", labels_text(&network.labels).into()),
            ("Label", label(network.labels)),
            ("CreatedAt", created.into()),
        ],
    )
}

async fn rm(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let mut failed = false;
    for name in &flags.arguments {
        match client
            .done(Request::delete(format!("/networks/{}", escape(name))))
            .await
        {
            Ok(()) => session.println(name)?,
            Err(error) if error.is_no_daemon() => return Err(error.into()),
            Err(error) if flags.switch("force") && error.is_not_found() => {}
            Err(error) => {
                session.warn(&error.to_string());
                failed = true;
            }
        }
    }
    if failed {
        Err(Error::Exit {
            code: 1,
            text: "exit status 1".to_owned(),
        })
    } else {
        Ok(())
    }
}

async fn create(session: &Session, flags: &Parsed) -> Result<()> {
    let ipam = Ipam {
        driver: flags.text("ipam-driver").to_owned(),
        options: Some(pairs(&flags.list("ipam-opt"))),
        config: Some(pools(flags)?),
    };
    let from = Some(flags.text("config-from")).filter(|name| !name.is_empty());
    let switch = |name: &str| flags.changed(name).then(|| flags.switch(name));
    let request = NetworkCreateRequest {
        name: flags.argument(0).to_owned(),
        driver: flags.text("driver").to_owned(),
        scope: flags.text("scope").to_owned(),
        enable_ipv4: switch("ipv4"),
        enable_ipv6: switch("ipv6"),
        ipam: Some(ipam),
        internal: flags.switch("internal"),
        attachable: flags.switch("attachable"),
        ingress: flags.switch("ingress"),
        config_only: flags.switch("config-only"),
        config_from: from.map(|name| dhow_api::network::ConfigReference {
            network: name.to_owned(),
        }),
        options: Some(pairs(&flags.list("opt"))),
        labels: Some(pairs(&flags.list("label"))),
        check_duplicate: None,
    };
    let request = Request::post("/networks/create").json(&request)?;
    let created: NetworkCreated = session.client()?.json(request).await?;
    if !created.warning.is_empty() {
        session.warn(&format!("WARNING: {}", created.warning));
    }
    session.println(&created.id)
}

/// The address pools: gateways, ranges and auxiliary addresses go to the subnet they lie in.
fn pools(flags: &Parsed) -> Result<Vec<IpamConfig>> {
    let subnets = flags.list("subnet");
    let (gateways, ranges) = (flags.list("gateway"), flags.list("ip-range"));
    let auxiliary = pairs(&flags.list("aux-address"));
    if subnets.is_empty() {
        if gateways.is_empty() && ranges.is_empty() && auxiliary.is_empty() {
            return Ok(Vec::new());
        }
        let text = "every ip-range or gateway must have a corresponding subnet";
        if gateways.len().max(ranges.len()) > 0 {
            return Err(Error::text(text));
        }
    }
    let mut pools: Vec<IpamConfig> = subnets
        .iter()
        .map(|subnet| IpamConfig {
            subnet: subnet.clone(),
            ..IpamConfig::default()
        })
        .collect();
    for range in &ranges {
        range.clone_into(&mut place(&mut pools, range, "range")?.ip_range);
    }
    for gateway in &gateways {
        gateway.clone_into(&mut place(&mut pools, gateway, "gateway")?.gateway);
    }
    for (name, address) in auxiliary {
        let pool = place(&mut pools, &address, "aux-address")?;
        pool.auxiliary_addresses
            .get_or_insert_with(Map::new)
            .insert(name, address);
    }
    Ok(pools)
}

fn place<'a>(pools: &'a mut [IpamConfig], address: &str, what: &str) -> Result<&'a mut IpamConfig> {
    pools
        .iter_mut()
        .find(|pool| contains(&pool.subnet, address))
        .ok_or_else(|| Error::text(format!("no matching subnet for {what} {address}")))
}

/// Whether `address` (with or without a prefix length) lies in `subnet`.
fn contains(subnet: &str, address: &str) -> bool {
    let bare = address.split('/').next().unwrap_or(address);
    let Some((base, length)) = subnet.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(address)) = (
        base.parse::<std::net::IpAddr>(),
        bare.parse::<std::net::IpAddr>(),
    ) else {
        return false;
    };
    let Ok(length) = length.parse::<u32>() else {
        return false;
    };
    let bits = |ip: std::net::IpAddr| match ip {
        std::net::IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        std::net::IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((base, size), (address, other)) = (bits(base), bits(address));
    size == other && (length == 0 || (base ^ address).leading_zeros() >= length.min(size))
}

async fn connect(session: &Session, flags: &Parsed) -> Result<()> {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let settings = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: flags.text("ip").to_owned(),
            ipv6_address: flags.text("ip6").to_owned(),
            link_local_ips: some(flags.list("link-local-ip")),
        }),
        links: some(flags.list("link")),
        aliases: some(flags.list("alias")),
        driver_opts: Some(pairs(&flags.list("driver-opt"))),
        gw_priority: flags.int("gw-priority"),
        ..EndpointSettings::default()
    };
    let request = NetworkConnectRequest {
        container: flags.argument(1).to_owned(),
        endpoint_config: Some(settings),
    };
    let path = format!("/networks/{}/connect", escape(flags.argument(0)));
    let request = Request::post(path).json(&request)?;
    Ok(session.client()?.done(request).await?)
}

async fn disconnect(session: &Session, flags: &Parsed) -> Result<()> {
    let request = NetworkDisconnectRequest {
        container: flags.argument(1).to_owned(),
        force: flags.switch("force"),
    };
    let path = format!("/networks/{}/disconnect", escape(flags.argument(0)));
    let request = Request::post(path).json(&request)?;
    Ok(session.client()?.done(request).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_their_subnets() {
        for (subnet, address, inside) in [
            ("10.0.0.0/8", "10.9.9.9", true),
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("fd00::/64", "fd00::5", true),
            ("fd00::/64", "10.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
        ] {
            assert_eq!(contains(subnet, address), inside, "{subnet} {address}");
        }
    }
}
