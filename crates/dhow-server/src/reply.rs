//! How answers are written: JSON, streams, hijacked connections.

mod hijack;
mod list;
mod progress;
mod stream;
mod websocket;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

pub(crate) use hijack::{Carried, Hijack, hijacked, hijacked_first, upgraded};
pub(crate) use list::list;
pub(crate) use progress::{Failure, progress};
pub(crate) use stream::{byte_stream, log_stream, multiplexed, reading};
pub(crate) use websocket::{Kind as MessageKind, carry as carry_websocket};

use crate::ApiVersion;
use crate::error::ApiError;

/// A JSON document, with the newline Go ends it with.
pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, document: &T) -> Response {
    let mut bytes = match serde_json::to_vec(document) {
        Ok(bytes) => bytes,
        // Only a type that isn't JSON could do that; the text is a message of our own and always is.
        Err(error) => {
            let kind = dhow_errdefs::ErrorKind::System;
            return ApiError::new(kind, format!("cannot encode the answer: {error}"))
                .into_response();
        }
    };
    bytes.push(b'\n');
    typed(status, "application/json", Body::from(bytes))
}

/// 200 with a JSON document.
pub(crate) fn ok<T: Serialize + ?Sized>(document: &T) -> Response {
    json(StatusCode::OK, document)
}

/// 200 with a JSON document; for versions before 1.`since`, `adapt` makes it fit.
pub(crate) fn compatible<T: Serialize>(
    document: &T,
    version: ApiVersion,
    since: u16,
    adapt: impl FnOnce(&mut Value),
) -> Response {
    if !version.before(since) {
        return ok(document);
    }
    match serde_json::to_value(document) {
        Ok(mut value) => {
            adapt(&mut value);
            ok(&value)
        }
        Err(_) => ok(document),
    }
}

/// 201 with a JSON document.
pub(crate) fn created<T: Serialize + ?Sized>(document: &T) -> Response {
    json(StatusCode::CREATED, document)
}

/// 204.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A status without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    status.into_response()
}

/// A body of that type.
pub(crate) fn typed(status: StatusCode, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
