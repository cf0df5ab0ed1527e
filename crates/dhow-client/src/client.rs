//! [`Client`]: requests, answers, and the connection they share.

use std::cell::RefCell;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::config::Config;
use crate::connect::{self, Endpoint};
use crate::context::{self, Target};
use crate::error::{Error, Result};
use crate::request::{Body, Request};
use crate::settings::{Globals, variable};
use dhow_golang::io_text;

/// The newest API version this client speaks: that of Docker's command line 28, whose scripts rely on fields that
/// version 1.52 has dropped (`.NetworkSettings.IPAddress`).
pub const MAX_VERSION: &str = "1.51";
/// What an engine speaks that does not say.
const OLD_VERSION: &str = "1.24";

/// Starts an engine at the default address, where nobody answers there; returns when it serves.
pub type Autostart = fn() -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// The engine, as seen from here.
pub struct Client {
    target: Target,
    endpoint: Endpoint,
    autostart: Option<Autostart>,
    headers: Vec<(String, String)>,
    idle: RefCell<Option<SendRequest<Body>>>,
    version: OnceCell<String>,
    server_os: RefCell<String>,
}

/// An answer whose body has not been read.
pub struct Response {
    /// The answer's headers.
    pub headers: http::HeaderMap,
    /// What has not been read yet.
    pub body: Incoming,
}

impl Client {
    /// A client of the engine that the settings name; nothing is connected yet. `autostart` is called where nobody
    /// named an engine and none answers.
    ///
    /// # Errors
    /// If the context is unknown, or the address or its certificates are not usable.
    pub fn new(globals: &Globals, config: &Config, autostart: Option<Autostart>) -> Result<Self> {
        let target = context::target(globals, config)?;
        let endpoint = Endpoint::parse(&target)?;
        let headers = config.object("HttpHeaders").into_iter().flatten();
        let headers = headers
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        let version = variable("DOCKER_API_VERSION")
            .map(|version| version.trim_start_matches('v').to_owned());
        Ok(Self {
            autostart: autostart.filter(|_| target.default),
            target,
            endpoint,
            headers,
            idle: RefCell::new(None),
            version: OnceCell::new_with(version),
            server_os: RefCell::new("linux".to_owned()),
        })
    }

    /// The engine's address as errors name it.
    pub fn host(&self) -> &str {
        &self.target.host
    }

    /// The API version both sides know.
    pub async fn version(&self) -> Result<&str> {
        self.version_for(&Request::head("/_ping")).await
    }

    /// The same, asked for the sake of a request, which errors then name.
    async fn version_for(&self, request: &Request) -> Result<&str> {
        let negotiated = self.version.get_or_try_init(async || {
            let ping = Request::head("/_ping").in_place_of(request, &format!("/v{MAX_VERSION}"));
            let (sender, response) = self.attempt(ping, "").await?;
            if let Some(os) = response
                .headers()
                .get("Ostype")
                .and_then(|os| os.to_str().ok())
            {
                os.clone_into(&mut self.server_os.borrow_mut());
            }
            let theirs = response
                .headers()
                .get("Api-Version")
                .and_then(|v| v.to_str().ok());
            let chosen = older(theirs.unwrap_or(OLD_VERSION), MAX_VERSION).to_owned();
            // The answer to HEAD has no body: the connection is free again.
            let _ = response.into_body().collect().await;
            *self.idle.borrow_mut() = Some(sender);
            Ok::<_, Error>(chosen)
        });
        Ok(negotiated.await?)
    }

    /// Sends a request; an answer that is an error becomes one here.
    pub async fn send(&self, request: Request) -> Result<Response> {
        let prefix = format!("/v{}", self.version_for(&request).await?);
        let response = self.exchange(request, &prefix).await?;
        if is_success(response.status()) {
            let (parts, body) = response.into_parts();
            return Ok(Response {
                headers: parts.headers,
                body,
            });
        }
        Err(failure(response).await)
    }

