//! The handles: all registries, and one repository of one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dhow_oci::{Descriptor, Reference};

use crate::auth::{Authorizer, Subject};
use crate::host::{Endpoint, Purpose};
use crate::transport::Transport;
use crate::{Credentials, Error, RegistryConfig};

/// The registry client; clones share connections and tokens.
#[derive(Debug, Clone)]
pub struct Registry {
    transport: Transport,
    authorizer: Arc<Authorizer>,
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The manifest or index.
    pub descriptor: Descriptor,
    /// Its bytes, checked.
    pub bytes: Bytes,
}

impl Registry {
    /// Sets the client up; nothing is connected to yet.
    ///
    /// # Errors
    /// When a mirror or a proxy is no URL.
    pub fn new(config: RegistryConfig) -> Result<Self, Error> {
        Endpoint::mirrors(&config)?;
        crate::transport::proxies(&config.proxies)?;
        Ok(Self {
            transport: Transport::new(config),
            authorizer: Arc::default(),
        })
    }

    /// The repository that `reference` names, as seen by `credentials`.
    #[must_use]
    pub fn repository(&self, reference: &Reference, credentials: &Credentials) -> Repository {
        Repository {
            registry: self.clone(),
            domain: reference.domain().to_owned(),
            path: reference.path().to_owned(),
            credentials: credentials.clone(),
            waiting: Waiting::default(),
        }
    }

    /// Finds what `reference` leads to and fetches that document.
    ///
    /// # Errors
    /// As [`Repository::resolve`] and [`Repository::fetch_manifest`].
    pub async fn resolve(
        &self,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<Resolved, Error> {
        let repository = self.repository(reference, credentials);
        let descriptor = repository.resolve(reference).await?;
        let bytes = repository.fetch_manifest(&descriptor).await?;
        Ok(Resolved { descriptor, bytes })
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }
}

/// One repository of one registry, for one user.
#[derive(Debug, Clone)]
pub struct Repository {
    registry: Registry,
    domain: String,
    path: String,
    credentials: Credentials,
    waiting: Waiting,
}

/// Whom to tell that a server wants to be asked later.
#[derive(Clone, Default)]
struct Waiting(Option<Arc<dyn Fn(Duration) + Send + Sync>>);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Waiting").field(&self.0.is_some()).finish()
    }
}

impl Repository {
    /// The same repository; `told` hears how long is waited each time a server wants to be asked later.
    #[must_use]
    pub fn telling(&self, told: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self {
            waiting: Waiting(Some(Arc::new(told))),
            ..self.clone()
        }
    }

    pub(crate) fn tell_waiting(&self, time: Duration) {
        if let Some(told) = &self.waiting.0 {
            told(time);
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.registry.transport
    }

    pub(crate) fn authorizer(&self) -> &Authorizer {
        &self.registry.authorizer
    }

    pub(crate) fn config(&self) -> &RegistryConfig {
        self.registry.transport.config()
    }

    pub(crate) fn retries(&self) -> u32 {
        self.config().retries
    }

    /// The repository's full name, the registry's included.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The path of something in this repository.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.path)
    }

    /// The servers to ask, in order; mirrors without credentials.
    ///
    /// # Errors
    /// As [`Endpoint::for_pull`].
    pub(crate) fn pull_subjects(&self, purpose: Purpose) -> Result<Vec<Subject>, Error> {
        let scopes = vec![format!("repository:{}:pull", self.path)];
        let endpoints = Endpoint::for_pull(&self.domain, purpose, self.config())?;
        let subjects = endpoints.into_iter().map(|endpoint| Subject {
            credentials: match endpoint.mirror {
                true => Credentials::anonymous(),
                false => self.credentials.clone(),
            },
            scopes: scopes.clone(),
            endpoint,
        });
        Ok(subjects.collect())
    }

    /// The server to push to.
    ///
    /// # Errors
    /// As [`Endpoint::for_push`].
    pub(crate) fn push_subject(&self) -> Result<Subject, Error> {
        Ok(Subject {
            endpoint: Endpoint::for_push(&self.domain, self.config())?,
            credentials: self.credentials.clone(),
            scopes: vec![format!("repository:{}:pull,push", self.path)],
        })
    }

    /// The server to push to, with the right to take from the repository `from`.
    ///
    /// # Errors
    /// As [`Endpoint::for_push`].
    pub(crate) fn mount_subject(&self, from: &str) -> Result<Subject, Error> {
        let mut subject = self.push_subject()?;
        subject.scopes.push(format!("repository:{from}:pull"));
        Ok(subject)
    }

    pub(crate) fn denied(&self, subject: &Subject, reason: String) -> Error {
        match subject.scopes.first() {
            Some(scope) if scope.ends_with(":pull,push") => Error::PushDenied { reason },
            _ => Error::Denied { reason },
        }
    }
}

/// How long to wait before the next attempt: 0.1 s, doubling, at most 5 s.
pub(crate) fn back_off(attempt: u32) -> Duration {
    let factor = 2_u32.saturating_pow(attempt.min(10));
    (Duration::from_millis(100) * factor).min(Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit() {
        assert_eq!(back_off(0), Duration::from_millis(100));
        assert_eq!(back_off(2), Duration::from_millis(400));
        assert_eq!(back_off(60), Duration::from_secs(5));
    }
}
