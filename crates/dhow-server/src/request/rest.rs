//! What is left of a request's body when the answer is an error.
//!
//! A connection that is closed with bytes nobody has read is reset, and a client that is still sending learns of that
//! before it has seen the answer ("broken pipe"). So the rest is read first, here and nowhere else: as much as Go's
//! server reads, and not without end.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http::header;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

/// As many bytes as Go's server reads.
const ENOUGH: usize = 256 * 1024;
/// A client that sends nothing has had its answer for that long already.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request's body, of which the rest can be had when its handler is done with it.
#[derive(Debug, Clone)]
pub(crate) struct Rest(Arc<Mutex<Body>>);

impl Rest {
    /// The body of `request`, which keeps it; nothing where there is none, or one that is not sent unless asked for.
    pub(crate) fn of(request: &mut Request) -> Option<Self> {
        if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
            return None;
        }
        let rest = Self(Arc::new(Mutex::new(std::mem::take(request.body_mut()))));
        *request.body_mut() = Body::new(rest.clone());
        Some(rest)
    }

    /// Reads what the handler has left, unless somebody still reads it.
    pub(crate) async fn drain(mut self) {
        if Arc::strong_count(&self.0) > 1 {
            return;
        }
        let mut left = ENOUGH;
        let read = async {
            while let Some(Ok(frame)) = self.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                left = left.saturating_sub(length);
                if left == 0 {
                    return;
                }
            }
        };
        // What is left over, or cannot be read, ends with the connection.
        let _ = tokio::time::timeout(PATIENCE, read).await;
    }

    fn with<T>(&self, work: impl FnOnce(Pin<&mut Body>) -> T) -> T {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(Pin::new(&mut *body))
    }
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use futures::StreamExt;

    use super::*;

    /// A request whose body counts what is taken of it, in pieces of 64 KiB, and its counter.
    fn request(pieces: usize) -> (Request, Arc<Mutex<usize>>) {
        let taken = Arc::new(Mutex::new(0));
        let counter = taken.clone();
        let body = futures::stream::iter(0..pieces).map(move |_| {
            *counter.lock().unwrap() += 1;
            Ok::<_, std::io::Error>(Bytes::from_static(&[0; 65536]))
        });
        (Request::new(Body::from_stream(body)), taken)
    }

    #[tokio::test]
    async fn the_rest_is_read_but_not_without_end() {
        for (pieces, expected) in [(1, 1), (3, 3), (100, 4)] {
            let (mut request, taken) = request(pieces);
            let rest = Rest::of(&mut request).unwrap();
            drop(request);
            rest.drain().await;
            assert_eq!(*taken.lock().unwrap(), expected, "{pieces}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_still_read_is_left_alone() {
        let (mut request, taken) = request(3);
        let rest = Rest::of(&mut request).unwrap();
        rest.drain().await;
        assert_eq!(*taken.lock().unwrap(), 0);
        assert_eq!(
            request
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .len(),
            3 * 65536
        );
    }

    #[test]
    fn what_is_not_sent_is_not_waited_for() {
        let mut none = Request::new(Body::empty());
        assert!(Rest::of(&mut none).is_none());
        let (mut asking, _) = request(1);
        let value = http::HeaderValue::from_static("100-continue");
        asking.headers_mut().insert(header::EXPECT, value);
        assert!(Rest::of(&mut asking).is_none());
    }
}
