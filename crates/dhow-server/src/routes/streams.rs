//! `/containers/{id}`: attach, logs and wait.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use dhow_api::container::{WaitError, WaitResponse};
use dhow_engine::Containers;
use dhow_engine::container::{Exit, LogsOptions, WaitCondition};
use dhow_engine::streams::AttachOptions;
use futures::stream::{self, StreamExt};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::error::{ApiError, Result};
use crate::reply::{self, Carried, Hijack, hijacked};
use crate::request::Query;
use crate::{ApiVersion, Handles};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/containers/{id}/attach", post(attach))
        .route("/containers/{id}/logs", get(logs))
        .route("/containers/{id}/wait", post(wait))
}

async fn attach(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
    hijack: Hijack,
) -> Result<Response> {
    let attachment = containers.attach(&id, options(&query)).await?;
    let kind = reply::multiplexed(attachment.tty, version);
    Ok(hijacked(hijack, kind, Carried::Process(attachment)).await)
}

/// What a query asks to be attached to.
pub(super) fn options(query: &Query) -> AttachOptions {
    AttachOptions {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        logs: query.flag("logs"),
        stream: query.flag("stream"),
        detach_keys: query.some("detachKeys").map(ToOwned::to_owned),
    }
}

async fn logs(
    State(containers): State<Containers>,
    State(stop): State<CancellationToken>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let options = LogsOptions {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        follow: query.flag("follow"),
        since: query.time("since")?,
        until: query.time("until")?,
        tail: tail(query.get("tail")),
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
    };
    if !options.stdout && !options.stderr {
        return Err(ApiError::invalid(
            "must specify at least one of 'stdout' or 'stderr'",
        ));
    }
    let log = containers.logs(&id, options).await?;
    let kind = reply::multiplexed(log.tty, version);
    Ok(reply::typed(
        StatusCode::OK,
        kind,
        reply::log_stream(log, stop),
    ))
}

/// How many lines; all of them for `all`, nothing, and what is no number, as in Docker.
fn tail(text: &str) -> Option<u64> {
    text.parse().ok()
}

async fn wait(
    State(containers): State<Containers>,
    State(stop): State<CancellationToken>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let condition = match query.get("condition") {
        _ if version.before(30) => WaitCondition::NotRunning,
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => {
            return Err(ApiError::invalid(format!("invalid condition: {other:?}")));
        }
    };
    let exit = containers.wait(&id, condition)?;
    if version.before(30) {
        return Ok(reply::ok(&answer(exit.await?, condition)));
    }
    // The head goes out at once: clients start the container when they have seen it.
    let body = stream::once(async move {
        let answer = match exit.await {
            Ok(exit) => answer(exit, condition),
            Err(error) => WaitResponse {
                status_code: -1,
                error: Some(WaitError {
                    message: ApiError::from(error).message,
                }),
            },
        };
        let mut line = serde_json::to_vec(&answer).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    let body = Body::from_stream(body.take_until(stop.cancelled_owned()));
    Ok(reply::typed(StatusCode::OK, "application/json", body))
}

fn answer(exit: Exit, condition: WaitCondition) -> WaitResponse {
    // Who waits for the removal is not told why the start failed: only a failed removal would be an error to them.
    let error = exit.error.filter(|_| condition != WaitCondition::Removed);
    WaitResponse {
        status_code: exit.code.into(),
        error: error.map(|message| WaitError { message }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_numbers_or_everything() {
        for (text, lines) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("all", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(tail(text), lines, "{text}");
        }
    }
}
