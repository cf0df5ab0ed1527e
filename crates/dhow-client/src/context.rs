//! Contexts: named engines under `<config>/contexts/meta/*/meta.json`, their certificates under
//! `<config>/contexts/tls/*/docker/`; the folders' names are the digests of the contexts'.

mod archive;
mod store;

use std::path::PathBuf;

use serde_json::Value;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::settings::{Globals, TlsFiles, variable};

pub use archive::{export, import};
pub use store::{Material, check_name, create, exists, folders, material, remove, replace};

/// The name of the context that is made of flags and the environment.
pub const DEFAULT: &str = "default";
/// What contexts call an engine, among what they may lead to.
const ENDPOINT: &str = "docker";

/// The address used where nobody names another one.
pub const DEFAULT_HOST: &str = "unix:///run/dhow/dhow.sock";

/// An engine's address and how it was chosen.
#[derive(Debug, Clone)]
pub struct Target {
    /// An address with its scheme.
    pub host: String,
    /// How to speak TLS, where it is to be spoken.
    pub tls: Option<TlsFiles>,
    /// Nobody chose it, so that an engine may be started there.
    pub default: bool,
}

/// A context as its file describes it.
#[derive(Debug, Clone)]
pub struct Context {
    /// What it is called.
    pub name: String,
    /// What its owner says of it.
    pub description: String,
    /// The engine's address; empty where it names none.
    pub host: String,
    skip_verify: bool,
    tls: PathBuf,
    /// The file's own JSON.
    pub document: Value,
}

/// The name of the context in use, as Docker decides: a named host goes before the environment's and the file's.
pub fn current(globals: &Globals, config: &Config) -> String {
    if let Some(name) = &globals.context {
        return name.clone();
    }
    let host = globals.host.is_some()
        || variable("DHOW_HOST").is_some()
        || variable("DOCKER_HOST").is_some();
    if host {
        return DEFAULT.to_owned();
    }
    variable("DOCKER_CONTEXT")
        .or_else(|| config.text("currentContext").map(str::to_owned))
        .unwrap_or_else(|| DEFAULT.to_owned())
}

/// The engine to talk to.
///
/// # Errors
/// If the context in use does not exist or names no engine.
pub fn target(globals: &Globals, config: &Config) -> Result<Target> {
    let name = current(globals, config);
    if name == DEFAULT {
        return Ok(default_target(globals));
    }
    let context = find(config, &name).and_then(|context| {
        if context.has_endpoint() {
            return Ok(context);
        }
        let text = format!("cannot find docker endpoint in context {name:?}");
        Err(Error::text(text))
    });
    let context = context.map_err(|error| {
        let text = format!("Failed to initialize: unable to resolve docker endpoint: {error}");
        Error::text(text)
    })?;
    let tls = context.tls_files();
    Ok(Target {
        host: context.host,
        tls,
        default: false,
    })
}

/// The engine of the context `default`: that of `-H`, else the environment's.
#[must_use]
pub fn default_target(globals: &Globals) -> Target {
    let named = globals
        .host
        .clone()
        .or_else(|| variable("DHOW_HOST"))
        .or_else(|| variable("DOCKER_HOST"));
    Target {
        default: named.is_none(),
        host: named.unwrap_or_else(|| DEFAULT_HOST.to_owned()),
        tls: globals.tls.clone(),
    }
}

/// The context called `name`.
///
/// # Errors
/// If there is none.
pub fn find(config: &Config, name: &str) -> Result<Context> {
    let found = all(config).into_iter().find(|context| context.name == name);
    found.ok_or_else(|| {
        let file = store::meta_folder(config, name).join("meta.json");
        Error::text(format!(
            "context {name:?}: context not found: open {}: no such file or directory",
            file.display()
        ))
    })
}

/// Every context there is, by name, without the default one.
pub fn all(config: &Config) -> Vec<Context> {
    let contexts = config.folder.join("contexts");
    let entries = std::fs::read_dir(contexts.join("meta"))
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<Context> = entries
        .filter_map(|entry| {
            let bytes = std::fs::read(entry.path().join("meta.json")).ok()?;
            let document: Value = serde_json::from_slice(&bytes).ok()?;
            let text = |pointer: &str| {
                document
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            Some(Context {
                name: text("/Name"),
                description: text("/Metadata/Description"),
                host: text("/Endpoints/docker/Host"),
                skip_verify: document.pointer("/Endpoints/docker/SkipTLSVerify")
                    == Some(&Value::Bool(true)),
                tls: contexts.join("tls").join(entry.file_name()).join(ENDPOINT),
                document,
            })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

impl Context {
    /// Whether it names an engine at all.
    #[must_use]
    pub fn has_endpoint(&self) -> bool {
        self.document.pointer("/Endpoints/docker").is_some()
    }

    fn tls_files(&self) -> Option<TlsFiles> {
        self.tls.is_dir().then(|| TlsFiles {
            ca: self.tls.join("ca.pem"),
            cert: self.tls.join("cert.pem"),
            key: self.tls.join("key.pem"),
            verify: !self.skip_verify,
        })
    }
}
