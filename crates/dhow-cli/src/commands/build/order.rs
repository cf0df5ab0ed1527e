//! What is asked of the engine: the flags as BuildKit's attributes.

use std::collections::BTreeMap;

use dhow_client::settings::variable;
use dhow_options::flags::Parsed;
use dhow_session::Control;
use dhow_session::messages::SolveRequest;
use dhow_terminal::units::parse_bytes;
use serde_json::Value;

use super::context::Source;
use super::exports::Export;
use super::flags::fields;
use crate::session::Session;

/// The address that stands for the engine's machine.
const GATEWAY: &str = "host-gateway";
/// Where the engine says which one that is.
const GATEWAY_LABEL: &str = "org.mobyproject.buildkit.worker.moby.host-gateway-ip";

type Attributes = BTreeMap<String, String>;

/// The request, but for the session and the build's id.
pub(super) fn request(
    session: &Session,
    flags: &Parsed,
    source: &mut Source,
    exports: &[Export],
) -> Result<SolveRequest, String> {
    let mut attributes = std::mem::take(&mut source.attributes);
    arguments(session, flags, &mut attributes);
    texts(flags, &mut attributes)?;
    attestations(flags, &mut attributes)?;
    let mut entitlements = flags.list("allow");
    if flags.text("network") == "host" && !entitlements.iter().any(|e| e == "network.host") {
        entitlements.push("network.host".into());
    }
    let call = attributes.contains_key("requestid");
    let exporters = exports.iter().filter(|_| !call);
    Ok(SolveRequest {
        frontend: "dockerfile.v0".into(),
        frontend_attrs: attributes.into_iter().collect(),
        exporters: exporters.map(|export| export.exporter.clone()).collect(),
        entitlements,
        ..SolveRequest::default()
    })
}

/// Arguments of the build: the proxies of the settings, the time of sources, and what is given.
fn arguments(session: &Session, flags: &Parsed, attributes: &mut Attributes) {
    for (name, value) in proxies(session) {
        attributes.insert(format!("build-arg:{name}"), value);
    }
    let mut given = flags.list("build-arg");
    if variable("SOURCE_DATE_EPOCH").is_some() {
        given.insert(0, "SOURCE_DATE_EPOCH".into());
    }
    for argument in given {
        // Without a value, that of the environment is meant, if there is any.
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument.clone(), std::env::var(&argument).ok()),
        };
        if let Some(value) = value {
            attributes.insert(format!("build-arg:{name}"), value);
        }
    }
}

/// The proxies for builds that the settings have.
fn proxies(session: &Session) -> Vec<(String, String)> {
    let Some(all) = session.config.object("proxies") else {
        return Vec::new();
    };
    let host = session.client().map(|client| client.host().to_owned());
    let own = host.ok().and_then(|host| all.get(&host));
    let Some(proxies) = own.or_else(|| all.get("default")) else {
        return Vec::new();
    };
    let mut arguments = Vec::new();
    for (key, name) in [
        ("httpProxy", "HTTP_PROXY"),
        ("httpsProxy", "HTTPS_PROXY"),
        ("noProxy", "NO_PROXY"),
        ("ftpProxy", "FTP_PROXY"),
        ("allProxy", "ALL_PROXY"),
    ] {
        if let Some(value) = proxies[key].as_str().filter(|value| !value.is_empty()) {
            arguments.push((name.to_owned(), value.to_owned()));
            arguments.push((name.to_lowercase(), value.to_owned()));
        }
    }
    arguments
}

fn texts(flags: &Parsed, attributes: &mut Attributes) -> Result<(), String> {
    let mut set = |name: &str, value: String| {
        if !value.is_empty() {
            attributes.insert(name.to_owned(), value);
        }
    };
    set("target", flags.text("target").to_owned());
    set("cgroup-parent", flags.text("cgroup-parent").to_owned());
    set("platform", flags.list("platform").join(","));
    set("no-cache", flags.list("no-cache-filter").join(","));
    set("add-hosts", hosts(&flags.list("add-host"))?);
    set("ulimit", flags.list("ulimit").join(","));
    match flags.text("network") {
        "" | "default" => {}
        mode @ ("host" | "none") => set("force-network-mode", mode.to_owned()),
        mode => return Err(format!("network mode {mode:?} not supported by buildkit")),
    }
    if flags.changed("shm-size") {
        let bytes = parse_bytes(flags.text("shm-size"))?;
        set("shm-size", bytes.to_string());
    }
    if flags.switch("pull") {
        set("image-resolve-mode", "pull".to_owned());
    }
    for label in flags.list("label") {
        let (name, value) = label.split_once('=').unwrap_or((&label, ""));
        attributes.insert(format!("label:{name}"), value.to_owned());
    }
    if flags.switch("no-cache") {
        attributes.insert("no-cache".into(), String::new());
    }
    if let Some(id) = call(flags)? {
        attributes.insert("requestid".into(), id.to_owned());
    }
    Ok(())
}