    /// Sends a request and decodes the document it is answered with.
    pub async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T> {
        let bytes = self.bytes(request).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::text(format!("the daemon's answer cannot be read: {error}")))
    }

    /// Sends a request and reads the whole answer.
    pub async fn bytes(&self, request: Request) -> Result<Bytes> {
        let prefix = format!("/v{}", self.version_for(&request).await?);
        let (sender, response) = self.attempt(request, &prefix).await?;
        if !is_success(response.status()) {
            return Err(failure(response).await);
        }
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|e| broken(&e))?
            .to_bytes();
        *self.idle.borrow_mut() = Some(sender);
        Ok(bytes)
    }

    /// Sends a request whose answer has no content of interest.
    pub async fn done(&self, request: Request) -> Result<()> {
        self.bytes(request).await.map(drop)
    }

    /// Sends a request that turns the connection into a raw stream.
    pub async fn hijack(&self, request: Request) -> Result<Hijacked> {
        self.upgrade(request, "tcp").await
    }

    /// Sends a request that makes a connection of another protocol of its own.
    pub async fn upgrade(&self, request: Request, protocol: &str) -> Result<Hijacked> {
        let prefix = format!("/v{}", self.version_for(&request).await?);
        let request = request
            .header("Connection", "Upgrade")
            .header("Upgrade", protocol);
        let response = self.exchange(request, &prefix).await?;
        if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return if response.status().is_success() {
                Err(Error::text("the daemon did not switch to a raw stream"))
            } else {
                Err(failure(response).await)
            };
        }
        let stream = hyper::upgrade::on(response)
            .await
            .map_err(|error| broken(&error))?;
        Ok(Hijacked {
            stream: TokioIo::new(stream),
        })
    }

    /// Opens a connection that speaks no HTTP yet (`dial-stdio`).
    pub async fn dial(&self) -> Result<connect::Stream> {
        self.endpoint
            .connect()
            .await
            .map_err(|error| self.unreachable(&error, "/"))
    }

    async fn exchange(&self, request: Request, prefix: &str) -> Result<http::Response<Incoming>> {
        self.attempt(request, prefix)
            .await
            .map(|(_, response)| response)
    }

    async fn attempt(
        &self,
        request: Request,
        prefix: &str,
    ) -> Result<(SendRequest<Body>, http::Response<Incoming>)> {
        let (method, path) = request.shown(prefix);
        let request = request.build(prefix, &self.endpoint.authority(), &self.headers)?;
        let idle = self.idle.borrow_mut().take();
        let reused = match idle {
            // The engine may have closed it meanwhile.
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match reused {
            Some(sender) => sender,
            None => self.open(&path).await?,
        };
        let response = sender.send_request(request).await.map_err(|error| {
            if matches!(self.endpoint, Endpoint::Ssh(_)) {
                return Error::text(format!(
                    "error during connect: ssh to {} has ended: make sure the address is valid and dhow or docker is installed on the remote host",
                    self.host()
                ));
            }
            let url = format!("{}://{}{path}", self.endpoint.scheme(), self.endpoint.url_host());
            Error::text(format!("error during connect: {method} {url:?}: {}", reason(&error)))
        })?;
        Ok((sender, response))
    }

    async fn open(&self, path: &str) -> Result<SendRequest<Body>> {
        let stream = match self.endpoint.connect().await {
            Ok(stream) => stream,
            Err(error) => {
                let Some(start) = self.autostart.filter(|_| nobody(&error)) else {
                    return Err(self.unreachable(&error, path));
                };
                start().await?;
                self.endpoint
                    .connect()
                    .await
                    .map_err(|error| self.unreachable(&error, path))?
            }
        };
        let (sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(1 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// Docker's text for an engine that cannot be reached.
    fn unreachable(&self, error: &std::io::Error, path: &str) -> Error {
        let host = self.host().to_owned();
        let reason = io_text(error);
        match (&self.endpoint, error.kind()) {
            (Endpoint::Unix(socket), std::io::ErrorKind::PermissionDenied) => {
                let socket = socket.display().to_string();
                Error::text(format!(
                    "permission denied while trying to connect to the Docker daemon socket at {host}: \
                     Get \"http://{}{path}\": dial unix {socket}: connect: permission denied",
                    socket.replace('/', "%2F")
                ))
            }
            (Endpoint::Ssh(_), _) => Error::text(format!("error during connect: {reason}")),
            (Endpoint::Unix(_), _)
            | (_, std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::TimedOut) => {
                Error::NoDaemon { host }
            }
            (_, _) => {
                let reason = if reason.ends_with("UnknownIssuer") {
                    "tls: failed to verify certificate: x509: certificate signed by unknown authority"
                } else {
                    &reason
                };
                let url = format!(
                    "{}://{}{path}",
                    self.endpoint.scheme(),
                    self.endpoint.url_host()
                );
                Error::text(format!("error during connect: Get {url:?}: {reason}"))
            }
        }
    }
}

/// A connection after HTTP has ended on it.
pub type RawStream = TokioIo<Upgraded>;

/// A raw stream to a container.
pub struct Hijacked {
    /// Both directions; half-closing it ends the input.
    pub stream: RawStream,
}

impl Response {
    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// A header's value, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Whether no engine listens there, rather than one that cannot be reached.
fn nobody(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
    )
}

/// Not modified means that what was asked for is so already.
fn is_success(status: http::StatusCode) -> bool {
    status.is_success() || status == http::StatusCode::NOT_MODIFIED
}

/// The error an answer carries.
async fn failure(response: http::Response<Incoming>) -> Error {
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let message = serde_json::from_slice::<dhow_api::ErrorResponse>(&body)
        .map(|error| error.message)
        .ok()
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
    let message = if message.is_empty() {
        format!(
            "request returned {status} for API route and version, check if the server supports the requested API version"
        )
    } else {
        message.trim().to_owned()
    };
    Error::Daemon {
        status: status.as_u16(),
        message,
    }
}

/// The connection broke in the middle.
fn broken(error: &hyper::Error) -> Error {
    Error::text(format!("error during connect: {}", reason(error)))
}

/// The innermost cause, in Go's words where it is the system's.
fn reason(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match innermost.downcast_ref::<std::io::Error>() {
        Some(error) => io_text(error),
        None => innermost.to_string(),
    }
}

/// The older of two versions `major.minor`.
fn older<'a>(left: &'a str, right: &'a str) -> &'a str {
    let key = |version: &str| {
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        (
            major.parse::<u32>().unwrap_or(0),
            minor.parse::<u32>().unwrap_or(0),
        )
    };
    if key(left) <= key(right) { left } else { right }
}
