//! `hosts.toml`: which servers to ask for a registry's images, as containerd reads it.
//!
//! ```toml
//! server = "https://registry.example"
//!
//! [host."https://mirror.example"]
//!   capabilities = ["pull", "resolve"]
//!   ca = "/etc/certs/mirror.pem"
//!   client = [["/etc/certs/client.cert", "/etc/certs/client.key"]]
//!   skip_verify = false
//!   override_path = false
//!   [host."https://mirror.example".header]
//!     x-token = "…"
//! ```
//!
//! The file is in the registry's folder below one of the folders for certificates (`/etc/docker/certs.d/HOST:PORT`,
//! also written `HOST_PORT_`), or in the folder `_default` for registries that have none. It is read for every image, so
//! that a change counts at once. Hosts are asked in the order of the file, the server last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use url::Url;

use crate::Error;

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// The registry's own server, where it is not the one of its name.
    pub(crate) server: Option<Host>,
    /// Those to ask before it.
    pub(crate) hosts: Vec<Host>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) url: Url,
    /// It may be asked what a tag leads to.
    pub(crate) resolve: bool,
    /// It may be asked for content.
    pub(crate) pull: bool,
    /// It is the one to give content to. That has to be said: what is named for nothing in particular is a cache.
    pub(crate) push: bool,
    /// The URL's path is the whole base of the API; nothing is put behind it.
    pub(crate) override_path: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) tls: TlsFiles,
}

/// How one server proves who it is, besides what goes for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct TlsFiles {
    /// Who is trusted.
    pub(crate) roots: Vec<PathBuf>,
    /// Who one is: a certificate and its key, which may be in one file.
    pub(crate) identities: Vec<(PathBuf, PathBuf)>,
    /// Anybody is trusted.
    pub(crate) skip_verify: bool,
}

impl Hosts {
    /// Reads the file for the registry `host`; nothing where there is none.
    pub(crate) fn read(folders: &[PathBuf], host: &str) -> Result<Option<Self>, Error> {
        let named = match host.rsplit_once(':') {
            Some((name, port)) => vec![host.to_owned(), format!("{name}_{port}_")],
            None => vec![host.to_owned()],
        };
        for folder in folders {
            for name in &named {
                let own = folder.join(name);
                if own.is_dir() {
                    // One that has certificates only is asked for itself.
                    return Self::read_file(&own.join("hosts.toml"));
                }
            }
        }
        for folder in folders {
            if let Some(hosts) = Self::read_file(&folder.join("_default/hosts.toml"))? {
                return Ok(Some(hosts));
            }
        }
        Ok(None)
    }

    fn read_file(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| Error::File {
            path: path.display().to_string(),
            source,
        };
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() <= LARGEST => {}
            Ok(_) => return Err(wrong(path, "it is larger than 1 MiB")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Self::parse(path, &text).map(Some)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        // In the order of the file, which is that of the servers.
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong(path, error.message()))?;
        let mut hosts = Self::default();
        if let Some(server) = table.get("server") {
            let url = text_of(path, "server", server)?;
            // What stands beside it is about the server.
            hosts.server = Some(Host::parse(path, url, &table)?);
        }
        let listed = match table.get("host") {
            None => return Ok(hosts),
            Some(Value::Table(listed)) => listed,
            Some(_) => return Err(wrong(path, "host must be a table")),
        };
        for (url, settings) in listed {
            let Value::Table(settings) = settings else {
                return Err(wrong(path, &format!("host.{url:?} must be a table")));
            };
            hosts.hosts.push(Host::parse(path, url, settings)?);
        }
        Ok(hosts)
    }
}

impl Host {
    fn parse(path: &Path, url: &str, settings: &Table) -> Result<Self, Error> {
        let with_scheme = match url.contains("://") {
            true => url.to_owned(),
            false => format!("https://{url}"),
        };
        let parsed = Url::parse(&with_scheme)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
            .ok_or_else(|| wrong(path, &format!("{url:?} is no http or https URL")))?;
        let capability = capabilities(path, settings)?;
        Ok(Self {
            url: parsed,
            resolve: capability("resolve"),
            pull: capability("pull"),
            push: settings.contains_key("capabilities") && capability("push"),
            override_path: flag(path, "override_path", settings)?,
            headers: headers(path, settings)?,
            tls: TlsFiles {
                roots: paths(path, "ca", settings)?,
                identities: identities(path, settings)?,
                skip_verify: flag(path, "skip_verify", settings)?,
            },
        })
    }
}

/// Which capabilities a host has; all, where none are named.
fn capabilities(path: &Path, settings: &Table) -> Result<impl Fn(&str) -> bool + use<>, Error> {
    let named = match settings.get("capabilities") {
        None => None,
        Some(Value::Array(list)) => {
            let mut names = Vec::new();
            for one in list {
                let name = text_of(path, "capabilities", one)?;
                if !matches!(name, "pull" | "resolve" | "push" | "referrers") {
                    return Err(wrong(path, &format!("unknown capability {name:?}")));
                }
                names.push(name.to_owned());
            }
            Some(names)
        }
        Some(_) => return Err(wrong(path, "capabilities must be a list")),
    };
    Ok(move |name: &str| {
        named
            .as_ref()
            .is_none_or(|names| names.iter().any(|one| one == name))
    })
}

