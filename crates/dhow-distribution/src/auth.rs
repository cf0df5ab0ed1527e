//! Showing credentials: basic, and bearer tokens from token servers (distribution spec, "token authentication").

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::boundary::may_lead;
use crate::challenge::{self, Challenge};
use crate::fetch::read_bounded;
use crate::host::{Endpoint, is_insecure};
use crate::transport::{Request, Transport, authority};
use crate::{Credentials, Error};

const LARGEST_TOKEN: usize = 1 << 20;
/// What a token server that doesn't say means (distribution spec).
const DEFAULT_LIFE: u64 = 60;
const CLIENT_ID: &str = "dhow";

/// Tokens and passwords known to work, by host, scope and user.
#[derive(Debug, Default)]
pub(crate) struct Authorizer {
    known: Mutex<HashMap<Key, Known>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    scopes: Vec<String>,
    credentials: Credentials,
}

#[derive(Debug, Clone)]
struct Known {
    header: HeaderValue,
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    expires_in: Option<u64>,
}

/// A token, and the refresh token that came with it.
pub(crate) struct Granted {
    pub(crate) header: HeaderValue,
    pub(crate) refresh_token: String,
}

/// For whom and what a request is.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) endpoint: Endpoint,
    pub(crate) credentials: Credentials,
    pub(crate) scopes: Vec<String>,
}

impl Subject {
    fn key(&self) -> Key {
        Key {
            host: self.endpoint.host.clone(),
            scopes: self.scopes.clone(),
            credentials: self.credentials.clone(),
        }
    }
}

impl Authorizer {
    /// What to send along at first, from what was learnt before.
    pub(crate) fn known(&self, subject: &Subject) -> Option<HeaderValue> {
        if !subject.credentials.registry_token.is_empty() {
            return secret(&format!("Bearer {}", subject.credentials.registry_token));
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&subject.key())?;
        let alive = found.until.is_none_or(|until| Instant::now() < until);
        alive.then(|| found.header.clone())
    }

    /// Answers a 401's challenge.
    pub(crate) async fn answer(
        &self,
        transport: &Transport,
        subject: &Subject,
        headers: &HeaderMap,
    ) -> Result<Granted, Refusal> {
        let challenges: Vec<Challenge> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        if let Some(bearer) = challenges.iter().find(|c| c.scheme == "bearer") {
            let (granted, life) = fetch_token(transport, subject, bearer).await?;
            self.remember(subject, &granted.header, Some(life));
            return Ok(granted);
        }
        if challenges.iter().any(|c| c.scheme == "basic") {
            let header = basic(&subject.credentials).ok_or_else(|| {
                Refusal::Denied("authorization failed: no basic auth credentials".into())
            })?;
            self.remember(subject, &header, None);
            return Ok(Granted {
                header,
                refresh_token: String::new(),
            });
        }
        Err(Refusal::Unknown)
    }

    /// Forgets what turned out not to work any more.
    pub(crate) fn forget(&self, subject: &Subject) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&subject.key());
    }

    fn remember(&self, subject: &Subject, header: &HeaderValue, life: Option<u64>) {
        // A little earlier than the server does, so that no request is on its way when the token dies.
        let until = life.map(|s| Instant::now() + Duration::from_secs(s.min(86_400) * 9 / 10));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, k| k.until.is_none_or(|until| Instant::now() < until));
        known.insert(
            subject.key(),
            Known {
                header: header.clone(),
                until,
            },
        );
    }
}

/// Why a challenge can't be answered.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No way that we know was offered.
    Unknown,
    /// We lack what it takes.
    Denied(String),
    /// Asking for a token failed.
    Failed(Box<Error>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    if credentials.username.is_empty() || credentials.password.is_empty() {
        return None;
    }
    let pair = format!("{}:{}", credentials.username, credentials.password);
    secret(&format!("Basic {}", STANDARD.encode(pair)))
}

