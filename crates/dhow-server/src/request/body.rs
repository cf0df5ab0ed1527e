//! JSON bodies, with Docker's strictness and texts.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use futures::TryStreamExt;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::go_json;
use super::go_types::{self, Body};
use crate::error::{ApiError, Result};

/// No request in JSON needs more.
const LIMIT: usize = 16 * 1024 * 1024;

/// A JSON body; an absent one is the type's default.
#[derive(Debug)]
pub(crate) struct Json<T>(pub T);

impl<T: Body, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        match read(request).await? {
            Some(bytes) => decode(&bytes).map(Self),
            None => Ok(Self(T::default())),
        }
    }
}

/// The bytes of a JSON body; nothing when there is no body.
pub(crate) async fn read(request: Request) -> Result<Option<Bytes>> {
    let absent = is_absent(request.headers());
    check_type(request.headers(), absent)?;
    if absent {
        return Ok(None);
    }
    match Limited::new(request.into_body(), LIMIT).collect().await {
        Ok(collected) => Ok(Some(collected.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            message: format!("request body too large: the limit is {LIMIT} bytes"),
        }),
        Err(error) => Err(ApiError::invalid(format!(
            "cannot read the request's body: {error}"
        ))),
    }
}

/// The bytes of a body as they come.
pub(crate) fn reader(request: Request) -> impl AsyncRead + Send + Unpin + 'static {
    let pieces = request.into_body().into_data_stream();
    StreamReader::new(TryStreamExt::map_err(pieces, std::io::Error::other))
}

/// Decodes a JSON body.
pub(crate) fn decode<T: Body>(bytes: &[u8]) -> Result<T> {
    from_document(document(bytes)?)
}

/// The document in a JSON body, whatever it says.
pub(crate) fn document(bytes: &[u8]) -> Result<Value> {
    match go_json::check(bytes) {
        Ok(rest) if rest.iter().all(u8::is_ascii_whitespace) => {}
        Ok(_) => return Err(ApiError::invalid("unexpected content after JSON")),
        Err(text) => return Err(invalid(text)),
    }
    serde_json::from_slice(bytes).map_err(|error| invalid(plain(&error)))
}

/// What a document says to a request of that type.
pub(crate) fn from_document<T: Body>(document: Value) -> Result<T> {
    let checked = go_types::check::<T>(document).map_err(invalid)?;
    serde_json::from_value(checked).map_err(|error| invalid(plain(&error)))
}

fn invalid(text: impl std::fmt::Display) -> ApiError {
    ApiError::invalid(format!("invalid JSON: {text}"))
}

/// An error of the decoder's own, without its place.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn is_absent(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return false;
    }
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length == "0",
        None => true,
    }
}

fn check_type(headers: &HeaderMap, absent: bool) -> Result<()> {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.map_or("", |value| value.to_str().unwrap_or_default());
    if given.is_empty() && absent {
        return Ok(());
    }
    let mut parts = given.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let malformed = |why: &str| {
        let text = format!("malformed Content-Type header ({given}): mime: {why}");
        Err(ApiError::invalid(text))
    };
    if kind.is_empty() {
        return malformed("no media type");
    }
    if parts.any(|part| !part.is_empty() && !part.contains('=')) {
        return malformed("invalid media parameter");
    }
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "unsupported Content-Type header ({given}): must be 'application/json'"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use axum::body::Body;
    use dhow_api::volume::VolumeCreateRequest;

    use super::*;

    async fn post(kind: &str, body: &str) -> Result<VolumeCreateRequest> {
        let mut request = Request::builder().header(header::CONTENT_LENGTH, body.len());
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        Json::from_request(request, &()).await.map(|json| json.0)
    }

    #[tokio::test]
    async fn bodies_are_decoded_or_refused_in_dockers_words() {
        let json = "application/json; charset=utf-8";
        assert_eq!(post(json, r#"{"Name":"a"}"#).await.unwrap().name, "a");
        assert_eq!(post("", "").await.unwrap().name, "");
        for (kind, body, text) in [
            (
                "",
                "{}",
                "malformed Content-Type header (): mime: no media type",
            ),
            (
                "text/plain",
                "{}",
                "unsupported Content-Type header (text/plain): must be 'application/json'",
            ),
            (
                json,
                "{bad",
                "invalid JSON: invalid character 'b' looking for beginning of object key string",
            ),
            (
                json,
                " ",
                "invalid JSON: got EOF while reading request body",
            ),
            (json, r#"{"Name""#, "invalid JSON: unexpected EOF"),
            (json, "{} {}", "unexpected content after JSON"),
        ] {
            assert_eq!(post(kind, body).await.unwrap_err().message, text, "{body}");
        }
        let error = post(json, r#"{"Name":1}"#).await.unwrap_err();
        assert_eq!(
            error.message,
            "invalid JSON: json: cannot unmarshal number into Go struct field CreateOptions.Name of type string"
        );
    }

    #[tokio::test]
    async fn huge_bodies_are_refused() {
        let body = format!(r#"{{"Name":"{}"}}"#, "x".repeat(LIMIT));
        let error = post("application/json", &body).await.unwrap_err();
        assert_eq!(error.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
