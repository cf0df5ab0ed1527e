//! Requests to the engine.

use std::convert::Infallible;

use bytes::Bytes;
use http::Method;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;

use crate::error::{Error, Result};
use crate::filters::Filters;

/// A request's body.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A request under construction; the path is without the API version.
pub struct Request {
    method: Method,
    /// Below the version: `/containers/json`.
    pub path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Body,
    /// The method and path errors name instead of the request's own.
    shown: Option<(String, String)>,
}

impl Request {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Empty::new().map_err(never).boxed_unsync(),
            shown: None,
        }
    }

    /// `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// `HEAD`.
    pub fn head(path: impl Into<String>) -> Self {
        Self::new(Method::HEAD, path)
    }

    /// `POST`.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    /// `PUT`.
    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    /// `DELETE`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a parameter.
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the parameter where the condition holds.
    pub fn query_if(self, condition: bool, name: &str, value: impl Into<String>) -> Self {
        if condition {
            self.query(name, value)
        } else {
            self
        }
    }

    /// Adds `filters` where there are any.
    pub fn filters(self, filters: &Filters) -> Self {
        match filters.to_json() {
            Some(json) => self.query("filters", json),
            None => self,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// A JSON body.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn json(mut self, value: &impl serde::Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::text(error.to_string()))?;
        self.body = Full::new(Bytes::from(bytes)).map_err(never).boxed_unsync();
        Ok(self.header("Content-Type", "application/json"))
    }

    /// A body read from `input` in a thread of its own, as the engine takes it.
    pub fn stream(mut self, input: impl std::io::Read + Send + 'static) -> Self {
        let chunks = crate::input::chunks(input);
        let frames = futures::stream::unfold(chunks, async |mut chunks| {
            chunks
                .recv()
                .await
                .map(|chunk| (chunk.map(Frame::data), chunks))
        });
        self.body = StreamBody::new(Box::pin(frames)).boxed_unsync();
        self.header("Content-Type", "application/x-tar")
    }

    /// Has errors name another request, for whose sake this one is made.
    pub(super) fn in_place_of(mut self, other: &Self, prefix: &str) -> Self {
        self.shown = Some(other.shown(prefix));
        self
    }

    /// The method and path as Go's errors write them: `Get`, `/v1.51/info`.
    pub(super) fn shown(&self, prefix: &str) -> (String, String) {
        self.shown.clone().unwrap_or_else(|| {
            let (first, rest) = self.method.as_str().split_at(1);
            let method = format!("{first}{}", rest.to_lowercase());
            (method, format!("{prefix}{}", self.path))
        })
    }

    pub(super) fn build(
        self,
        prefix: &str,
        authority: &str,
        more: &[(String, String)],
    ) -> Result<http::Request<Body>> {
        let mut uri = format!("{prefix}{}", self.path);
        for (index, (name, value)) in self.query.iter().enumerate() {
            uri.push(if index == 0 { '?' } else { '&' });
            uri += &format!("{name}={}", escape(value));
        }
        let agent = concat!("Dhow-Client/", env!("CARGO_PKG_VERSION"), " (linux)");
        let mut request = http::Request::builder().method(self.method).uri(uri);
        request = request
            .header("Host", authority)
            .header("User-Agent", agent);
        for (name, value) in more.iter().chain(&self.headers) {
            request = request.header(name, value);
        }
        request
            .body(self.body)
            .map_err(|error| Error::text(error.to_string()))
    }
}

/// Percent-encodes one part of a path or query.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// Percent-encodes a name that may hold slashes, such as an image's.
pub fn escape_path(text: &str) -> String {
    text.split('/').map(escape).collect::<Vec<_>>().join("/")
}

fn never(error: Infallible) -> std::io::Error {
    match error {}
}
