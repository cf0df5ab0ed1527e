//! Asking a registry and reading its answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dhow_oci::{Descriptor, Digest, ManifestOrIndex, Reference, media_type};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RANGE};
use http::{HeaderName, Method, StatusCode};
use reqwest::Response;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::auth::{Refusal, Subject};
use crate::blob::{BlobSource, BlobStream, Patience};
use crate::boundary::shown;
use crate::host::Purpose;
use crate::registry::back_off;
use crate::transport::Request;
use crate::{Error, Repository};

/// The largest manifest or index (distribution spec, §3.3: "at least 4 megabytes").
pub(crate) const LARGEST_MANIFEST: usize = 4 << 20;
/// The largest document fetched whole: configs may carry long histories.
pub(crate) const LARGEST_DOCUMENT: usize = 8 << 20;
const LARGEST_ERROR: usize = 64 << 10;
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// How often a request is sent again for being told to come back later.
const LATER: u32 = 4;

impl Repository {
    /// Finds what a tag or digest leads to, without fetching it.
    ///
    /// # Errors
    /// [`Error::Resolve`] with the reason: not there, not allowed, not reachable.
    pub async fn resolve(&self, reference: &Reference) -> Result<Descriptor, Error> {
        let failed = |source| Error::Resolve {
            reference: reference.canonical(),
            source: Box::new(source),
        };
        let subjects = self.pull_subjects(Purpose::Resolve).map_err(failed)?;
        // The last one is the registry itself: what it says counts.
        let mut last = None;
        for subject in subjects {
            match self.resolve_at(&subject, reference).await {
                Ok(Some(descriptor)) => return Ok(descriptor),
                Ok(None) => last = None,
                Err(error) => last = Some(self.passed_over(&subject, error)),
            }
        }
        Err(failed(last.unwrap_or_else(|| Error::NotFound {
            what: reference.canonical(),
        })))
    }

    async fn resolve_at(
        &self,
        subject: &Subject,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, Error> {
        let name = reference
            .digest()
            .map(Digest::to_string)
            .or_else(|| reference.tag().map(str::to_owned))
            .unwrap_or_else(|| "latest".into());
        let path = self.path(&format!("manifests/{name}"));
        let request = |method| accepting_manifests(Request::new(method, path.clone()));
        let response = self.ask(subject, &request(Method::HEAD)).await?;
        match response.status() {
            StatusCode::OK => {
                if let Some(descriptor) = described(&response, reference) {
                    return Ok(Some(descriptor));
                }
            }
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {}
            _ => return Err(unexpected(response, &Method::HEAD).await),
        }
        // A registry that says too little of it: read it to know.
        let response = self.ask(subject, &request(Method::GET)).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(unexpected(response, &Method::GET).await),
        }
        let told = content_type(&response);
        let bytes = read_bounded(response, LARGEST_MANIFEST, "manifest").await?;
        let document =
            ManifestOrIndex::parse(&bytes, told.as_deref()).map_err(|source| Error::Manifest {
                what: reference.canonical(),
                source,
            })?;
        let descriptor = Descriptor::of(document.media_type(), &bytes);
        check_digest(reference.digest(), &descriptor.digest)?;
        Ok(Some(descriptor))
    }

    /// Fetches a manifest, index or config by its digest, checked; at most 4 MiB (configs 8 MiB).
    ///
    /// # Errors
    /// When it isn't there, is too large, or isn't what its digest says.
    pub async fn fetch_manifest(&self, descriptor: &Descriptor) -> Result<Bytes, Error> {
        let kind = descriptor.media_type.as_str();
        let is_manifest = media_type::is_manifest(kind) || media_type::is_index(kind);
        let (folder, limit) = if is_manifest {
            ("manifests", LARGEST_MANIFEST)
        } else {
            ("blobs", LARGEST_DOCUMENT)
        };
        let what = format!("{folder} {}", descriptor.digest);
        if usize::try_from(descriptor.size).is_ok_and(|size| size > limit) {
            return Err(Error::TooLarge { what, limit });
        }
        let request = Request::new(
            Method::GET,
            self.path(&format!("{folder}/{}", descriptor.digest)),
        );
        let request = if is_manifest {
            request.header(ACCEPT, &format!("{kind}, */*"))
        } else {
            request
        };
        let mut attempt = 0;
        loop {
            let response = self.ask_any(&request, &descriptor.digest).await?;
            match read_bounded(response, limit, &what).await {
                Ok(bytes) => return checked(descriptor, bytes),
                Err(error @ Error::TooLarge { .. }) => return Err(error),
                Err(error) if attempt >= self.retries() => return Err(error),
                Err(_) => sleep(back_off(attempt)).await,
            }
            attempt += 1;
        }
    }

    /// A blob to be fetched, as a whole or in parts. The digest is *not* checked here: the caller hashes what it
    /// stores.
    #[must_use]
    pub fn blob(&self, descriptor: &Descriptor) -> BlobSource {
        BlobSource::new(self.clone(), descriptor.clone())
    }