fn headers(path: &Path, settings: &Table) -> Result<Vec<(String, String)>, Error> {
    let table = match settings.get("header") {
        None => return Ok(Vec::new()),
        Some(Value::Table(table)) => table,
        Some(_) => return Err(wrong(path, "header must be a table")),
    };
    let mut headers = Vec::new();
    for (name, value) in table {
        match value {
            Value::Array(list) => {
                for one in list {
                    headers.push((name.clone(), text_of(path, name, one)?.to_owned()));
                }
            }
            one => headers.push((name.clone(), text_of(path, name, one)?.to_owned())),
        }
    }
    Ok(headers)
}

/// One path or a list of them; relative ones are beside the file.
fn paths(path: &Path, key: &str, settings: &Table) -> Result<Vec<PathBuf>, Error> {
    let beside = |text: &str| path.parent().unwrap_or(path).join(text);
    match settings.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => {
            let texts = list.iter().map(|one| text_of(path, key, one));
            texts.map(|text| text.map(beside)).collect()
        }
        Some(one) => Ok(vec![beside(text_of(path, key, one)?)]),
    }
}

/// `"both.pem"`, `["both.pem"]`, or `[["client.cert", "client.key"]]`.
fn identities(path: &Path, settings: &Table) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let beside = |text: &str| path.parent().unwrap_or(path).join(text);
    let list = match settings.get("client") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    };
    let mut identities = Vec::new();
    for one in &list {
        let (certificate, key) = match one {
            Value::Array(pair) => match pair.as_slice() {
                [certificate, key] => (
                    text_of(path, "client", certificate)?,
                    text_of(path, "client", key)?,
                ),
                _ => return Err(wrong(path, "client takes pairs of certificate and key")),
            },
            both => (
                text_of(path, "client", both)?,
                text_of(path, "client", both)?,
            ),
        };
        let key = if key.is_empty() { certificate } else { key };
        identities.push((beside(certificate), beside(key)));
    }
    Ok(identities)
}

fn flag(path: &Path, key: &str, settings: &Table) -> Result<bool, Error> {
    match settings.get(key) {
        None => Ok(false),
        Some(Value::Boolean(value)) => Ok(*value),
        Some(_) => Err(wrong(path, &format!("{key} must be true or false"))),
    }
}

fn text_of<'a>(path: &Path, key: &str, value: &'a Value) -> Result<&'a str, Error> {
    value
        .as_str()
        .ok_or_else(|| wrong(path, &format!("{key} must be text")))
}

fn wrong(path: &Path, reason: &str) -> Error {
    Error::Config {
        what: path.display().to_string(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const FILE: &str = r#"
server = "https://registry.example"
skip_verify = true

[host."https://z.example/cache"]
  capabilities = ["pull", "resolve"]
  ca = "z.pem"
  client = [["a.cert", "a.key"]]
  [host."https://z.example/cache".header]
    x-one = "1"
    x-two = ["2", "3"]

[host."http://a.example:5000"]
  override_path = true
"#;

    #[test]
    fn servers_are_in_the_order_of_the_file() {
        let hosts = Hosts::parse(Path::new("/c/hosts.toml"), FILE).unwrap();
        let server = hosts.server.unwrap();
        assert_eq!(server.url.as_str(), "https://registry.example/");
        assert!(server.tls.skip_verify && !server.push);
        let [z, a] = <[Host; 2]>::try_from(hosts.hosts).unwrap();
        assert!(z.pull && z.resolve && !z.push && !z.tls.skip_verify);
        assert_eq!(z.tls.roots, [PathBuf::from("/c/z.pem")]);
        assert_eq!(z.tls.identities, [("/c/a.cert".into(), "/c/a.key".into())]);
        assert_eq!(z.headers.len(), 3);
        assert!(a.override_path && !a.push && a.url.scheme() == "http");
    }

    #[test]
    fn mistakes_are_told() {
        for (text, expected) in [
            ("server = 1", "server must be text"),
            ("[host.\"ftp://x\"]", "\"ftp://x\" is no http or https URL"),
            (
                "[host.\"x\"]\ncapabilities=[\"fly\"]",
                "unknown capability \"fly\"",
            ),
            (
                "[host.\"x\"]\nskip_verify=1",
                "skip_verify must be true or false",
            ),
            ("host = 1", "host must be a table"),
        ] {
            let error = Hosts::parse(Path::new("/h"), text).unwrap_err();
            let text = dhow_errdefs::chain(&error).to_string();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_registrys_own_folder_comes_before_the_one_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let write = |name: &str, server: &str| {
            let own = folder.path().join(name);
            fs::create_dir(&own).unwrap();
            fs::write(own.join("hosts.toml"), format!("server = \"{server}\"")).unwrap();
        };
        let server = |host: &str| {
            let read = Hosts::read(&folders, host).unwrap();
            read.and_then(|hosts| hosts.server)
                .map(|host| host.url.to_string())
        };
        assert_eq!(server("a.example"), None);
        write("_default", "https://all.example");
        write("a.example_5000_", "https://one.example");
        fs::create_dir(folder.path().join("b.example")).unwrap();
        assert_eq!(server("a.example").unwrap(), "https://all.example/");
        assert_eq!(server("a.example:5000").unwrap(), "https://one.example/");
        assert_eq!(server("b.example"), None);
    }
}