async fn fetch_token(
    transport: &Transport,
    subject: &Subject,
    challenge: &Challenge,
) -> Result<(Granted, u64), Refusal> {
    let realm = token_server(transport, subject, challenge)?;
    let mut scopes: BTreeSet<String> = subject.scopes.iter().cloned().collect();
    if let Some(scope) = challenge.get("scope") {
        scopes.extend(
            scope
                .split(' ')
                .filter(|s| !s.is_empty())
                .map(str::to_owned),
        );
    }
    let service = challenge.get("service").unwrap_or_default();
    let credentials = &subject.credentials;
    let answer = if credentials.identity_token.is_empty() {
        token_by_get(transport, &realm, service, &scopes, credentials).await?
    } else {
        token_by_post(
            transport,
            &realm,
            service,
            &scopes,
            &credentials.identity_token,
        )
        .await?
    };
    let token = if answer.token.is_empty() {
        &answer.access_token
    } else {
        &answer.token
    };
    let header = Some(token)
        .filter(|token| !token.is_empty())
        .and_then(|token| secret(&format!("Bearer {token}")))
        .ok_or_else(|| Error::Protocol {
            url: realm.to_string(),
            reason: "authorization server did not include a token in the response".into(),
        })?;
    let granted = Granted {
        header,
        refresh_token: answer.refresh_token,
    };
    Ok((
        granted,
        answer.expires_in.unwrap_or(DEFAULT_LIFE).max(DEFAULT_LIFE),
    ))
}

fn token_server(
    transport: &Transport,
    subject: &Subject,
    challenge: &Challenge,
) -> Result<Url, Error> {
    let realm = challenge.get("realm").unwrap_or_default();
    let broken = |reason: &str| Error::Protocol {
        url: format!("token server {realm:?} of {}", subject.endpoint.host),
        reason: reason.to_owned(),
    };
    let url = Url::parse(realm).map_err(|e| broken(&e.to_string()))?;
    let registry = transport.url(&subject.endpoint, "/v2/")?;
    if !may_lead(&registry, &url) {
        return Err(broken("is in this machine, which the registry is not"));
    }
    // That a registry may be plain HTTP says nothing of others that it names.
    let beside = url.host_str() == registry.host_str();
    let insecure = (subject.endpoint.insecure && beside)
        || is_insecure(&authority(&url), &transport.config().insecure);
    match url.scheme() {
        "https" => Ok(url),
        "http" if insecure || subject.credentials.is_anonymous() => Ok(url),
        "http" => Err(broken(
            "credentials are not sent over plain http; insecure-registries names whom to trust",
        )),
        _ => Err(broken("not an http address")),
    }
}

async fn token_by_get(
    transport: &Transport,
    realm: &Url,
    service: &str,
    scopes: &BTreeSet<String>,
    credentials: &Credentials,
) -> Result<TokenAnswer, Error> {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if !service.is_empty() {
            query.append_pair("service", service);
        }
        for scope in scopes {
            query.append_pair("scope", scope);
        }
        if !credentials.username.is_empty() {
            query.append_pair("account", &credentials.username);
            query.append_pair("client_id", CLIENT_ID);
            query.append_pair("offline_token", "true");
        }
    }
    let header = basic(credentials);
    let how = if header.is_some() {
        "oauth"
    } else {
        "anonymous"
    };
    let request = Request::new(Method::GET, "");
    let response = transport
        .plain_request(&url, &request, header.as_ref())
        .await?;
    read_token(response, how, &url, &Method::GET).await
}

async fn token_by_post(
    transport: &Transport,
    realm: &Url,
    service: &str,
    scopes: &BTreeSet<String>,
    refresh_token: &str,
) -> Result<TokenAnswer, Error> {
    let scope = scopes
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ");
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", service)
        .append_pair("client_id", CLIENT_ID)
        .append_pair("scope", &scope)
        .append_pair("refresh_token", refresh_token)
        .finish();
    let mut request = Request::new(Method::POST, "").header(
        CONTENT_TYPE,
        "application/x-www-form-urlencoded; charset=utf-8",
    );
    request.body = Some(form.into());
    let response = transport.plain_request(realm, &request, None).await?;
    read_token(response, "oauth", realm, &Method::POST).await
}

async fn read_token(
    response: reqwest::Response,
    how: &'static str,
    url: &Url,
    method: &Method,
) -> Result<TokenAnswer, Error> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(Error::Token {
            how,
            method: method.to_string(),
            url: url.to_string(),
            status: crate::fetch::status_text(status),
        });
    }
    let bytes = read_bounded(response, LARGEST_TOKEN, "token").await?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Protocol {
        url: url.to_string(),
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn basic_needs_both_halves() {
        let header = basic(&Credentials::basic("me", "pw")).unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic bWU6cHc=");
        assert!(basic(&Credentials::basic("me", "")).is_none());
        assert!(basic(&Credentials::anonymous()).is_none());
    }
}
