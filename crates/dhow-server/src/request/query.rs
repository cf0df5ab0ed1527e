//! Query parameters, read as moby's `httputils` does.

use axum::extract::FromRequestParts;
use dhow_oci::Platform;
use http::request::Parts;
use jiff::Timestamp;

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

    /// The number `key`.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                ApiError::invalid(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
            })
        };
        self.some(key).map(parse).transpose()
    }

    /// A terminal's size in rows or columns.
    pub(crate) fn size(&self, key: &str, what: &str) -> Result<u16> {
        let text = self.get(key);
        text.parse::<u32>()
            .ok()
            .and_then(|number| u16::try_from(number).ok())
            .ok_or_else(|| {
                ApiError::invalid(format!("invalid resize {what} {text:?}: invalid value"))
            })
    }

    /// The time `key`: seconds since 1970, RFC 3339, or a duration before now; none for `0` and nothing.
    pub(crate) fn time(&self, key: &str) -> Result<Option<Timestamp>> {
        match self.get(key) {
            "" | "0" => Ok(None),
            text => Ok(Some(dhow_engine::filters::parse_time(
                text,
                Timestamp::now(),
            )?)),
        }
    }

    /// The platform `key`, as JSON or as `linux/arm64`.
    pub(crate) fn platform(&self, key: &str) -> Result<Option<Platform>> {
        let Some(text) = self.some(key) else {
            return Ok(None);
        };
        if text.starts_with('{') {
            let platform = serde_json::from_str::<Platform>(text)
                .map_err(|error| ApiError::invalid(format!("failed to parse platform: {error}")))?;
            return Ok(Some(platform));
        }
        Ok(Some(text.parse()?))
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
