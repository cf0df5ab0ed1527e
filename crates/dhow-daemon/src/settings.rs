//! The daemon's settings: flags and `daemon.json` put together and checked, as dockerd does.
//!
//! [`table`] lists every setting; from it come the command line ([`flags`]), the keys of the file ([`file`]) and the
//! warnings about those that mean nothing here. [`keys`] reads the values, [`Settings`] is the checked result.

mod builder;
mod file;
mod flags;
mod host;
mod keys;
mod proxies;
mod table;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dhow_engine::Defaults;
use dhow_network::{AddressPool, Prefix};
use serde_json::{Map, Value};

pub(crate) use builder::BuilderSettings;
pub(crate) use flags::Flags;
pub(crate) use host::Host;
use table::{Meaning, by_key};

/// Where the settings file is unless `--config-file` says otherwise.
const CONFIG_FILE: &str = "/etc/dhow/daemon.json";

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line is wrong (or asks for help).
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// A flag's value has another form.
    #[error("invalid argument {value:?} for \"--{flag}\" flag: it must be {form}")]
    Flag {
        flag: &'static str,
        value: String,
        form: &'static str,
    },
    /// The file can't be read.
    #[error("unable to configure the Docker daemon with file {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file says what can't be.
    #[error("unable to configure the Docker daemon with file {}: {text}", path.display())]
    Configuration { path: PathBuf, text: String },
    /// A value can't be, wherever it came from.
    #[error("{setting}: {text}")]
    Value { setting: &'static str, text: String },
}

/// Everything the daemon is told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) paths: Paths,
    pub(crate) listen: Listen,
    pub(crate) logs: Logs,
    pub(crate) network: NetworkSettings,
    pub(crate) engine: EngineSettings,
    pub(crate) registry: RegistrySettings,
    pub(crate) builder: BuilderSettings,
    /// How long requests get to finish when the daemon ends.
    pub(crate) shutdown_timeout: Duration,
    /// What was given and means nothing here.
    pub(crate) warnings: Vec<String>,
}

/// Where things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) data_root: PathBuf,
    pub(crate) exec_root: PathBuf,
    pub(crate) pidfile: PathBuf,
}

/// Where the API is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listen {
    /// As given; none for the default sockets.
    pub(crate) hosts: Vec<Host>,
    /// The group of unix sockets.
    pub(crate) group: String,
    /// Whether `group` was asked for, so that it must exist.
    pub(crate) group_given: bool,
    pub(crate) tls: Tls,
}

/// TLS on TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) enabled: bool,
    pub(crate) verify: bool,
    /// TLS was turned off expressly, so that a plain TCP socket is meant.
    pub(crate) declined: bool,
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// The daemon's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Logs {
    pub(crate) level: tracing::Level,
    pub(crate) json: bool,
    pub(crate) raw: bool,
}

/// The networks.
#[derive(Debug, Clone)]
pub(crate) struct NetworkSettings {
    pub(crate) bip: Option<Prefix>,
    pub(crate) bridge: Option<String>,
    pub(crate) fixed_cidr: Option<Prefix>,
    pub(crate) pools: Vec<AddressPool>,
    pub(crate) mtu: Option<u32>,
    pub(crate) bind: IpAddr,
    pub(crate) ip_forward: bool,
    pub(crate) icc: bool,
    pub(crate) ip_masq: bool,
}

/// The engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineSettings {
    pub(crate) cgroup_parent: Option<String>,
    pub(crate) runtimes: BTreeMap<String, PathBuf>,
    pub(crate) default_runtime: String,
    pub(crate) defaults: Defaults,
    pub(crate) labels: Vec<String>,
    pub(crate) debug: bool,
    pub(crate) experimental: bool,
}

/// The registry client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegistrySettings {
    pub(crate) insecure: Vec<String>,
    pub(crate) mirrors: Vec<String>,
    pub(crate) attempts: u32,
    pub(crate) proxies: dhow_distribution::Proxies,
}

impl Settings {
    /// The name of this engine's instance: `dhow`, or one made of the data root, for everything in the kernel that
    /// must not meet another engine's.
    pub(crate) fn instance(&self) -> String {
        if self.paths.is_default() {
            return "dhow".to_owned();
        }
        let root = self.paths.data_root.as_os_str().as_encoded_bytes();
        let digest = dhow_oci::Digest::of(root).hex();
        format!("dhow-{}", &digest[..8])
    }
}

impl Paths {
    /// Whether this is the engine of the machine rather than one of several.
    pub(crate) fn is_default(&self) -> bool {
        self.data_root == Path::new(keys::DATA_ROOT) && self.exec_root == Path::new(keys::EXEC_ROOT)
    }
}

/// Reads the command line.
pub(crate) fn flags(args: Vec<OsString>) -> Result<Flags, Error> {
    flags::parse(args)
}

/// Puts the command line and the file together.
pub(crate) fn load(flags: &Flags) -> Result<Settings, Error> {
    let (path, required) = match &flags.config_file {
        Some(path) => (path.as_path(), true),
        None => (Path::new(CONFIG_FILE), false),
    };
    let file = file::read(path, required)?;
    let merged = file::merge(path, file, &flags.given)?;
    refuse(&merged)?;
    let warnings = warnings(&merged);
    let keys = keys::decode(merged).map_err(|text| Error::Configuration {
        path: path.to_owned(),
        text,
    })?;
    keys.settings(warnings)
}

