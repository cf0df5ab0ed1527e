//! Requests to the engine.

use std::convert::Infallible;

use bytes::Bytes;
use http::Method;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;

use crate::error::{Error, Result};

/// A request's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A request under construction; the path is without the API version.
pub(crate) struct Request {
    method: Method,
    pub(crate) path: String,
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

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn head(path: impl Into<String>) -> Self {
        Self::new(Method::HEAD, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the parameter where the condition holds.
    pub(crate) fn query_if(self, condition: bool, name: &str, value: impl Into<String>) -> Self {
        if condition {
            self.query(name, value)
        } else {
            self
        }
    }

    /// Adds `filters` where there are any.
    pub(crate) fn filters(self, filters: &crate::options::filters::Filters) -> Self {
        match filters.to_json() {
            Some(json) => self.query("filters", json),
            None => self,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn json(mut self, value: &impl serde::Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::text(error.to_string()))?;
        self.body = Full::new(Bytes::from(bytes)).map_err(never).boxed_unsync();
        Ok(self.header("Content-Type", "application/json"))
    }

    /// A body read from `input` in a thread of its own, as the engine takes it.
    pub(crate) fn stream(mut self, input: impl std::io::Read + Send + 'static) -> Self {
        let chunks = crate::attach::input::chunks(input);
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
pub(crate) fn escape(text: &str) -> String {
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
pub(crate) fn escape_path(text: &str) -> String {
    text.split('/').map(escape).collect::<Vec<_>>().join("/")
}

fn never(error: Infallible) -> std::io::Error {
    match error {}
}
