//! From an error's kind to a status, in this file and nowhere else.

use axum::response::{IntoResponse, Response};
use dhow_api::ErrorResponse;
use dhow_errdefs::{Classify, ErrorKind, chain};
use http::StatusCode;

use crate::reply;

/// An answer that says what went wrong: `{"message": …}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// The text, Docker's where it has one.
    pub message: String,
}

/// The result of a handler.
pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    /// An error of that kind.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status: status(kind),
            message: message.into(),
        }
    }

    /// 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// 501.
    pub(crate) fn not_implemented(what: impl std::fmt::Display) -> Self {
        Self::new(
            ErrorKind::NotImplemented,
            format!("{what} is not implemented"),
        )
    }

    /// The answer to a path that does not exist.
    pub(crate) fn no_page() -> Self {
        Self::new(ErrorKind::NotFound, "page not found")
    }
}

/// The status of errors of a kind, as moby's `httpstatus.FromError` has it.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::NotModified => StatusCode::NOT_MODIFIED,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl<E: Classify + 'static> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self::new(error.kind(), chain(&error).to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::NOT_MODIFIED {
            return self.status.into_response();
        }
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(status = self.status.as_u16(), "{}", self.message);
        } else {
            tracing::debug!(status = self.status.as_u16(), "{}", self.message);
        }
        let body = ErrorResponse {
            message: self.message,
        };
        reply::json(self.status, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_dockers_statuses() {
        for (kind, number) in [
            (ErrorKind::InvalidArgument, 400),
            (ErrorKind::Unauthorized, 401),
            (ErrorKind::Forbidden, 403),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::NotModified, 304),
            (ErrorKind::System, 500),
            (ErrorKind::Cancelled, 500),
            (ErrorKind::NotImplemented, 501),
            (ErrorKind::Unavailable, 503),
        ] {
            assert_eq!(status(kind).as_u16(), number, "{kind:?}");
        }
    }
}
