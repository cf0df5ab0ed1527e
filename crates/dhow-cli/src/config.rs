//! Where the settings of one run come from: global flags, the environment, `config.json` and contexts.

pub(crate) mod context;
pub(crate) mod credentials;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed};

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

/// A variable of the environment that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The global settings.
#[derive(Debug, Clone)]
pub(crate) struct Globals {
    /// `-H`.
    pub(crate) host: Option<String>,
    /// `--context`.
    pub(crate) context: Option<String>,
    pub(crate) debug: bool,
    pub(crate) autostart: bool,
    /// TLS for `tcp://`, and whether the engine's certificate is checked.
    pub(crate) tls: Option<TlsFiles>,
}

/// Where TLS keys and certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) verify: bool,
}

impl Globals {
    /// Reads the flags, then the environment.
    pub(crate) fn new(parsed: &Parsed) -> Result<Self> {
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
        Ok(Self {
            host: hosts.into_iter().next(),
            context: context.map(str::to_owned),
            debug: parsed.switch("debug"),
            autostart: !parsed.switch("no-autostart")
                && variable("DHOW_AUTOSTART").is_none_or(|value| value != "0"),
            tls,
        })
    }
}

/// The folder of the client's settings.
fn folder(parsed: &Parsed) -> PathBuf {
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

/// `config.json`, kept whole so that writing it back loses nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) folder: PathBuf,
    values: Map<String, Value>,
}

impl Config {
    /// Reads the file; a missing one is empty, a broken one gives a warning like Docker's.
    pub(crate) fn load(globals: &Parsed) -> Result<Self> {
        Self::load_from(folder(globals))
    }

    /// Reads the file in `folder`.
    pub(crate) fn load_from(folder: PathBuf) -> Result<Self> {
        let path = folder.join("config.json");
        let values = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::text(format!(
                    "Error loading config file: {}: {error}",
                    path.display()
                ))
            })?,
            Err(_) => Map::new(),
        };
        Ok(Self { folder, values })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    /// A text setting, where it is one.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.values
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A setting that is an object.
    pub(crate) fn object(&self, key: &str) -> Option<&Map<String, Value>> {
        self.values.get(key).and_then(Value::as_object)
    }

    /// The object under `key`, made where there is none.
    pub(crate) fn object_mut(&mut self, key: &str) -> &mut Map<String, Value> {
        let value = self
            .values
            .entry(key)
            .or_insert_with(|| Value::Object(Map::new()));
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        value.as_object_mut().expect("it was made an object above")
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.values.insert(key.to_owned(), value);
    }

    pub(crate) fn unset(&mut self, key: &str) {
        self.values.shift_remove(key);
    }

    /// Writes the file back, readable by its owner only, in one step.
    pub(crate) fn save(&self) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path();
        let failed = |error| Error::io(format!("write {}", path.display()), error);
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        // Where the file is a link, what it leads to is replaced.
        let target = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let temporary = target.with_extension(format!("json{}", std::process::id()));
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&self.values, &mut serializer)
            .map_err(|error| Error::text(error.to_string()))?;
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| std::fs::rename(&temporary, &target));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written.map_err(failed)
    }
}
