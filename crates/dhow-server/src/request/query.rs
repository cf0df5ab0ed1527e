//! Query parameters, read as moby's `httputils` does.

use std::num::IntErrorKind;

use axum::extract::FromRequestParts;
use dhow_errdefs::ErrorKind;
use dhow_golang::parse_bool;
use dhow_oci::Platform;
use http::request::Parts;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::go_json;
use crate::ApiVersion;
use crate::error::{ApiError, Result};

/// The query of a request, decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// The query in `text`, `a=1&b=2`.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The first value of `key`; empty when there is none.
    pub(crate) fn get(&self, key: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }

    /// The first value of `key` unless it is missing or empty.
    pub(crate) fn some(&self, key: &str) -> Option<&str> {
        Some(self.get(key)).filter(|value| !value.is_empty())
    }

    /// Every value of `key`.
    pub(crate) fn all(&self, key: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(name, _)| name == key);
        values.map(|(_, value)| value.clone()).collect()
    }

    /// Whether `key` is there, with any value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// The flag `key`: everything but `0`, `no`, `false`, `none` and nothing is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        let value = self.get(key).trim().to_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// The number `key`; what is none is an internal error, as in Docker.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>> {
        let parse = |text: &str| {
            text.parse::<i64>().map_err(|error| {
                let why = why_no_number(error.kind());
                let text = format!("strconv.Atoi: parsing {text:?}: {why}");
                ApiError::new(ErrorKind::System, text)
            })
        };
        self.some(key).map(parse).transpose()
    }

    /// A terminal's size in rows or columns.
    pub(crate) fn size(&self, key: &str, what: &str) -> Result<u16> {
        let text = self.get(key);
        text.parse::<i64>()
            .map_err(|error| why_no_number(error.kind()))
            .and_then(|number| u16::try_from(number).map_err(|_| "value out of range"))
            .map_err(|why| ApiError::invalid(format!("invalid resize {what} {text:?}: {why}")))
    }

    /// The flag `key` where only Go's words for true and false will do.
    pub(crate) fn strict_flag(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            "" => Ok(false),
            text => parse_bool(text).map_err(|error| {
                ApiError::invalid(format!("invalid value for {key}: {text}: {error}"))
            }),
        }
    }

    /// The time `key`: seconds since 1970, RFC 3339, or a duration before now; none for `0` and nothing.
    pub(crate) fn time(&self, key: &str) -> Result<Option<Timestamp>> {
        match self.get(key) {
            "" | "0" => Ok(None),
            text => match dhow_engine::filters::parse_time(text, Timestamp::now()) {
                Ok(time) => Ok(Some(time)),
                // Docker knows only seconds here, and takes anything else for a failure of its own.
                Err(_) => Err(ApiError::new(
                    ErrorKind::System,
                    format!("strconv.ParseInt: parsing {text:?}: invalid syntax"),
                )),
            },
        }
    }

    /// The platform `key`, as `linux/arm64`.
    pub(crate) fn platform(&self, key: &str) -> Result<Option<Platform>> {
        let Some(text) = self.some(key) else {
            return Ok(None);
        };
        if text.starts_with('{') {
            return platform_document(text).map(Some);
        }
        Ok(Some(text.parse()?))
    }

    /// The JSON document `key`; what is none is an error that begins with `fail`.
    pub(crate) fn json<T: DeserializeOwned>(&self, key: &str, fail: &str) -> Result<Option<T>> {
        let Some(text) = self.some(key) else {
            return Ok(None);
        };
        let fail = |why: &dyn std::fmt::Display| ApiError::invalid(format!("{fail}: {why}"));
        let rest = go_json::check(text.as_bytes()).map_err(|why| fail(&why))?;
        if let Some(more) = rest.iter().find(|byte| !byte.is_ascii_whitespace()) {
            let more = char::from(*more);
            let why = format!("invalid character {more:?} after top-level value");
            return Err(fail(&why));
        }
        serde_json::from_str(text).map_err(|why| fail(&why))
    }

    /// The platform `key`, as JSON.
    pub(crate) fn platform_json(&self, key: &str) -> Result<Option<Platform>> {
        self.some(key).map(platform_document).transpose()
    }

    /// The platforms `key`; several since API 1.52.
    pub(crate) fn platforms(&self, version: ApiVersion, key: &str) -> Result<Vec<Platform>> {
        if version.before(48) {
            return Ok(Vec::new());
        }
        let given = self.all(key);
        if given.len() > 1 && version.before(52) {
            return Err(ApiError::invalid(
                "multiple platform parameters are not supported in this API version; use API version 1.52 or later",
            ));
        }
        let given = given.iter().filter(|text| !text.is_empty());
        given.map(|text| platform_document(text)).collect()
    }
}

/// Reads a platform of which at least system and architecture are given.
fn platform_document(text: &str) -> Result<Platform> {
    let fail =
        |why: &dyn std::fmt::Display| ApiError::invalid(format!("failed to parse platform: {why}"));
    go_json::check(text.as_bytes()).map_err(|why| fail(&why))?;
    let document: Value = serde_json::from_str(text).map_err(|why| fail(&why))?;
    let given = |key: &str| document[key].as_str().is_some_and(|text| !text.is_empty());
    if !given("os") || !given("architecture") {
        return Err(ApiError::invalid(
            "both OS and Architecture must be provided",
        ));
    }
    serde_json::from_value(document).map_err(|why| fail(&why))
}

/// Go's words for why a text is no number.
fn why_no_number(kind: &IntErrorKind) -> &'static str {
    match kind {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn flags_are_read_as_docker_reads_them() {
        for (text, flag) in [
            ("a=1", true),
            ("a=true", true),
            ("a=yes", true),
            ("a=", false),
            ("a", false),
            ("a=0", false),
            ("a=False", false),
            ("a=none", false),
            ("b=1", false),
        ] {
            assert_eq!(Query::parse(text).flag("a"), flag, "{text}");
        }
    }

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("name=%2Fbad%2Fname&x=1&x=2&t=ten&h=70000");
        assert_eq!(query.get("name"), "/bad/name");
        assert_eq!(query.all("x"), ["1", "2"]);
        assert_eq!(query.number("x").unwrap(), Some(1));
        assert_eq!(query.number("none").unwrap(), None);
        assert!(query.number("t").is_err());
        assert!(query.size("h", "height").is_err());
    }
}