/// Refuses settings that would protect something and are not there. Switched off, or empty, they ask for nothing.
fn refuse(merged: &Map<String, Value>) -> Result<(), Error> {
    for (key, value) in merged {
        let asks = match value {
            Value::Bool(on) => *on,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        if let Some(setting) = by_key(key)
            && let Meaning::Refused(why) = setting.meaning
            && asks
        {
            return Err(Error::Value {
                setting: setting.key,
                text: why.to_owned(),
            });
        }
    }
    Ok(())
}

fn warnings(merged: &Map<String, Value>) -> Vec<String> {
    let mut warnings: Vec<String> = merged
        .keys()
        .filter_map(|key| match by_key(key)?.meaning {
            Meaning::Nothing(why) => Some(format!("setting {key:?} has no effect here: {why}")),
            _ => None,
        })
        .collect();
    if merged.get("live-restore") == Some(&Value::Bool(false)) {
        warnings.push(
            "setting \"live-restore\" has no effect here: containers always live on when the daemon ends"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_would_protect_and_is_not_there_is_refused() {
        for (file, args) in [
            (r#"{"userns-remap": "default"}"#, &[][..]),
            (r#"{"authorization-plugins": ["x"]}"#, &[]),
            ("{}", &["--selinux-enabled"]),
        ] {
            let error = load_with(file, args).unwrap_err().to_string();
            assert!(
                error.contains("not implemented"),
                "{file} {args:?}: {error}"
            );
        }
        assert!(load_with(r#"{"userns-remap": "", "selinux-enabled": false}"#, &[]).is_ok());
    }

    fn load_with(file: &str, args: &[&str]) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.json");
        std::fs::write(&path, file).unwrap();
        let mut all = vec![OsString::from("--config-file"), path.into_os_string()];
        all.extend(args.iter().map(OsString::from));
        load(&flags(all)?)
    }

    fn fails(file: &str, args: &[&str]) -> String {
        dhow_errdefs::chain(&load_with(file, args).unwrap_err()).to_string()
    }

    #[test]
    fn nothing_said_is_the_machines_engine() {
        let settings = load_with("", &[]).unwrap();
        assert!(settings.paths.is_default());
        assert_eq!(settings.instance(), "dhow");
        assert_eq!(settings.paths.pidfile, Path::new("/run/dhow/dhow.pid"));
        assert!(settings.listen.hosts.is_empty() && settings.warnings.is_empty());
        assert_eq!(settings.shutdown_timeout, Duration::from_secs(15));
    }

    #[test]
    fn engines_with_other_roots_have_names_of_their_own() {
        let one = load_with("", &["--data-root", "/a", "--exec-root", "/b"]).unwrap();
        let other = load_with(r#"{"data-root": "/c"}"#, &[]).unwrap();
        assert_ne!(one.instance(), other.instance());
        assert_eq!(one.paths.pidfile, Path::new("/b/dhow.pid"));
        // The kernel's names of devices have at most 15 bytes.
        assert!(one.instance().len() <= 15 && one.instance().starts_with("dhow-"));
    }

    #[test]
    fn settings_without_meaning_are_warned_about() {
        let settings = load_with(
            r#"{"iptables": false, "live-restore": false}"#,
            &["--containerd", "/run/x.sock", "--userland-proxy=false"],
        )
        .unwrap();
        assert_eq!(settings.warnings.len(), 4, "{:?}", settings.warnings);
        assert!(
            settings
                .warnings
                .iter()
                .all(|text| text.contains("has no effect here: "))
        );
    }

    #[test]
    fn values_are_checked() {
        for (file, args, text) in [
            ("", &["--bip", "10.0.0"][..], "bip: "),
            (
                "",
                &["--dns", "nameserver"],
                "dns: nameserver is not an ip address",
            ),
            ("", &["--label", "x"], "label: bad attribute format: x"),
            (
                "",
                &["--log-level", "loud"],
                "log-level: invalid logging level: loud",
            ),
            (
                "",
                &["--default-shm-size", "big"],
                "default-shm-size: invalid size: 'big'",
            ),
            ("", &["--default-ipc-mode", "host"], "default-ipc-mode: "),
            (
                "",
                &["--log-format", "xml"],
                "log-format: invalid log format: xml",
            ),
            ("", &["-H", "ftp://x"], "host: "),
            ("", &["--data-root", "relative"], "data-root: "),
            (
                r#"{"mtu": "x"}"#,
                &[],
                "unable to configure the Docker daemon with file ",
            ),
        ] {
            let error = fails(file, args);
            assert!(error.starts_with(text), "{error}");
        }
    }

    #[test]
    fn values_are_read_from_either_place() {
        let settings = load_with(
            r#"{"bip": "10.9.8.1/24", "insecure-registries": ["r:5000"], "default-shm-size": "128M",
                "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 2, "Soft": 1}},
                "log-opts": {"max-size": "1m"}, "runtimes": {"crun": {"path": "/usr/bin/crun"}}}"#,
            &[
                "-H",
                "unix:///x.sock",
                "-H",
                "tcp://127.0.0.1",
                "--init",
                "--dns",
                "1.1.1.1",
                "-D",
            ],
        )
        .unwrap();
        assert_eq!(settings.network.bip.unwrap().to_string(), "10.9.8.1/24");
        assert_eq!(settings.registry.insecure, ["r:5000"]);
        assert_eq!(settings.engine.defaults.shm_size, 128 << 20);
        assert_eq!(settings.engine.defaults.ulimits[0].hard, 2);
        assert_eq!(settings.engine.defaults.log.options["max-size"], "1m");
        assert!(settings.engine.runtimes.contains_key("crun"));
        assert!(settings.engine.defaults.init && settings.engine.debug);
        assert_eq!(settings.logs.level, tracing::Level::DEBUG);
        let hosts = [
            Host::Unix("/x.sock".into()),
            Host::Tcp {
                address: "127.0.0.1".to_owned(),
                port: None,
            },
        ];
        assert_eq!(settings.listen.hosts, hosts);
    }
}
