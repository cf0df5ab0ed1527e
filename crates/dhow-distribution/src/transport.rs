//! Requests to one server: connections, plain-HTTP fallback, redirects, and errors in Go's words.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::{Body, Client, Response};
use url::Url;

use crate::boundary::{may_lead, shown};
use crate::host::{Endpoint, is_insecure, is_loopback, without_port};
use crate::hosts::TlsFiles;
use crate::registry::back_off;
use crate::{Error, Proxies, RegistryConfig, tls};

const MOST_REDIRECTS: usize = 10;
/// How often a request is sent again whose connection broke before the answer.
const MOST_BROKEN: u32 = 3;
/// How much may be on its way here over HTTP/2, for one request and for all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Connections to all servers; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: RegistryConfig,
    clients: Mutex<HashMap<ClientKey, Client>>,
    /// Hosts found to speak plain HTTP.
    plain: Mutex<HashMap<String, bool>>,
    /// Hosts with certificates of their own.
    certificates: Mutex<HashMap<String, TlsFiles>>,
}

/// What makes clients differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    host: String,
    insecure: bool,
    /// Over HTTP/1.1, each request on a connection of its own.
    bulk: bool,
    tls: TlsFiles,
}

/// One request, without its authorization.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query after the host, beginning with `/`.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<bytes::Bytes>,
    /// Carries so much that it deserves a connection of its own.
    pub(crate) bulk: bool,
    /// Worth waiting for: not, where somebody else does the same if this fails.
    pub(crate) patient: bool,
}

impl Request {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: None,
            bulk: false,
            patient: true,
        }
    }

    pub(crate) fn header(mut self, name: http::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }
}

