//! `port`: where a container's ports are published.

use std::net::IpAddr;

use serde_json::Value;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_format::ports::join;
use dhow_options::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    also: "container port, port",
    arguments: Arguments::Between(1, 2),
    completes: Completes::OneContainer(&["running"]),
    ..Command::new(
        "port",
        "List port mappings or a specific mapping for the container",
        "CONTAINER [PRIVATE_PORT[/PROTO]]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let name = flags.argument(0);
    let request = Request::get(format!("/containers/{}/json", escape(name)));
    let container: Value = session.client()?.json(request).await?;
    let ports = container["NetworkSettings"]["Ports"].as_object();
    let host = |binding: &Value| {
        let text = |key: &str| binding[key].as_str().unwrap_or_default().to_owned();
        join(&text("HostIp"), &text("HostPort"))
    };
    if let Some(wanted) = flags.arguments.get(1) {
        let (port, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
        if port.parse::<u16>().is_err() {
            return Err(Error::text(format!(
                "Error: invalid port ({port}): strconv.ParseUint: parsing {port:?}: invalid syntax"
            )));
        }
        let key = format!("{port}/{protocol}");
        let bindings = ports
            .and_then(|ports| ports.get(&key))
            .and_then(Value::as_array);
        let Some(bindings) = bindings.filter(|bindings| !bindings.is_empty()) else {
            return Err(Error::text(format!(
                "Error: No public port '{wanted}' published for {name}"
            )));
        };
        let mut hosts: Vec<String> = bindings.iter().map(host).collect();
        hosts.sort();
        return session.print(&lines(&hosts));
    }
    let mut all: Vec<(u16, String, IpAddr, String)> = Vec::new();
    for (key, bindings) in ports.into_iter().flatten() {
        let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
        for binding in bindings.as_array().into_iter().flatten() {
            let ip = binding["HostIp"].as_str().and_then(|ip| ip.parse().ok());
            let line = format!("{key} -> {}", host(binding));
            let unspecified = IpAddr::from([0, 0, 0, 0]);
            all.push((
                port.parse().unwrap_or(0),
                protocol.to_owned(),
                ip.unwrap_or(unspecified),
                line,
            ));
        }
    }
    all.sort();
    session.print(&lines(
        &all.into_iter().map(|entry| entry.3).collect::<Vec<_>>(),
    ))
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
