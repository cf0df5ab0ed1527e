//! Which servers serve a registry's name, and how they may be reached.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::hosts::{Host, Hosts, TlsFiles};
use crate::{Error, RegistryConfig};

/// One server to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `host` or `host:port`, as in URLs and in `certs.d`.
    pub(crate) host: String,
    /// A path before `/v2/`, of a mirror that has one; without the last slash.
    pub(crate) prefix: String,
    /// Whether certificates are not checked and plain HTTP is tried.
    pub(crate) insecure: bool,
    /// Whether it is plain HTTP by its very address.
    pub(crate) plain: bool,
    /// A mirror never sees the user's credentials.
    pub(crate) mirror: bool,
    /// [`Self::prefix`] is the whole base of the API: `/v2` is not put behind it.
    pub(crate) whole_base: bool,
    /// The registry whose images are meant, told to servers that serve several.
    pub(crate) namespace: Option<String>,
    /// Header fields that the server wants to see.
    pub(crate) headers: Vec<(String, String)>,
    /// Certificates of its own.
    pub(crate) tls: TlsFiles,
}

/// What a server is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What a tag leads to.
    Resolve,
    /// Content by its digest.
    Pull,
}

impl Endpoint {
    /// The registry that has `domain` as its name.
    pub(crate) fn of_domain(domain: &str, config: &RegistryConfig) -> Self {
        let host = match domain {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            other => other,
        };
        Self {
            host: host.to_owned(),
            insecure: is_insecure(domain, &config.insecure),
            ..Self::default()
        }
    }

    fn of_host(host: Host, domain: &str, config: &RegistryConfig) -> Self {
        let own = Self::of_domain(domain, config).host;
        let name = host.url.host_str().unwrap_or_default();
        let address = host
            .url
            .port()
            .map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let mirror = address != own;
        Self {
            insecure: is_insecure(&address, &config.insecure),
            prefix: host.url.path().trim_end_matches('/').to_owned(),
            plain: host.url.scheme() == "http",
            mirror,
            whole_base: host.override_path,
            namespace: mirror.then(|| domain.to_owned()),
            headers: host.headers,
            tls: host.tls,
            host: address,
        }
    }

    fn of_mirror(mirror: &str, config: &RegistryConfig) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Config {
            what: format!("registry mirror {mirror:?}"),
            reason: reason.to_owned(),
        };
        let url = Url::parse(mirror).map_err(|e| wrong(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("must be an http or https URL"));
        }
        let name = url.host_str().ok_or_else(|| wrong("has no host"))?;
        let host = url
            .port()
            .map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        Ok(Self {
            insecure: is_insecure(&host, &config.insecure),
            prefix: url.path().trim_end_matches('/').to_owned(),
            plain: url.scheme() == "http",
            mirror: true,
            host,
            ..Self::default()
        })
    }

    /// Adds the header fields that the server wants to see.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.append(name, value);
            }
        }
    }

    /// The mirrors of Docker Hub that the settings name.
    ///
    /// # Errors
    /// One is no URL.
    pub(crate) fn mirrors(config: &RegistryConfig) -> Result<Vec<Self>, Error> {
        let mirrors = config.mirrors.iter();
        mirrors.map(|one| Self::of_mirror(one, config)).collect()
    }

    /// All servers to ask for `domain`'s images, in order: mirrors from the settings, those of `hosts.toml`, and the
    /// registry itself.
    ///
    /// # Errors
    /// A mirror is no URL, or `hosts.toml` can't be read or is malformed.
    pub(crate) fn for_pull(
        domain: &str,
        purpose: Purpose,
        config: &RegistryConfig,
    ) -> Result<Vec<Self>, Error> {
        let mut endpoints = match domain {
            "docker.io" => Self::mirrors(config)?,
            _ => Vec::new(),
        };
        let listed = Hosts::read(&config.certs_dirs, domain)?.unwrap_or_default();
        let wanted = |host: &Host| match purpose {
            Purpose::Resolve => host.resolve,
            Purpose::Pull => host.pull,
        };
        let hosts = listed.hosts.into_iter().filter(wanted);
        endpoints.extend(hosts.map(|host| Self::of_host(host, domain, config)));
        endpoints.push(Self::server(listed.server, domain, config));
        Ok(endpoints)
    }

    /// The server to push `domain`'s images to: the first of `hosts.toml` that takes them, else the registry itself.
    ///
    /// # Errors
    /// `hosts.toml` can't be read or is malformed.
    pub(crate) fn for_push(domain: &str, config: &RegistryConfig) -> Result<Self, Error> {
        let listed = Hosts::read(&config.certs_dirs, domain)?.unwrap_or_default();
        match listed.hosts.into_iter().find(|host| host.push) {
            Some(host) => Ok(Self::of_host(host, domain, config)),
            None => Ok(Self::server(listed.server, domain, config)),
        }
    }

    fn server(server: Option<Host>, domain: &str, config: &RegistryConfig) -> Self {
        match server {
            // It is the registry, wherever it is: it gets to see the credentials.
            Some(server) => Self {
                mirror: false,
                namespace: None,
                ..Self::of_host(server, domain, config)
            },
            None => Self::of_domain(domain, config),
        }
    }
}

