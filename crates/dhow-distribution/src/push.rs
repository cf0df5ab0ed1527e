//! Sending blobs and manifests.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dhow_oci::{Descriptor, Digest};
use futures::TryStreamExt;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::{Body, Response};
use tokio::io::AsyncReadExt;
use tokio::time::sleep;
use tokio_util::io::ReaderStream;
use url::Url;

use crate::auth::Subject;
use crate::boundary::may_lead;
use crate::fetch::unexpected;
use crate::registry::back_off;
use crate::transport::{Request, authority, protocol};
use crate::{Error, Repository};

const READ_SIZE: usize = 256 << 10;
/// The size of a piece where a registry takes no blob in one.
const CHUNK: u64 = 16 << 20;

/// Called with the number of bytes sent so far.
pub type Sent = Arc<dyn Fn(u64) + Send + Sync>;

/// What a registry said to the start of an upload.
enum Begun {
    /// It has the blob now, from another repository.
    Mounted,
    /// Send it there.
    Upload(Url),
}

impl Repository {
    /// Makes a blob of the repository `from`, in the same registry, ours too; false when the registry won't.
    ///
    /// # Errors
    /// When the registry can't be asked or doesn't allow it.
    pub async fn mount_blob(&self, digest: &Digest, from: &str) -> Result<bool, Error> {
        let subject = self.mount_subject(from)?;
        let query = format!("?mount={digest}&from={}", encode(from));
        match self.begin(&subject, &query).await {
            Ok(Begun::Mounted) => Ok(true),
            Ok(Begun::Upload(url)) => {
                // Nothing is sent to the upload that was begun instead; tell the registry so.
                let _ = self
                    .upload(
                        &subject,
                        Method::DELETE,
                        &url,
                        HeaderMap::new(),
                        Body::default(),
                    )
                    .await;
                Ok(false)
            }
            Err(Error::PushDenied { .. } | Error::Status { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a blob from a file, in one piece or, where the registry takes it only so, in several.
    ///
    /// # Errors
    /// When the registry refuses it, or the transfer breaks again and again.
    pub async fn push_blob(
        &self,
        descriptor: &Descriptor,
        file: &File,
        sent: Sent,
    ) -> Result<(), Error> {
        let subject = self.push_subject()?;
        let mut attempt = 0;
        loop {
            let result = self.push_once(&subject, descriptor, file, &sent).await;
            match result {
                Ok(()) => return Ok(()),
                Err(error) if attempt >= self.retries() || !is_passing(&error) => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::debug!(blob = %descriptor.digest, %error, "sending again");
                    sent(0);
                    sleep(back_off(attempt)).await;
                }
            }
            attempt += 1;
        }
    }

    async fn push_once(
        &self,
        subject: &Subject,
        descriptor: &Descriptor,
        file: &File,
        sent: &Sent,
    ) -> Result<(), Error> {
        let Begun::Upload(url) = self.begin(subject, "").await? else {
            return Ok(());
        };
        let response = self
            .send_whole(subject, &url, descriptor, file, sent)
            .await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::METHOD_NOT_ALLOWED => {
                self.send_chunks(subject, descriptor, file, sent).await
            }
            _ => Err(unexpected(response, &Method::PUT).await),
        }
    }

    async fn begin(&self, subject: &Subject, query: &str) -> Result<Begun, Error> {
        let path = format!("{}{query}", self.path("blobs/uploads/"));
        let mut request = Request::new(Method::POST, path).header(CONTENT_LENGTH, "0");
        request.body = Some(Bytes::new());
        let response = self.ask(subject, &request).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Begun::Mounted),
            StatusCode::ACCEPTED | StatusCode::OK => Ok(Begun::Upload(location(&response)?)),
            _ => Err(unexpected(response, &Method::POST).await),
        }
    }

