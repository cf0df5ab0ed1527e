//! API versions: the prefix of the path, its checks, and the headers every answer has.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dhow_api::{API_VERSION, MIN_API_VERSION};
use dhow_errdefs::ErrorKind;
use futures::FutureExt;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};

use crate::error::ApiError;
use crate::request::Rest;

/// A version of the Engine API, `1.56`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The newest version, which requests without a prefix get too.
    pub const NEWEST: Self = Self::new(1, 56);
    /// The oldest version.
    pub const OLDEST: Self = Self::new(1, 24);
    /// Since this version errors are JSON.
    const JSON_ERRORS: Self = Self::new(1, 23);

    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Whether this is older than `1.minor`.
    pub(crate) fn before(self, minor: u16) -> bool {
        self < Self::new(1, minor)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        let number = |digits: &str| -> Result<u16, ()> {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(());
            }
            digits.parse().map_err(|_| ())
        };
        Ok(Self::new(number(major)?, number(minor)?))
    }
}

impl<S: Sync> FromRequestParts<S> for ApiVersion {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts
            .extensions
            .get()
            .copied()
            .unwrap_or(ApiVersion::NEWEST))
    }
}

/// Has a request answered and adds the headers that every answer has.
pub(crate) async fn negotiate(mut request: Request, next: Next) -> Response {
    tracing::debug!(method = %request.method(), uri = %request.uri(), "request");
    let rest = Rest::of(&mut request);
    let mut response = answer(request, next).await;
    if let Some(rest) = rest
        && (response.status().is_client_error() || response.status().is_server_error())
    {
        rest.drain().await;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        ("api-version", API_VERSION),
        ("docker-experimental", "false"),
        ("ostype", "linux"),
        (
            "server",
            concat!("Dhow/", env!("CARGO_PKG_VERSION"), " (linux)"),
        ),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// Takes the version off the path, checks it, and has the request answered.
async fn answer(mut request: Request, next: Next) -> Response {
    let version = take_version(&mut request);
    let query = check_query(request.uri().query().unwrap_or_default());
    match (check(version), query) {
        (Err(refusal), _) => *refusal,
        (_, Err(text)) => ApiError::invalid(text).into_response(),
        _ if request.method() == Method::OPTIONS => StatusCode::OK.into_response(),
        _ if is_wrong_head(&request) => ApiError::no_page().into_response(),
        (Ok(version), Ok(())) => {
            request.extensions_mut().insert(version);
            // A panic is a bug; it must cost one request, not the connection's other ones or the answer's form.
            match AssertUnwindSafe(next.run(request)).catch_unwind().await {
                Ok(response) => response,
                Err(_) => {
                    let text = "internal error: the request's handler failed";
                    ApiError::new(ErrorKind::System, text).into_response()
                }
            }
        }
    }
}

/// Refuses queries that Go cannot read, in its words.
fn check_query(query: &str) -> Result<(), String> {
    if query.contains(';') {
        return Err("invalid semicolon separator in query".to_owned());
    }
    for (index, _) in query.match_indices('%') {
        let escape: String = query[index..].chars().take(3).collect();
        let is_fine =
            escape.len() == 3 && escape.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit());
        if !is_fine {
            return Err(format!("invalid URL escape {escape:?}"));
        }
    }
    Ok(())
}

/// Whether this is a HEAD of something that Docker has no HEAD for: only the ping and a container's files have one.
fn is_wrong_head(request: &Request) -> bool {
    let path = request.uri().path();
    request.method() == Method::HEAD && path != "/_ping" && !path.ends_with("/archive")
}

/// The version of the path's prefix, which is removed; doubled slashes go too.
fn take_version(request: &mut Request) -> Option<ApiVersion> {
    let (path, version) = split(request.uri().path());
    if path == request.uri().path() {
        return version;
    }
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    if let Ok(target) = PathAndQuery::try_from(target) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(target);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    version
}

fn split(path: &str) -> (String, Option<ApiVersion>) {
    let mut clean = String::with_capacity(path.len());
    for character in path.chars() {
        if !(character == '/' && clean.ends_with('/')) {
            clean.push(character);
        }
    }
    let Some(rest) = clean.strip_prefix("/v") else {
        return (clean, None);
    };
    let Some((version, rest)) = rest.split_once('/') else {
        return (clean, None);
    };
    match version.parse() {
        Ok(version) => (format!("/{rest}"), Some(version)),
        Err(()) => (clean, None),
    }
}

fn check(version: Option<ApiVersion>) -> Result<ApiVersion, Box<Response>> {
    let version = version.unwrap_or(ApiVersion::NEWEST);
    if version > ApiVersion::NEWEST {
        let text = format!(
            "client version {version} is too new. Maximum supported API version is {API_VERSION}"
        );
        return Err(Box::new(ApiError::invalid(text).into_response()));
    }
    if version >= ApiVersion::OLDEST {
        return Ok(version);
    }
    let text = format!(
        "client version {version} is too old. Minimum supported API version is {MIN_API_VERSION}, \
         please upgrade your client to a newer version"
    );
    if version >= ApiVersion::JSON_ERRORS {
        return Err(Box::new(ApiError::invalid(text).into_response()));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let answer = (StatusCode::BAD_REQUEST, headers, format!("{text}\n"));
    Err(Box::new(answer.into_response()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_a_version_or_part_of_the_path() {
        let v = |minor| Some(ApiVersion::new(1, minor));
        for (path, rest, version) in [
            ("/v1.51/info", "/info", v(51)),
            ("/info", "/info", None),
            ("/v1.24/containers/x/json", "/containers/x/json", v(24)),
            ("/volumes/v1.2", "/volumes/v1.2", None),
            ("/v1/info", "/v1/info", None),
            ("/v1.x/info", "/v1.x/info", None),
            ("/v+1.2/info", "/v+1.2/info", None),
            ("/v1.40//containers//x/json", "/containers/x/json", v(40)),
            ("/v9.99/version", "/version", Some(ApiVersion::new(9, 99))),
        ] {
            assert_eq!(split(path), (rest.to_owned(), version), "{path}");
        }
    }

    #[test]
    fn queries_are_read_as_go_reads_them() {
        for (query, text) in [
            ("a=%zz", "invalid URL escape \"%zz\""),
            ("a=%2", "invalid URL escape \"%2\""),
            ("a=1;b=2", "invalid semicolon separator in query"),
        ] {
            assert_eq!(check_query(query), Err(text.to_owned()), "{query}");
        }
        assert_eq!(check_query("a=%7B%20&b"), Ok(()));
    }

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(ApiVersion::new(1, 9) < ApiVersion::OLDEST);
        assert!(ApiVersion::new(1, 100) > ApiVersion::NEWEST);
        assert_eq!(ApiVersion::NEWEST.to_string(), API_VERSION);
        assert_eq!(ApiVersion::OLDEST.to_string(), MIN_API_VERSION);
    }
}
