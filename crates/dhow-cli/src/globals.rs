//! The flags before the command, and what else says which engine is meant.

use std::path::{Path, PathBuf};

use dhow_client::settings::{Globals, TlsFiles, variable};

use crate::error::{Error, Result};
use dhow_options::flags::{Flag, Parsed};

/// The flags before the command.
pub(crate) const GLOBALS: &[Flag] = &[
    Flag::text("config", "Location of client config files (default \"~/.docker\")"),
    Flag::text(
        "context",
        "Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and default context set with \"docker context use\")",
    )
    .short('c'),
    Flag::switch("debug", "Enable debug mode").short('D'),
    Flag::list("host", "Daemon socket to connect to").short('H'),
    Flag::text(
        "log-level",
        "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\") (default \"info\")",
    )
    .short('l')
    .default("info"),
    Flag::switch("no-autostart", "Never start an engine where none answers"),
    Flag::switch("tls", "Use TLS; implied by --tlsverify"),
    Flag::text("tlscacert", "Trust certs signed only by this CA (default \"~/.docker/ca.pem\")"),
    Flag::text("tlscert", "Path to TLS certificate file (default \"~/.docker/cert.pem\")"),
    Flag::text("tlskey", "Path to TLS key file (default \"~/.docker/key.pem\")"),
    Flag::switch("tlsverify", "Use TLS and verify the remote"),
    Flag::switch("version", "Print version information and quit").short('v'),
];

/// The levels of Docker's log of itself; nothing is logged here, so that any of them is kept to.
const LEVELS: [&str; 8] = [
    "panic", "fatal", "error", "warn", "warning", "info", "debug", "trace",
];

/// The version of Docker's command line whose behaviour this one follows.
pub(crate) const DOCKER_VERSION: &str = "28.2.2";

/// The client's version: as `docker`, the one of Docker whose behaviour it has.
pub(crate) fn version(program: &str) -> &'static str {
    if program == "docker" {
        DOCKER_VERSION
    } else {
        env!("CARGO_PKG_VERSION")
    }
}

/// What `--version` prints; as `docker` it is in the form scripts read.
pub(crate) fn version_line(program: &str) -> String {
    let own = env!("CARGO_PKG_VERSION");
    if program == "docker" {
        format!("Docker version {DOCKER_VERSION}, build dhow-{own}")
    } else {
        format!("Dhow version {own}, build docker-{DOCKER_VERSION}")
    }
}

/// Reads the flags, then the environment.
pub(crate) fn read(parsed: &Parsed) -> Result<Globals> {
    let level = parsed.text("log-level");
    if !LEVELS.contains(&level.to_lowercase().as_str()) {
        let text = format!("Unable to parse logging level: {level}");
        return Err(Error::text(text));
    }
    let hosts = parsed.list("host");
    if hosts.len() > 1 {
        return Err(Error::text(
            "Failed to initialize: unable to resolve docker endpoint: Specify only one -H",
        ));
    }
    let context = Some(parsed.text("context")).filter(|name| !name.is_empty());
    if context.is_some() && !hosts.is_empty() {
        let text = "conflicting options: cannot specify both --host and --context";
        return Err(Error::text(text));
    }
    let verify = if parsed.changed("tlsverify") {
        parsed.switch("tlsverify")
    } else {
        variable("DOCKER_TLS_VERIFY").is_some()
    };
    let named = ["tlscacert", "tlscert", "tlskey"]
        .iter()
        .any(|name| parsed.changed(name));
    let wanted = parsed.switch("tls") || variable("DOCKER_TLS").is_some() || verify || named;
    let folder = variable("DOCKER_CERT_PATH").map_or_else(|| folder(parsed), PathBuf::from);
    let file = |flag: &str, name: &str| match parsed.text(flag) {
        "" => folder.join(name),
        path => PathBuf::from(path),
    };
    let tls = wanted.then(|| TlsFiles {
        ca: file("tlscacert", "ca.pem"),
        cert: file("tlscert", "cert.pem"),
        key: file("tlskey", "key.pem"),
        verify,
    });
    Ok(Globals {
        host: hosts.into_iter().next(),
        context: context.map(str::to_owned),
        debug: parsed.switch("debug"),
        autostart: !parsed.switch("no-autostart")
            && variable("DHOW_AUTOSTART").is_none_or(|value| value != "0"),
        tls,
    })
}

/// The folder of the client's settings.
pub(crate) fn folder(parsed: &Parsed) -> PathBuf {
    match parsed.text("config") {
        "" => variable("DOCKER_CONFIG")
            .map(PathBuf::from)
            .unwrap_or_else(|| {
                let home = variable("HOME").unwrap_or_else(|| "/".to_owned());
                Path::new(&home).join(".docker")
            }),
        path => PathBuf::from(path),
    }
}