    async fn send_whole(
        &self,
        subject: &Subject,
        url: &Url,
        descriptor: &Descriptor,
        file: &File,
        sent: &Sent,
    ) -> Result<Response, Error> {
        let body = Part {
            from: 0,
            length: descriptor.size,
        }
        .body(file, sent)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(descriptor.size));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        let target = with_digest(url, &descriptor.digest);
        self.upload(subject, Method::PUT, &target, headers, body)
            .await
    }

    async fn send_chunks(
        &self,
        subject: &Subject,
        descriptor: &Descriptor,
        file: &File,
        sent: &Sent,
    ) -> Result<(), Error> {
        let Begun::Upload(mut url) = self.begin(subject, "").await? else {
            return Ok(());
        };
        let mut from = 0;
        while from < descriptor.size {
            let length = CHUNK.min(descriptor.size - from);
            let body = Part { from, length }.body(file, sent)?;
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            if let Ok(range) = HeaderValue::from_str(&format!("{from}-{}", from + length - 1)) {
                headers.insert(CONTENT_RANGE, range);
            }
            let response = self
                .upload(subject, Method::PATCH, &url, headers, body)
                .await?;
            if response.status() != StatusCode::ACCEPTED {
                return Err(unexpected(response, &Method::PATCH).await);
            }
            url = location(&response)?;
            from += length;
        }
        let target = with_digest(&url, &descriptor.digest);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        let response = self
            .upload(subject, Method::PUT, &target, headers, Body::default())
            .await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(unexpected(response, &Method::PUT).await),
        }
    }

    async fn upload(
        &self,
        subject: &Subject,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Body,
    ) -> Result<Response, Error> {
        // The registry may have uploads served by another host; what is the registry's to see is not for that one.
        if authority(url) == subject.endpoint.host {
            subject.endpoint.add_headers(&mut headers);
            if let Some(value) = self.authorizer().known(subject) {
                headers.insert(AUTHORIZATION, value);
            }
        }
        self.transport().upload(url, method, headers, body).await
    }

    /// Gives a manifest or index the name `target`, a tag or its digest.
    ///
    /// # Errors
    /// When the registry refuses it; it must have all that the manifest names.
    pub async fn push_manifest(
        &self,
        target: &str,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let path = self.path(&format!("manifests/{target}"));
        let mut request = Request::new(Method::PUT, path).header(CONTENT_TYPE, media_type);
        request.body = Some(bytes);
        let response = self.ask(&self.push_subject()?, &request).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
            _ => Err(unexpected(response, &Method::PUT).await),
        }
    }
}

/// A part of a file to be sent.
#[derive(Clone, Copy)]
struct Part {
    from: u64,
    length: u64,
}

impl Part {
    fn body(self, file: &File, sent: &Sent) -> Result<Body, Error> {
        let failed = |source| Error::File {
            path: "blob".into(),
            source,
        };
        let mut file = file.try_clone().map_err(failed)?;
        file.seek(SeekFrom::Start(self.from)).map_err(failed)?;
        let reader = tokio::fs::File::from_std(file).take(self.length);
        let (sent, done) = (Arc::clone(sent), AtomicU64::new(self.from));
        let stream = ReaderStream::with_capacity(reader, READ_SIZE).inspect_ok(move |bytes| {
            let length = u64::try_from(bytes.len()).unwrap_or(0);
            sent(done.fetch_add(length, Ordering::Relaxed) + length);
        });
        Ok(Body::wrap_stream(stream))
    }
}

/// Whether trying again may help.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Request { .. } | Error::Transfer { .. } => true,
        Error::Status { code, .. } => matches!(code, 408 | 429 | 500..=599),
        _ => false,
    }
}

fn location(response: &Response) -> Result<Url, Error> {
    let url = response.url();
    let value = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| protocol(url, "upload without a location"))?;
    let target = url.join(value).map_err(|e| protocol(url, &e.to_string()))?;
    if !may_lead(url, &target) {
        return Err(protocol(url, "upload location in this machine"));
    }
    match target.scheme() {
        "https" => Ok(target),
        "http" if url.scheme() == "http" => Ok(target),
        _ => Err(protocol(url, "upload location is not https")),
    }
}

fn with_digest(url: &Url, digest: &Digest) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut()
        .append_pair("digest", &digest.to_string());
    url
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