impl Transport {
    pub(crate) fn new(config: RegistryConfig) -> Self {
        let shared = Shared {
            config,
            clients: Mutex::default(),
            plain: Mutex::default(),
            certificates: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn config(&self) -> &RegistryConfig {
        &self.shared.config
    }

    /// Sends `request` to `endpoint`, over plain HTTP if that is allowed and all there is, and follows redirects; a
    /// redirect to another host goes without `authorization`.
    pub(crate) async fn send(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let url = self.url(endpoint, &request.path)?;
        self.know(endpoint);
        let anonymous = request;
        let request = &with_headers(request, endpoint);
        let first = self
            .hop(&url, endpoint.insecure, request, authorization)
            .await;
        let (mut url, mut response) = match first {
            Ok(response) => (url, response),
            Err(failure) if self.may_be_plain(endpoint, &url, &failure) => {
                let plain = with_scheme(&url, "http");
                match self.hop(&plain, true, request, authorization).await {
                    Ok(response) => {
                        self.remember_plain(&endpoint.host);
                        (plain, response)
                    }
                    // The first attempt's error is what Docker shows.
                    Err(_) => return Err(failure.into_error()),
                }
            }
            Err(failure) => return Err(failure.into_error()),
        };
        let mut authorization = authorization;
        let mut asked = request;
        for _ in 0..MOST_REDIRECTS {
            if !is_redirect(response.status(), &request.method) {
                return Ok(response);
            }
            let target = redirect_target(&url, response.headers())?;
            if url.scheme() == "https" && target.scheme() == "http" && !endpoint.insecure {
                return Err(protocol(&url, "redirect from https to http"));
            }
            if !may_lead(&url, &target) {
                return Err(protocol(&url, "redirect into this machine"));
            }
            if target.host_str() != url.host_str()
                || target.port_or_known_default() != url.port_or_known_default()
            {
                authorization = None;
                asked = anonymous;
            }
            let insecure = is_insecure(&authority(&target), &self.shared.config.insecure);
            response = self
                .hop(&target, insecure, asked, authorization)
                .await
                .map_err(Failure::into_error)?;
            url = target;
        }
        Err(protocol(&url, "stopped after 10 redirects"))
    }

    /// Sends a request that is not to be repeated, with a body that can't be, to an address the registry gave.
    pub(crate) async fn upload(
        &self,
        url: &Url,
        method: Method,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, Error> {
        let insecure = is_insecure(&authority(url), &self.shared.config.insecure);
        let client = self.client(url, insecure, true)?;
        let request = client
            .request(method.clone(), url.clone())
            .headers(headers)
            .body(body);
        request
            .send()
            .await
            .map_err(|e| Failure::new(&method, url, e).into_error())
    }

    /// Sends one request to a URL outside any registry (a token server), without redirects.
    pub(crate) async fn plain_request(
        &self,
        url: &Url,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let insecure = is_insecure(&authority(url), &self.shared.config.insecure);
        self.hop(url, insecure, request, authorization)
            .await
            .map_err(Failure::into_error)
    }

    /// The address of `path` on `endpoint`.
    pub(crate) fn url(&self, endpoint: &Endpoint, path: &str) -> Result<Url, Error> {
        let known = lock(&self.shared.plain);
        let plain = endpoint.plain || known.contains_key(&endpoint.host);
        let scheme = if plain { "http" } else { "https" };
        let below = match endpoint.whole_base {
            true => path.strip_prefix("/v2").unwrap_or(path),
            false => path,
        };
        let mut text = format!("{scheme}://{}{}{below}", endpoint.host, endpoint.prefix);
        if let Some(namespace) = &endpoint.namespace {
            text.push(if text.contains('?') { '&' } else { '?' });
            text.push_str("ns=");
            text.push_str(namespace);
        }
        Url::parse(&text).map_err(|e| Error::Protocol {
            url: text,
            reason: e.to_string(),
        })
    }

    /// Sends one request; one that changes nothing is sent again when the connection broke under it.
    async fn hop(
        &self,
        url: &Url,
        insecure: bool,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Failure> {
        let harmless = matches!(request.method, Method::GET | Method::HEAD) && request.patient;
        let most = self.shared.config.retries.min(MOST_BROKEN);
        let mut attempt = 0;
        loop {
            match self.hop_once(url, insecure, request, authorization).await {
                Err(Failure::Theirs { broken: true, .. }) if harmless && attempt < most => {
                    tokio::time::sleep(back_off(attempt)).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn hop_once(
        &self,
        url: &Url,
        insecure: bool,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Failure> {
        let client = self
            .client(url, insecure, request.bulk)
            .map_err(|e| Failure::Ours(Box::new(e)))?;
        let mut builder = client
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone());
        if let Some(value) = authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let limit = self.shared.config.read_timeout + self.shared.config.connect_timeout;
        match tokio::time::timeout(limit, builder.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let mut failure = Failure::new(&request.method, url, error);
                failure.name_address(url).await;
                Err(failure)
            }
            Err(_) => Err(Failure::Theirs {
                method: request.method.clone(),
                url: url.clone(),
                reason: "net/http: timeout awaiting response headers".into(),
                not_tls: false,
                refused: false,
                broken: false,
            }),
        }
    }

    /// The client for a server. Small requests share a connection (HTTP/2, where the server can); each large transfer
    /// gets one of its own, as several make more of a slow path than one that carries them all.
    fn client(&self, url: &Url, insecure: bool, bulk: bool) -> Result<Client, Error> {
        let host = authority(url);
        // Plain HTTP needs no certificates, so none are read for it.
        let insecure = insecure || url.scheme() == "http";
        let own = lock(&self.shared.certificates).get(&host).cloned();
        let own = own.unwrap_or_default();
        let key = ClientKey {
            host: host.clone(),
            insecure,
            bulk,
            tls: own.clone(),
        };
        let mut clients = lock(&self.shared.clients);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let config = &self.shared.config;
        let mut tls = tls::client_config(&host, insecure, &config.certs_dirs, &own)?;
        tls.alpn_protocols = match bulk {
            true => vec![b"http/1.1".to_vec()],
            false => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(&config.user_agent)
            .connect_timeout(config.connect_timeout)
            .tcp_keepalive(Duration::from_secs(15))
            .pool_idle_timeout(Duration::from_secs(30));
        builder = match bulk {
            true => builder.http1_only(),
            false => builder
                .http2_initial_stream_window_size(STREAM_WINDOW)
                .http2_initial_connection_window_size(CONNECTION_WINDOW),
        };
        // Never those of the environment: whoever reads that has told us.
        builder = builder.no_proxy();
        if !is_loopback(without_port(&host)) {
            for proxy in proxies(&config.proxies)? {
                builder = builder.proxy(proxy);
            }
        }
        let client = builder.build().map_err(|e| Error::Config {
            what: format!("client for {host}"),
            reason: dhow_errdefs::chain(&e).to_string(),
        })?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    /// Remembers the certificates of an endpoint that has some of its own.
    fn know(&self, endpoint: &Endpoint) {
        if endpoint.tls != TlsFiles::default() {
            let mut known = lock(&self.shared.certificates);
            known.insert(endpoint.host.clone(), endpoint.tls.clone());
        }
    }

    fn may_be_plain(&self, endpoint: &Endpoint, url: &Url, failure: &Failure) -> bool {
        endpoint.insecure
            && url.scheme() == "https"
            && matches!(failure, Failure::Theirs { not_tls, refused, .. }
                if *not_tls || (*refused && url.port().is_none()))
    }

    fn remember_plain(&self, host: &str) {
        lock(&self.shared.plain).insert(host.to_owned(), true);
    }
}

/// The proxies that the settings name.
pub(crate) fn proxies(settings: &Proxies) -> Result<Vec<reqwest::Proxy>, Error> {
    type Make = fn(&str) -> reqwest::Result<reqwest::Proxy>;
    let http: Make = |url| reqwest::Proxy::http(url);
    let https: Make = |url| reqwest::Proxy::https(url);
    let mut proxies = Vec::new();
    for (url, make) in [(&settings.http, http), (&settings.https, https)] {
        if url.is_empty() {
            continue;
        }
        let proxy = make(url).map_err(|e| Error::Config {
            what: "proxy".into(),
            reason: dhow_errdefs::chain(&e).to_string(),
        })?;
        proxies.push(proxy.no_proxy(reqwest::NoProxy::from_string(&settings.except)));
    }
    Ok(proxies)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The request with the fields that a server wants to see.
fn with_headers(request: &Request, endpoint: &Endpoint) -> Request {
    let mut request = request.clone();
    endpoint.add_headers(&mut request.headers);
    request
}

/// `host[:port]` of a URL.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn with_scheme(url: &Url, scheme: &str) -> Url {
    let mut changed = url.clone();
    // Between http and https this can't fail.
    let _ = changed.set_scheme(scheme);
    changed
}

fn is_redirect(status: StatusCode, method: &Method) -> bool {
    let followed = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    followed && (*method == Method::GET || *method == Method::HEAD)
}

fn redirect_target(url: &Url, headers: &HeaderMap) -> Result<Url, Error> {
    let location = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| protocol(url, "redirect without a location"))?;
    let target = url
        .join(location)
        .map_err(|e| protocol(url, &e.to_string()))?;
    if !matches!(target.scheme(), "http" | "https") {
        return Err(protocol(url, "redirect to something other than http"));
    }
    Ok(target)
}

pub(crate) fn protocol(url: &Url, reason: &str) -> Error {
    Error::Protocol {
        url: shown(url),
        reason: reason.to_owned(),
    }
}

/// A request that got no answer.
#[derive(Debug)]
enum Failure {
    Ours(Box<Error>),
    Theirs {
        method: Method,
        url: Url,
        reason: String,
        /// The other side doesn't speak TLS.
        not_tls: bool,
        /// Nobody listens there.
        refused: bool,
        /// The connection broke, which it may not do again.
        broken: bool,
    },
}

impl Failure {
    fn new(method: &Method, url: &Url, error: reqwest::Error) -> Self {
        let not_tls = is_not_tls(&error);
        let io = find_io(&error);
        let refused = io.is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
        let reason = go_reason(url, &error);
        let cut = io.is_some_and(|e| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            matches!(
                e.kind(),
                ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof
            )
        });
        Self::Theirs {
            method: method.clone(),
            url: url.clone(),
            not_tls,
            refused,
            broken: !not_tls && (cut || reason == "EOF"),
            reason,
        }
    }

    /// Go names the address that refused; reqwest doesn't, so it is looked up again.
    async fn name_address(&mut self, url: &Url) {
        let Self::Theirs { reason, .. } = self else {
            return;
        };
        let Some(rest) = reason.strip_prefix("dial tcp: connect: ") else {
            return;
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port_or_known_default().unwrap_or(0);
        let Ok(addresses) = tokio::net::lookup_host((host, port)).await else {
            return;
        };
        let addresses: Vec<_> = addresses.collect();
        if let Some(address) = addresses
            .iter()
            .find(|a| a.is_ipv4())
            .or_else(|| addresses.first())
        {
            *reason = format!("dial tcp {address}: connect: {rest}");
        }
    }

    fn into_error(self) -> Error {
        match self {
            Self::Ours(error) => *error,
            Self::Theirs {
                method,
                url,
                reason,
                ..
            } => Error::Request {
                method: go_method(&method),
                url: shown(&url),
                reason,
            },
        }
    }
}

/// `HEAD` as Go's errors write it: `Head`.
fn go_method(method: &Method) -> String {
    let (first, rest) = method.as_str().split_at(1);
    format!("{first}{}", rest.to_ascii_lowercase())
}

/// The error and all its sources, outermost first. What an `io::Error` wraps is one too, though its `source` skips it.
fn sources(error: &reqwest::Error) -> Vec<&(dyn StdError + 'static)> {
    let mut all: Vec<&(dyn StdError + 'static)> = vec![error];
    while let Some(last) = all.last().copied() {
        let wrapped = last
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped
            .map(|inner| inner as &(dyn StdError + 'static))
            .or_else(|| last.source())
        {
            Some(next) => all.push(next),
            None => break,
        }
    }
    all
}

fn find_io(error: &reqwest::Error) -> Option<&io::Error> {
    // An io::Error may wrap another; the innermost one is the system's.
    sources(error)
        .into_iter()
        .filter_map(|e| e.downcast_ref::<io::Error>())
        .last()
}

fn find_tls(error: &reqwest::Error) -> Option<&rustls::Error> {
    sources(error)
        .into_iter()
        .find_map(|e| e.downcast_ref::<rustls::Error>())
}

fn is_not_tls(error: &reqwest::Error) -> bool {
    matches!(find_tls(error), Some(rustls::Error::InvalidMessage(_)))
}

/// Why a request got no answer, in the words of Go's net package, as Docker's users know them.
fn go_reason(url: &Url, error: &reqwest::Error) -> String {
    if let Some(tls) = find_tls(error) {
        return match tls {
            rustls::Error::InvalidMessage(_) => {
                "http: server gave HTTP response to HTTPS client".into()
            }
            rustls::Error::InvalidCertificate(reason) => {
                format!(
                    "tls: failed to verify certificate: x509: {}",
                    go_certificate(reason)
                )
            }
            rustls::Error::AlertReceived(alert) => format!("remote error: tls: {alert:?}"),
            other => format!("tls: {other}"),
        };
    }
    if error.is_timeout() {
        return "dial tcp: i/o timeout".into();
    }
    match find_io(error) {
        Some(io) => match io.kind() {
            io::ErrorKind::ConnectionRefused => "dial tcp: connect: connection refused".into(),
            io::ErrorKind::NetworkUnreachable => "dial tcp: connect: network is unreachable".into(),
            io::ErrorKind::HostUnreachable => "dial tcp: connect: no route to host".into(),
            io::ErrorKind::ConnectionReset => "read: connection reset by peer".into(),
            io::ErrorKind::UnexpectedEof => "EOF".into(),
            _ if error.is_connect() && io.raw_os_error().is_none() => {
                let host = url.host_str().unwrap_or_default();
                format!("dial tcp: lookup {host}: no such host")
            }
            _ => io.to_string(),
        },
        None if error.is_request() => sources(error).last().map_or_else(
            || "EOF".into(),
            |last| match last.to_string().as_str() {
                text if text.contains("connection closed") => "EOF".into(),
                text => text.to_owned(),
            },
        ),
        None => error.to_string(),
    }
}

fn go_certificate(reason: &rustls::CertificateError) -> String {
    match reason {
        rustls::CertificateError::UnknownIssuer => "certificate signed by unknown authority".into(),
        rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
            "certificate has expired or is not yet valid".into()
        }
        rustls::CertificateError::NotValidForName
        | rustls::CertificateError::NotValidForNameContext { .. } => {
            "certificate is not valid for this name".into()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn methods_in_gos_words() {
        assert_eq!(go_method(&Method::HEAD), "Head");
        assert_eq!(go_method(&Method::GET), "Get");
    }

    #[test]
    fn redirects_are_joined_and_checked() {
        let url = Url::parse("https://a.b/v2/x").unwrap();
        let to = |location: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            redirect_target(&url, &headers)
        };
        assert_eq!(to("/y").unwrap().as_str(), "https://a.b/y");
        assert_eq!(to("https://c.d/z?q").unwrap().as_str(), "https://c.d/z?q");
        assert!(to("file:///etc/passwd").is_err());
        assert!(redirect_target(&url, &HeaderMap::new()).is_err());
    }
}
