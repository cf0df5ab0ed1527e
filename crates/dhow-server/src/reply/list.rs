//! Long lists, encoded while they are sent.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use crate::error::ApiError;

/// How many bytes are encoded at a time.
const PIECE: usize = 64 << 10;

/// 200 with a JSON array. Whatever its length, no more than a piece of it is in memory.
pub(crate) fn list<T: Serialize>(items: impl Iterator<Item = T> + Send + 'static) -> Response {
    let mut pieces = Pieces {
        items,
        begun: false,
        ended: false,
    };
    let first = match pieces.piece() {
        Ok(bytes) => bytes,
        Err(error) => {
            let kind = dhow_errdefs::ErrorKind::System;
            return ApiError::new(kind, format!("cannot encode the answer: {error}"))
                .into_response();
        }
    };
    let body = if pieces.ended {
        Body::from(first)
    } else {
        let rest = std::iter::once(Ok(first)).chain(pieces);
        Body::from_stream(futures::stream::iter(rest))
    };
    super::typed(StatusCode::OK, "application/json", body)
}

/// An array's text, piece after piece.
struct Pieces<I> {
    items: I,
    begun: bool,
    ended: bool,
}

impl<T: Serialize, I: Iterator<Item = T>> Pieces<I> {
    fn piece(&mut self) -> Result<Bytes, serde_json::Error> {
        let mut text = Vec::with_capacity(1024);
        while text.len() < PIECE {
            let Some(item) = self.items.next() else {
                text.extend_from_slice(if self.begun { b"]\n" } else { b"[]\n" });
                self.ended = true;
                break;
            };
            text.push(if self.begun { b',' } else { b'[' });
            self.begun = true;
            serde_json::to_writer(&mut text, &item)?;
        }
        Ok(text.into())
    }
}

impl<T: Serialize, I: Iterator<Item = T>> Iterator for Pieces<I> {
    type Item = Result<Bytes, serde_json::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let piece = self.piece();
        self.ended |= piece.is_err();
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn text(response: Response) -> (Option<u64>, Vec<u8>) {
        use axum::body::HttpBody as _;
        let body = response.into_body();
        let size = body.size_hint().exact();
        let bytes = body.collect().await.expect("a body").to_bytes();
        (size, bytes.to_vec())
    }

    #[tokio::test]
    async fn short_lists_have_a_length_and_long_ones_the_same_text() {
        let (size, bytes) = text(list(std::iter::empty::<u8>())).await;
        assert_eq!((size, bytes.as_slice()), (Some(3), b"[]\n".as_slice()));
        for many in [1_u32, 1000, 100_000] {
            let numbers: Vec<u32> = (0..many).collect();
            let mut whole = serde_json::to_vec(&numbers).expect("numbers");
            whole.push(b'\n');
            let (size, bytes) = text(list(numbers.into_iter())).await;
            assert!(bytes == whole, "{many}");
            assert_eq!(size.is_some(), bytes.len() < PIECE, "{many}");
        }
    }
}
