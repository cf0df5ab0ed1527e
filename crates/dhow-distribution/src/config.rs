//! Settings of the registry client.

use std::path::PathBuf;
use std::time::Duration;

/// How registries are reached.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Hosts (`host`, `host:port`) and networks (`10.0.0.0/8`) whose certificates aren't checked and that may be plain
    /// HTTP. The loopback network always is one of them.
    pub insecure: Vec<String>,
    /// URLs of mirrors of Docker Hub, tried in order before the Hub itself.
    pub mirrors: Vec<String>,
    /// Folders with one folder per host: `ca.crt`, `*.cert`, `*.key`.
    pub certs_dirs: Vec<PathBuf>,
    /// Longest time to reach a host.
    pub connect_timeout: Duration,
    /// Longest silence of a host while it answers.
    pub read_timeout: Duration,
    /// How often a broken transfer is taken up again without having got further.
    pub retries: u32,
    /// Longest time to wait for a server that wants to be asked later; if it wants more, its refusal is the answer.
    pub longest_wait: Duration,
    /// What stands between us and the hosts.
    pub proxies: Proxies,
    /// What the client calls itself.
    pub user_agent: String,
}

/// Proxies, as their URLs; empty ones are none. The loopback network is always reached directly.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: String,
    /// For HTTPS.
    pub https: String,
    /// Hosts, domains and networks that are reached directly, separated by commas; `*` is all.
    pub except: String,
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URLs may have passwords in them.
        f.debug_struct("Proxies")
            .field("http", &!self.http.is_empty())
            .field("https", &!self.https.is_empty())
            .field("except", &self.except)
            .finish()
    }
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            mirrors: Vec::new(),
            certs_dirs: vec!["/etc/docker/certs.d".into(), "/etc/dhow/certs.d".into()],
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(60),
            retries: 5,
            proxies: Proxies::default(),
            longest_wait: Duration::from_secs(60),
            user_agent: concat!("dhow/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}