/// Whether `host` is `host[:port]` of the list, in one of its networks, or on the loopback network.
pub(crate) fn is_insecure(host: &str, list: &[String]) -> bool {
    let name = without_port(host);
    if is_loopback(name) {
        return true;
    }
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    list.iter().any(|entry| {
        let entry = entry
            .trim_start_matches("http://")
            .trim_start_matches("https://")
            .trim_end_matches('/');
        entry == host || entry == name || address.is_some_and(|address| is_within(address, entry))
    })
}

/// Whether it is `localhost` or a loopback address.
pub(crate) fn is_loopback(name: &str) -> bool {
    let name = name.trim_matches(['[', ']']);
    name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The host's name without its port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && port.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}

fn is_within(address: IpAddr, network: &str) -> bool {
    let Some((base, bits)) = network.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let shift = 32_u32.saturating_sub(bits);
            u64::from(a.to_bits()) >> shift == u64::from(b.to_bits()) >> shift
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let shift = 128_u32.saturating_sub(bits);
            let cut = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
            cut(a.to_bits()) == cut(b.to_bits())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn insecure_hosts_and_networks() {
        let list = [
            "reg.local:5000".to_owned(),
            "10.1.0.0/16".to_owned(),
            "plain".to_owned(),
        ];
        for (host, want) in [
            ("localhost:5000", true),
            ("127.0.0.3", true),
            ("[::1]:5000", true),
            ("reg.local:5000", true),
            ("reg.local", false),
            ("plain:80", true),
            ("10.1.2.3:5000", true),
            ("10.2.2.3", false),
            ("docker.io", false),
        ] {
            assert_eq!(is_insecure(host, &list), want, "{host}");
        }
    }

    #[test]
    fn mirrors_come_first_and_only_for_the_hub() {
        let config = RegistryConfig {
            mirrors: vec![
                "http://localhost:5555/cache/".into(),
                "https://mirror.example".into(),
            ],
            ..RegistryConfig::default()
        };
        let hosts = |domain| {
            let endpoints = Endpoint::for_pull(domain, Purpose::Pull, &config).unwrap();
            endpoints.into_iter().map(|e| e.host).collect::<Vec<_>>()
        };
        assert_eq!(
            hosts("docker.io"),
            ["localhost:5555", "mirror.example", "registry-1.docker.io"]
        );
        assert_eq!(hosts("quay.io"), ["quay.io"]);
        let first = &Endpoint::mirrors(&config).unwrap()[0];
        assert!(first.plain && first.mirror && first.prefix == "/cache");
        let broken = RegistryConfig {
            mirrors: vec!["ftp://x".into()],
            ..RegistryConfig::default()
        };
        assert!(Endpoint::mirrors(&broken).is_err());
    }
}