    /// Fetches a blob from `offset` on; a broken transfer is taken up again on its own.
    ///
    /// # Errors
    /// When it isn't there. The digest is *not* checked here.
    pub async fn fetch_blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, Error> {
        let part = offset..descriptor.size;
        self.blob(descriptor).fetch(part, Patience::Insist).await
    }

    /// Whether the repository has the blob; sends no content.
    ///
    /// # Errors
    /// When the registry can't be asked or doesn't allow it.
    pub async fn blob_exists(&self, digest: &Digest) -> Result<bool, Error> {
        let request = Request::new(Method::HEAD, self.path(&format!("blobs/{digest}")));
        let response = self.ask(&self.push_subject()?, &request).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(unexpected(response, &Method::HEAD).await),
        }
    }

    /// Whether the repository has the manifest.
    ///
    /// # Errors
    /// When the registry can't be asked or doesn't allow it.
    pub async fn manifest_exists(&self, digest: &Digest) -> Result<bool, Error> {
        let request = Request::new(Method::HEAD, self.path(&format!("manifests/{digest}")));
        let response = self
            .ask(&self.push_subject()?, &accepting_manifests(request))
            .await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(unexpected(response, &Method::HEAD).await),
        }
    }

    /// Asks for a blob's bytes, or the part of them that `range` says, at the first server that has it.
    pub(crate) async fn request_blob(
        &self,
        descriptor: &Descriptor,
        range: Option<&str>,
        patient: bool,
    ) -> Result<Response, Error> {
        let path = self.path(&format!("blobs/{}", descriptor.digest));
        let request = blob_request(path, descriptor, range, patient);
        self.ask_any(&request, &descriptor.digest).await
    }

    /// The same at an address that a registry has led to before.
    pub(crate) async fn request_blob_at(
        &self,
        url: &url::Url,
        descriptor: &Descriptor,
        range: &str,
    ) -> Result<Response, Error> {
        let request = blob_request(String::new(), descriptor, Some(range), false);
        self.transport().plain_request(url, &request, None).await
    }

    /// Sends a GET to the servers in order until one has what is asked for.
    async fn ask_any(&self, request: &Request, digest: &Digest) -> Result<Response, Error> {
        let mut last = None;
        for subject in self.pull_subjects(Purpose::Pull)? {
            match self.ask(&subject, request).await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) if response.status() == StatusCode::NOT_FOUND => last = None,
                Ok(response) => {
                    let error = unexpected(response, &request.method).await;
                    last = Some(self.passed_over(&subject, error));
                }
                Err(error) => last = Some(self.passed_over(&subject, error)),
            }
        }
        Err(last.unwrap_or_else(|| Error::NotFound {
            what: digest.to_string(),
        }))
    }

    /// A mirror that fails is no failure as long as another server has it; whoever runs the engine may want to know.
    fn passed_over(&self, subject: &Subject, error: Error) -> Error {
        if subject.endpoint.mirror {
            let reason = dhow_errdefs::chain(&error).to_string();
            tracing::warn!(mirror = subject.endpoint.host, reason, "passed over");
        }
        error
    }

    /// Sends a request with what authorizes it, answering a challenge once, waiting when told to, and asking again when
    /// the server has a bad moment.
    pub(crate) async fn ask(
        &self,
        subject: &Subject,
        request: &Request,
    ) -> Result<Response, Error> {
        let (transport, authorizer) = (self.transport(), self.authorizer());
        let mut authorization = authorizer.known(subject);
        let mut answered = false;
        let mut later = 0;
        loop {
            let sent = transport
                .send(&subject.endpoint, request, authorization.as_ref())
                .await;
            let response = match sent {
                Err(error) if later < LATER && is_cut(&error, request) => {
                    sleep(back_off(later)).await;
                    later += 1;
                    continue;
                }
                sent => sent?,
            };
            match response.status() {
                StatusCode::UNAUTHORIZED if !answered => {
                    authorizer.forget(subject);
                    match authorizer
                        .answer(transport, subject, response.headers())
                        .await
                    {
                        Ok(granted) => authorization = Some(granted.header),
                        Err(Refusal::Unknown) => return Ok(response),
                        Err(Refusal::Denied(reason)) => return Err(self.denied(subject, reason)),
                        Err(Refusal::Failed(error)) => return Err(*error),
                    }
                    answered = true;
                }
                StatusCode::UNAUTHORIZED => {
                    authorizer.forget(subject);
                    return match server_message(&response) {
                        Some(message) => Err(self.denied(
                            subject,
                            format!("server message: {message}: authorization failed"),
                        )),
                        None => Ok(response),
                    };
                }
                _ => match self.wait_for(&response, request, later) {
                    Some(time) => {
                        sleep(time).await;
                        later += 1;
                    }
                    None => return Ok(response),
                },
            }
        }
    }
}

