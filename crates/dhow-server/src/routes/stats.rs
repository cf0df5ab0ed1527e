//! `/containers/{id}/stats`.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use dhow_engine::Containers;
use dhow_engine::stats::{Stats, StatsOptions};
use futures::StreamExt;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::request::Query;
use crate::{ApiVersion, Handles, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new().route("/containers/{id}/stats", get(stats))
}

async fn stats(
    State(containers): State<Containers>,
    State(stop): State<CancellationToken>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let options = StatsOptions {
        stream: !query.has("stream") || query.flag("stream"),
        one_shot: !version.before(41) && query.flag("one-shot"),
    };
    let stats = containers.stats(&id, options).await?;
    let lines = stats
        .take_until(stop.cancelled_owned())
        .map(move |stats| Ok::<_, Infallible>(line(&stats, version)));
    let body = Body::from_stream(lines);
    Ok(reply::typed(StatusCode::OK, "application/json", body))
}

fn line(stats: &Stats, version: ApiVersion) -> Bytes {
    let mut stats = convert::stats::stats(stats);
    if version.before(52) {
        stats.os_type.clear();
    }
    // A sample is strings and numbers, which always are JSON.
    let mut line = serde_json::to_vec(&stats).unwrap_or_default();
    line.push(b'\n');
    line.into()
}
