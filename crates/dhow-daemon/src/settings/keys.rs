//! The values of the settings: decoded, checked, defaults filled in.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use dhow_engine::Defaults;
use dhow_engine::spec::{CgroupnsMode, IpcMode, LogConfig, Ulimit};
use dhow_network::{AddressPool, Prefix};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    EngineSettings, Error, Host, Listen, Logs, NetworkSettings, Paths, RegistrySettings, Settings,
    Tls,
};
use super::{builder, proxies};

pub(super) const DATA_ROOT: &str = "/var/lib/dhow";
pub(super) const EXEC_ROOT: &str = "/run/dhow";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Keys {
    bip: Option<String>,
    bridge: Option<String>,
    builder: builder::Section,
    cdi_spec_dirs: Option<Vec<PathBuf>>,
    cgroup_parent: Option<String>,
    data_root: Option<PathBuf>,
    debug: bool,
    default_address_pools: Vec<Pool>,
    default_cgroupns_mode: String,
    default_ipc_mode: String,
    default_runtime: Option<String>,
    default_shm_size: Option<Size>,
    default_ulimits: BTreeMap<String, Limit>,
    dns: Vec<String>,
    dns_opts: Vec<String>,
    dns_search: Vec<String>,
    exec_root: Option<PathBuf>,
    experimental: bool,
    features: BTreeMap<String, Value>,
    fixed_cidr: Option<String>,
    group: Option<String>,
    hosts: Vec<String>,
    host_gateway_ip: Option<String>,
    host_gateway_ips: Vec<String>,
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    icc: Option<bool>,
    init: bool,
    insecure_registries: Vec<String>,
    ip: Option<String>,
    ip_forward: Option<bool>,
    ip_masq: Option<bool>,
    json_file_unbounded: bool,
    labels: Vec<String>,
    log_driver: Option<String>,
    log_format: Option<String>,
    log_level: Option<String>,
    log_opts: BTreeMap<String, Value>,
    max_download_attempts: Option<u32>,
    mtu: Option<u32>,
    no_new_privileges: bool,
    no_proxy: Option<String>,
    pidfile: Option<PathBuf>,
    proxies: proxies::Section,
    raw_logs: bool,
    registry_mirrors: Vec<String>,
    runtimes: BTreeMap<String, Runtime>,
    seccomp_profile: Option<String>,
    shutdown_timeout: Option<i64>,
    tls: Option<bool>,
    tlscacert: Option<PathBuf>,
    tlscert: Option<PathBuf>,
    tlskey: Option<PathBuf>,
    tlsverify: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Pool {
    base: String,
    size: u8,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Limit {
    name: String,
    soft: i64,
    hard: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Runtime {
    path: PathBuf,
    runtime_args: Vec<String>,
    runtime_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

/// Decodes the merged keys; the error is a text for the file's complaint.
pub(super) fn decode(merged: Map<String, Value>) -> Result<Keys, String> {
    let merged = merged.into_iter().filter(|(_, value)| !value.is_null());
    serde_json::from_value(Value::Object(merged.collect())).map_err(|error| error.to_string())
}

fn wrong(setting: &'static str, text: impl Display) -> Error {
    Error::Value {
        setting,
        text: text.to_string(),
    }
}

fn parsed<T>(setting: &'static str, text: &str) -> Result<T, Error>
where
    T: FromStr<Err: Display>,
{
    text.parse().map_err(|error| wrong(setting, error))
}

fn address(setting: &'static str, text: &str) -> Result<IpAddr, Error> {
    let fail = |_| wrong(setting, format!("{text} is not an ip address"));
    text.parse().map_err(fail)
}

impl Keys {
    /// Checks the values and fills in the defaults.
    pub(super) fn settings(self, mut warnings: Vec<String>) -> Result<Settings, Error> {
        let seconds = match self.shutdown_timeout.unwrap_or(15) {
            // As in dockerd, -1 is to wait for as long as it takes.
            -1 => u64::MAX,
            seconds => u64::try_from(seconds)
                .map_err(|_| wrong("shutdown-timeout", "must be -1 or more"))?,
        };
        let paths = self.paths()?;
        warnings.extend(builder::warnings(&self.features));
        let disk = builder::disk(&paths.data_root);
        let builder = builder::settings(&self.builder, &self.features, disk);
        Ok(Settings {
            listen: self.listen(&paths)?,
            logs: self.logs()?,
            network: self.network()?,
            engine: self.engine()?,
            builder: builder.map_err(|text| wrong("builder", text))?,
            registry: RegistrySettings {
                proxies: proxies::Section {
                    http_proxy: self.http_proxy,
                    https_proxy: self.https_proxy,
                    no_proxy: self.no_proxy,
                }
                .proxies(self.proxies, |name| std::env::var(name).ok()),
                insecure: self.insecure_registries,
                mirrors: self.registry_mirrors,
                attempts: self.max_download_attempts.unwrap_or(5).max(1),
            },
            paths,
            shutdown_timeout: Duration::from_secs(seconds),
            warnings,
        })
    }

    fn paths(&self) -> Result<Paths, Error> {
        let absolute = |setting, path: &Option<PathBuf>, default: PathBuf| match path {
            None => Ok(default),
            Some(path) if path.is_absolute() => Ok(path.clone()),
            Some(path) => Err(wrong(
                setting,
                format!("{} is not an absolute path", path.display()),
            )),
        };
        let exec_root = absolute("exec-root", &self.exec_root, EXEC_ROOT.into())?;
        Ok(Paths {
            data_root: absolute("data-root", &self.data_root, DATA_ROOT.into())?,
            pidfile: absolute("pidfile", &self.pidfile, exec_root.join("dhow.pid"))?,
            exec_root,
        })
    }

    fn listen(&self, paths: &Paths) -> Result<Listen, Error> {
        let socket = paths.exec_root.join("dhow.sock");
        let hosts = self
            .hosts
            .iter()
            .map(|text| Host::parse(text, &socket).map_err(|error| wrong("host", error)))
            .collect::<Result<_, _>>()?;
        let verify = self.tlsverify.unwrap_or(false);
        let certificates = std::env::var_os("DOCKER_CERT_PATH").map_or_else(
            || {
                let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
                PathBuf::from(home).join(".docker")
            },
            PathBuf::from,
        );
        let or =
            |path: &Option<PathBuf>, name| path.clone().unwrap_or_else(|| certificates.join(name));
        Ok(Listen {
            hosts,
            group: self.group.clone().unwrap_or_else(|| "docker".to_owned()),
            group_given: self.group.is_some(),
            tls: Tls {
                enabled: verify || self.tls.unwrap_or(false),
                verify,
                declined: self.tls == Some(false) || self.tlsverify == Some(false),
                ca: or(&self.tlscacert, "ca.pem"),
                cert: or(&self.tlscert, "cert.pem"),
                key: or(&self.tlskey, "key.pem"),
            },
        })
    }

    fn logs(&self) -> Result<Logs, Error> {
        use tracing::Level;
        let level = match self.log_level.as_deref() {
            None | Some("" | "info") if self.debug => Level::DEBUG,
            None | Some("" | "info") => Level::INFO,
            Some("trace") => Level::TRACE,
            Some("debug") => Level::DEBUG,
            Some("warn" | "warning") => Level::WARN,
            Some("error" | "fatal" | "panic") => Level::ERROR,
            Some(other) => {
                return Err(wrong(
                    "log-level",
                    format!("invalid logging level: {other}"),
                ));
            }
        };
        let json = match self.log_format.as_deref() {
            None | Some("" | "text") => false,
            Some("json") => true,
            Some(other) => {
                return Err(wrong("log-format", format!("invalid log format: {other}")));
            }
        };
        Ok(Logs {
            level,
            json,
            raw: self.raw_logs,
        })
    }

    fn network(&self) -> Result<NetworkSettings, Error> {
        let prefix = |setting, text: &Option<String>| -> Result<Option<Prefix>, Error> {
            let text = text.as_deref().filter(|text| !text.is_empty());
            text.map(|text| parsed(setting, text)).transpose()
        };
        let pool = |pool: &Pool| -> Result<AddressPool, Error> {
            Ok(AddressPool {
                base: parsed("default-address-pool", &pool.base)?,
                size: pool.size,
            })
        };
        let bind = match self.ip.as_deref() {
            None | Some("") => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some(text) => address("ip", text)?,
        };
        if self.bip.is_some() && self.bridge.is_some() {
            return Err(wrong(
                "bip",
                "You specified -b & --bip, mutually exclusive options. Please specify only one",
            ));
        }
        Ok(NetworkSettings {
            bip: prefix("bip", &self.bip)?,
            bridge: self.bridge.clone().filter(|name| !name.is_empty()),
            fixed_cidr: prefix("fixed-cidr", &self.fixed_cidr)?,
            pools: self
                .default_address_pools
                .iter()
                .map(pool)
                .collect::<Result<_, _>>()?,
            mtu: self.mtu.filter(|mtu| *mtu != 0),
            bind,
            ip_forward: self.ip_forward.unwrap_or(true),
            icc: self.icc.unwrap_or(true),
            ip_masq: self.ip_masq.unwrap_or(true),
        })
    }

    fn engine(&self) -> Result<EngineSettings, Error> {
        if let Some(label) = self.labels.iter().find(|label| !label.contains('=')) {
            return Err(wrong("label", format!("bad attribute format: {label}")));
        }
        let mut runtimes = BTreeMap::new();
        for (name, runtime) in &self.runtimes {
            if !runtime.runtime_args.is_empty() || !runtime.runtime_type.is_empty() {
                return Err(wrong(
                    "runtimes",
                    format!("runtime {name}: runtimeArgs and runtimeType are not supported"),
                ));
            }
            runtimes.insert(name.clone(), runtime.path.clone());
        }
        Ok(EngineSettings {
            cgroup_parent: self
                .cgroup_parent
                .clone()
                .filter(|parent| !parent.is_empty()),
            runtimes,
            default_runtime: self
                .default_runtime
                .clone()
                .unwrap_or_else(|| "dhow".to_owned()),
            defaults: self.defaults()?,
            labels: self.labels.clone(),
            debug: self.debug,
            experimental: self.experimental,
        })
    }

    fn defaults(&self) -> Result<Defaults, Error> {
        let builtin = Defaults::default();
        let option = |(key, value): (&String, &Value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            (key.clone(), text)
        };
        let gateway = self
            .host_gateway_ips
            .first()
            .or(self.host_gateway_ip.as_ref());
        let log = LogConfig {
            driver: self.log_driver.clone().unwrap_or(builtin.log.driver),
            options: self.log_opts.iter().map(option).collect(),
        };
        dhow_logging::validate(&log.driver, &log.options)
            .map_err(|error| wrong("log-opts", format!("failed to set log opts: {error}")))?;
        Ok(Defaults {
            log,
            bounded_logs: !self.json_file_unbounded,
            shm_size: match &self.default_shm_size {
                None => builtin.shm_size,
                Some(Size::Bytes(bytes)) => *bytes,
                Some(Size::Text(text)) => size(text)?,
            },
            ipc_mode: match self.default_ipc_mode.as_str() {
                "" | "private" => IpcMode::Private,
                "shareable" => IpcMode::Shareable,
                other => {
                    let text = format!(
                        "IPC mode {other:?} is not supported: it must be private or shareable"
                    );
                    return Err(wrong("default-ipc-mode", text));
                }
            },
            cgroupns_mode: match self.default_cgroupns_mode.as_str() {
                "" => CgroupnsMode::Default,
                text => parsed("default-cgroupns-mode", text)?,
            },
            ulimits: self.ulimits(),
            init: self.init,
            no_new_privileges: self.no_new_privileges,
            seccomp_profile: self.seccomp()?,
            dns: self
                .dns
                .iter()
                .map(|text| address("dns", text))
                .collect::<Result<_, _>>()?,
            dns_search: self.dns_search.clone(),
            dns_options: self.dns_opts.clone(),
            host_gateway: gateway
                .map(|text| address("host-gateway-ip", text))
                .transpose()?,
            cdi_folders: self
                .cdi_spec_dirs
                .clone()
                .unwrap_or_else(|| Defaults::default().cdi_folders),
        })
    }

    fn ulimits(&self) -> Vec<Ulimit> {
        let limit = |(name, limit): (&String, &Limit)| Ulimit {
            name: if limit.name.is_empty() {
                name.clone()
            } else {
                limit.name.clone()
            },
            soft: limit.soft,
            hard: limit.hard,
        };
        self.default_ulimits.iter().map(limit).collect()
    }

    fn seccomp(&self) -> Result<Option<String>, Error> {
        match self.seccomp_profile.as_deref() {
            None | Some("" | "builtin") => Ok(None),
            Some("unconfined") => Ok(Some("unconfined".to_owned())),
            Some(path) => match std::fs::read_to_string(path) {
                Ok(profile) => Ok(Some(profile)),
                Err(error) => Err(wrong(
                    "seccomp-profile",
                    format!("opening seccomp profile ({path}) failed: {error}"),
                )),
            },
        }
    }
}

/// A size with a binary unit, `64M`, as `go-units` reads it.
fn size(text: &str) -> Result<u64, Error> {
    let fail = || wrong("default-shm-size", format!("invalid size: '{text}'"));
    bytes(text).ok_or_else(fail)
}

/// The same; none for what is no size.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let shift = match lower[digits.len()..]
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let number: u64 = digits.trim().parse().ok()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [
            ("64", 64),
            ("64b", 64),
            ("64k", 65536),
            ("1M", 1 << 20),
            ("2GiB", 2 << 30),
            ("1kb", 1024),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "x", "1x", "-1", "99999999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