impl Repository {
    /// How long to wait before the request is sent again; `None` where that is of no use.
    fn wait_for(&self, response: &Response, request: &Request, attempt: u32) -> Option<Duration> {
        let busy = match response.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => true,
            StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT => {
                matches!(request.method, Method::GET | Method::HEAD | Method::PUT)
            }
            _ => false,
        };
        if !busy || !request.patient || attempt >= LATER {
            return None;
        }
        let Some(told) = wait_told(response) else {
            return Some(back_off(attempt));
        };
        (told <= self.config().longest_wait).then(|| {
            self.tell_waiting(told);
            told
        })
    }
}

/// Below this a blob is fetched over the connection that all small requests share.
const BULK: u64 = 1 << 20;

fn blob_request(
    path: String,
    descriptor: &Descriptor,
    range: Option<&str>,
    patient: bool,
) -> Request {
    let mut request = Request::new(Method::GET, path);
    request.bulk = descriptor.size >= BULK;
    request.patient = patient;
    match range {
        Some(range) => request.header(RANGE, range),
        None => request,
    }
}

/// Whether a server hung up instead of answering what can be asked again.
fn is_cut(error: &Error, request: &Request) -> bool {
    let cut = |reason: &str| reason.ends_with("EOF") || reason.contains("connection reset");
    request.patient && matches!(error, Error::Request { reason, .. } if cut(reason))
}

fn accepting_manifests(request: Request) -> Request {
    let all = media_type::ACCEPTED_MANIFESTS.join(", ");
    request.header(ACCEPT, &format!("{all}, */*"))
}

/// What a HEAD's answer says of the manifest, if it says enough.
fn described(response: &Response, reference: &Reference) -> Option<Descriptor> {
    let header = |name: HeaderName| response.headers().get(name).and_then(|v| v.to_str().ok());
    let told = header(CONTENT_DIGEST).and_then(|digest| digest.parse::<Digest>().ok());
    let digest = reference.digest().copied().or(told)?;
    let size = header(CONTENT_LENGTH)?.parse().ok()?;
    let kind = content_type(response)
        .filter(|kind| media_type::is_manifest(kind) || media_type::is_index(kind))?;
    Some(Descriptor::new(kind, digest, size))
}

pub(crate) fn content_type(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned(),
    )
}

fn checked(descriptor: &Descriptor, bytes: Bytes) -> Result<Bytes, Error> {
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found != descriptor.size {
        return Err(Error::Size {
            expected: descriptor.size,
            found,
        });
    }
    check_digest(Some(&descriptor.digest), &Digest::of(&bytes))?;
    Ok(bytes)
}

fn check_digest(expected: Option<&Digest>, found: &Digest) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != found => Err(Error::Digest {
            expected: *expected,
            found: *found,
        }),
        _ => Ok(()),
    }
}

/// Reads a body of at most `limit` bytes; a silent server is given up.
pub(crate) async fn read_bounded(
    mut response: Response,
    limit: usize,
    what: &str,
) -> Result<Bytes, Error> {
    let url = shown(response.url());
    let too_large = || Error::TooLarge {
        what: what.to_owned(),
        limit,
    };
    if response
        .content_length()
        .is_some_and(|n| usize::try_from(n).is_ok_and(|n| n > limit))
    {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    loop {
        let failed = |source| Error::Transfer {
            url: url.clone(),
            source,
        };
        // Documents are small: as long as a whole blob's silence is enough for a piece of one.
        let chunk = timeout(Duration::from_secs(60), response.chunk())
            .await
            .map_err(|e| failed(Box::new(e)))?
            .map_err(|e| failed(Box::new(e)))?;
        let Some(chunk) = chunk else {
            return Ok(bytes.freeze());
        };
        if bytes.len() + chunk.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// `404 Not Found`.
pub(crate) fn status_text(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The error for an answer that is none of those expected, with what the registry says about it.
pub(crate) async fn unexpected(response: Response, method: &Method) -> Error {
    let (status, url) = (response.status(), shown(response.url()));
    let body = read_bounded(response, LARGEST_ERROR, "error")
        .await
        .unwrap_or_default();
    let entries = serde_json::from_slice::<ErrorBody>(&body)
        .unwrap_or_default()
        .errors;
    let detail = entries.first().map_or_else(String::new, |entry| {
        let code = entry.code.to_ascii_lowercase().replace('_', " ");
        format!("\n{code}: {}", entry.message)
    });
    Error::Status {
        method: method.to_string(),
        url,
        status: status_text(status),
        detail,
        code: status.as_u16(),
    }
}

fn server_message(response: &Response) -> Option<String> {
    let value = response
        .headers()
        .get(http::header::WWW_AUTHENTICATE)?
        .to_str()
        .ok()?;
    let challenges = crate::challenge::parse(value);
    challenges
        .iter()
        .find_map(|c| c.get("error").map(str::to_owned))
}

/// What `Retry-After` says: seconds, or a date (RFC 9110, section 10.2.3).
fn wait_told(response: &Response) -> Option<Duration> {
    let value = response
        .headers()
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let wait = date.duration_since(std::time::SystemTime::now());
    Some(wait.unwrap_or(Duration::ZERO))
}