/// What is asked for in place of a build; its name, and whether as JSON.
pub(super) fn asked(flags: &Parsed) -> (String, bool) {
    let text = match flags.switch("check") {
        true => "check",
        false => flags.text("call"),
    };
    let (name, rest) = text.split_once(',').unwrap_or((text, ""));
    let name = if name == "lint" { "check" } else { name };
    (name.to_owned(), rest == "format=json")
}

fn call(flags: &Parsed) -> Result<Option<&'static str>, String> {
    let (name, _) = asked(flags);
    Ok(match name.as_str() {
        "" | "build" => None,
        "check" => Some("frontend.lint"),
        "outline" => Some("frontend.outline"),
        "targets" => Some("frontend.targets"),
        "subrequests.describe" => Some("frontend.subrequests.describe"),
        other => return Err(format!("invalid call {other:?}")),
    })
}

/// `name:address` or `name=address`, as the engine reads it.
fn hosts(texts: &[String]) -> Result<String, String> {
    let host = |text: &String| {
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("invalid host {text}"))?;
        let bare = address.trim_matches(['[', ']']);
        if bare != GATEWAY && bare.parse::<std::net::IpAddr>().is_err() {
            return Err(format!("invalid host {text}"));
        }
        Ok(format!("{name}={bare}"))
    };
    let hosts: Result<Vec<_>, String> = texts.iter().map(host).collect();
    Ok(hosts?.join(","))
}

/// Puts the engine's own address where its machine is meant.
pub(super) async fn gateway(control: &Control, request: &mut SolveRequest) -> Result<(), String> {
    let Some(hosts) = request.frontend_attrs.get_mut("add-hosts") else {
        return Ok(());
    };
    if !hosts.contains(GATEWAY) {
        return Ok(());
    }
    let workers = control.workers().await;
    let workers = workers.map_err(|error| error.to_string())?;
    let address = workers
        .iter()
        .find_map(|worker| worker.labels.get(GATEWAY_LABEL));
    let address = address
        .ok_or("unable to derive the IP value for host-gateway: the engine does not say it")?;
    *hosts = hosts.replace(&format!("={GATEWAY}"), &format!("={address}"));
    Ok(())
}

/// `--attest`, `--provenance`, `--sbom`: nothing is attested unless it is asked for.
fn attestations(flags: &Parsed, attributes: &mut Attributes) -> Result<(), String> {
    let mut texts = flags.list("attest");
    for kind in ["provenance", "sbom"] {
        match flags.text(kind) {
            "" => {}
            "true" | "1" => texts.push(format!("type={kind}")),
            "false" | "0" => texts.push(format!("type={kind},disabled=true")),
            more => texts.push(format!("type={kind},{more}")),
        }
    }
    for text in texts {
        let fields = fields(&text)?;
        let kind = fields.iter().find(|(key, _)| key == "type");
        let (_, kind) = kind.ok_or("attestation type not specified")?;
        let rest = fields.iter().filter(|(key, _)| key != "type");
        let rest: Vec<_> = rest.map(|(key, value)| format!("{key}={value}")).collect();
        attributes.insert(format!("attest:{kind}"), rest.join(","));
    }
    Ok(())
}

/// What the engine tells as JSON; nothing where it is none.
pub(super) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_the_engine_reads_them() {
        let read = |text: &str| hosts(&[text.to_owned()]);
        for (text, expected) in [
            ("a:1.2.3.4", "a=1.2.3.4"),
            ("a=::1", "a=::1"),
            ("a:[::1]", "a=::1"),
            ("a:host-gateway", "a=host-gateway"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected));
        }
        for wrong in ["a", ":1.2.3.4", "a:b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
