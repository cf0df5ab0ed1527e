//! Registry credentials in the `X-Registry-Auth` header.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dhow_api::auth::AuthConfig;
use dhow_distribution::Credentials;
use http::HeaderMap;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The credentials of a pull or push; a header that can't be read counts as none, as in Docker.
pub(crate) fn registry_credentials(headers: &HeaderMap) -> Credentials {
    let config = headers
        .get("x-registry-auth")
        .and_then(|value| LENIENT.decode(value.as_bytes()).ok())
        .and_then(|json| serde_json::from_slice::<AuthConfig>(&json).ok())
        .unwrap_or_default();
    credentials(config)
}

/// The credentials of a build for each registry, from the header `X-Registry-Config`; one that can't be read counts as
/// none.
pub(crate) fn registries(headers: &HeaderMap) -> BTreeMap<String, Credentials> {
    let configs = headers
        .get("x-registry-config")
        .and_then(|value| LENIENT.decode(value.as_bytes()).ok())
        .and_then(|json| serde_json::from_slice::<BTreeMap<String, AuthConfig>>(&json).ok())
        .unwrap_or_default();
    let each = configs.into_iter();
    each.map(|(registry, config)| (registry, credentials(config)))
        .collect()
}

/// The credentials in a request's body.
pub(crate) fn credentials(config: AuthConfig) -> Credentials {
    let mut credentials = Credentials {
        username: config.username,
        password: config.password,
        identity_token: config.identitytoken,
        registry_token: config.registrytoken,
    };
    if credentials.username.is_empty() && !config.auth.is_empty() {
        let standard = base64::engine::general_purpose::STANDARD;
        let pair = standard.decode(config.auth).ok();
        let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((name, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            name.clone_into(&mut credentials.username);
            password
                .trim_end_matches('\0')
                .clone_into(&mut credentials.password);
        }
    }
    credentials
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn header(value: &str) -> Credentials {
        let mut headers = HeaderMap::new();
        headers.insert("x-registry-auth", value.parse().unwrap());
        registry_credentials(&headers)
    }

    #[test]
    fn the_header_is_base64url_with_or_without_padding() {
        let json = r#"{"username":"me","password":"s3cret?","serveraddress":"localhost:5000"}"#;
        let padded = base64::engine::general_purpose::URL_SAFE.encode(json);
        let expected = Credentials::basic("me", "s3cret?");
        assert_eq!(header(&padded), expected);
        assert_eq!(header(padded.trim_end_matches('=')), expected);
    }

    #[test]
    fn an_unreadable_header_counts_as_none() {
        for value in ["", "e30=", "!!!", "bm90IGpzb24="] {
            assert!(header(value).is_anonymous(), "{value}");
        }
    }

    #[test]
    fn the_joined_form_is_split() {
        let config = AuthConfig {
            auth: base64::engine::general_purpose::STANDARD.encode("me:pass:word"),
            ..AuthConfig::default()
        };
        assert_eq!(credentials(config), Credentials::basic("me", "pass:word"));
    }
}
