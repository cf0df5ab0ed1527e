//! JSON progress streams: pull, push, load and import.
//!
//! Work that fails before it has said anything is answered with a status; once the first message is out, a failure is
//! the last message of the stream. A client that goes away ends the work.

use std::convert::Infallible;
use std::future::Future;

use axum::body::{Body, Bytes};
use axum::response::Response;
use dhow_api::progress::{ErrorDetail, JsonMessage, ProgressDetail};
use dhow_image::{Progress, ProgressSender};
use futures::stream;
use http::StatusCode;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::typed;
use crate::error::{ApiError, Result};

/// Messages that may wait for a slow client before newer ones are left out.
const BACKLOG: usize = 256;

/// Where failures of the work go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// To the status, as long as nothing has been said.
    Status,
    /// Always to the stream.
    Stream,
}

struct Running {
    messages: mpsc::Receiver<Progress>,
    work: Option<AbortOnDropHandle<Result<()>>>,
}

/// Runs `work` and answers with what it tells.
pub(crate) async fn progress<F, W>(failure: Failure, work: W) -> Result<Response>
where
    W: FnOnce(ProgressSender) -> F,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, messages) = mpsc::channel(BACKLOG);
    let work = AbortOnDropHandle::new(tokio::spawn(work(sender)));
    let mut running = Running {
        messages,
        work: Some(work),
    };
    let first = running.next().await;
    if let Some(Err(error)) = first {
        if failure == Failure::Status {
            return Err(error);
        }
        return Ok(answer(Body::from(last_words(&error))));
    }
    let rest = stream::unfold((first, running), |(ready, mut running)| async move {
        let item = match ready {
            Some(item) => item,
            None => running.next().await?,
        };
        let line = match item {
            Ok(message) => line(&message),
            Err(error) => last_words(&error),
        };
        Some((Ok::<_, Infallible>(line), (None, running)))
    });
    Ok(answer(Body::from_stream(rest)))
}

impl Running {
    /// The next message or, at the end, the error.
    async fn next(&mut self) -> Option<Result<Progress>> {
        if let Some(message) = self.messages.recv().await {
            return Some(Ok(message));
        }
        // All senders are gone: the work is done or about to be.
        let result = match self.work.take()?.await {
            Ok(result) => result,
            Err(error) => Err(ApiError::new(
                dhow_errdefs::ErrorKind::System,
                format!("the work ended early: {error}"),
            )),
        };
        result.err().map(Err)
    }
}

fn answer(body: Body) -> Response {
    typed(StatusCode::OK, "application/json", body)
}

fn line(progress: &Progress) -> Bytes {
    let detail = progress.detail.map(|detail| ProgressDetail {
        current: detail.current,
        total: detail.total,
    });
    encode(&JsonMessage {
        stream: progress.stream.clone().unwrap_or_default(),
        status: progress.status.clone(),
        progress: detail.as_ref().map(bar).unwrap_or_default(),
        progress_detail: detail,
        id: progress.id.clone().unwrap_or_default(),
        aux: progress.aux.clone(),
        ..JsonMessage::default()
    })
}

fn last_words(error: &ApiError) -> Bytes {
    encode(&JsonMessage {
        error: error.message.clone(),
        error_detail: Some(ErrorDetail {
            code: 0,
            message: error.message.clone(),
        }),
        ..JsonMessage::default()
    })
}

fn encode(message: &JsonMessage) -> Bytes {
    // A message is strings and numbers, which always are JSON.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.extend(b"\r\n");
    line.into()
}

/// The bar that old clients show as it is.
fn bar(detail: &ProgressDetail) -> String {
    let current = units(detail.current);
    if detail.current == 0 && detail.total == 0 {
        return String::new();
    }
    if detail.total == 0 || detail.current > detail.total {
        return format!("{current:>8}");
    }
    let percent = detail.current.saturating_mul(100) / detail.total;
    let done = usize::try_from(percent / 2).unwrap_or(50).min(50);
    let line = format!("{}>", "=".repeat(done));
    format!("[{line:<51}] {current:>8}/{}", units(detail.total))
}

/// A size in decimal units with four digits, as `go-units` prints it.
fn units(bytes: u64) -> String {
    const NAMES: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut divisor = 1_u64;
    let mut name = NAMES[0];
    for next in &NAMES[1..] {
        if bytes / divisor < 1000 {
            break;
        }
        divisor = divisor.saturating_mul(1000);
        name = next;
    }
    let whole = bytes / divisor;
    let digits: usize = match whole {
        0..10 => 3,
        10..100 => 2,
        100..1000 => 1,
        _ => 0,
    };
    let scale = 10_u128.pow(u32::try_from(digits).unwrap_or(0));
    let fraction = u128::from(bytes % divisor) * scale / u128::from(divisor);
    let fraction = format!("{fraction:0digits$}");
    let fraction = fraction.trim_end_matches('0');
    if digits == 0 || fraction.is_empty() {
        return format!("{whole}{name}");
    }
    format!("{whole}.{fraction}{name}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_error_before_the_first_message_is_a_status() {
        let work = |_| async { Err(ApiError::no_page()) };
        let error = progress(Failure::Status, work).await.unwrap_err();
        assert_eq!(error.status, StatusCode::NOT_FOUND);
        let work = |_| async { Err(ApiError::no_page()) };
        let response = progress(Failure::Stream, work).await.unwrap();
        assert_eq!(
            text(response).await,
            "{\"error\":\"page not found\",\"errorDetail\":{\"message\":\"page not found\"}}\r\n"
        );
    }

    #[tokio::test]
    async fn an_error_after_the_first_message_ends_the_stream() {
        let work = |sender: ProgressSender| async move {
            sender.send(Progress::of("abc", "Pushed")).await.unwrap();
            Err(ApiError::invalid("no"))
        };
        let response = progress(Failure::Status, work).await.unwrap();
        assert_eq!(
            text(response).await,
            "{\"status\":\"Pushed\",\"progressDetail\":{},\"id\":\"abc\"}\r\n\
             {\"error\":\"no\",\"errorDetail\":{\"message\":\"no\"}}\r\n"
        );
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_the_work() {
        let (told, ended) = tokio::sync::oneshot::channel::<()>();
        let work = |sender: ProgressSender| async move {
            sender.send(Progress::line("begun")).await.unwrap();
            let _told = told;
            std::future::pending::<Result<()>>().await
        };
        let response = progress(Failure::Status, work).await.unwrap();
        drop(response);
        assert!(ended.await.is_err());
    }

    #[test]
    fn the_bar_is_dockers() {
        let detail = |current, total| ProgressDetail { current, total };
        let half = "[=========================>                         ]     500B/1kB";
        assert_eq!(bar(&detail(500, 1000)), half);
        assert_eq!(bar(&detail(0, 0)), "");
        assert_eq!(bar(&detail(2048, 0)), " 2.048kB");
        assert_eq!(units(214_000_000), "214MB");
        assert_eq!(units(1_163_541_727), "1.163GB");
    }
}
