//! `/_ping`, `/version`, `/info`, `/events`, `/auth`, `/system/df`.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use dhow_api::auth::{AuthConfig, AuthResponse};
use dhow_api::disk_usage::BuildPruneReport;
use dhow_distribution::Registry;
use dhow_engine::events::{Event, Events};
use dhow_engine::system::System;
use futures::StreamExt;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio_util::sync::CancellationToken;

use super::missing;
use crate::error::Result;
use crate::request::{Json, Query, credentials, filters};
use crate::{ApiVersion, Handles, compat, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/_ping", get(ping))
        .route("/version", get(version))
        .route("/info", get(info))
        .route("/events", get(events))
        .route("/auth", post(auth))
        .route("/system/df", get(disk_usage))
        .route("/build/prune", post(build_prune))
        .route("/build", missing("POST /build"))
        .route("/build/cancel", missing("POST /build/cancel"))
        .route("/session", missing("POST /session"))
        .route("/grpc", missing("POST /grpc"))
}

async fn ping() -> Response {
    let text = "text/plain; charset=utf-8";
    let mut response = reply::typed(StatusCode::OK, text, Body::from("OK"));
    for (name, value) in [
        ("builder-version", "2"),
        ("swarm", "inactive"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
    ] {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

async fn version(State(system): State<System>) -> Response {
    reply::ok(&convert::system::version(&system.version()))
}

async fn info(State(system): State<System>, version: ApiVersion) -> Result<Response> {
    let info = convert::system::info(&system.info().await?);
    Ok(reply::compatible(&info, |value| {
        compat::info(version, value);
    }))
}

async fn disk_usage(
    State(system): State<System>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let mut usage = convert::system::disk_usage(&system.disk_usage().await?);
    let wanted = query.all("type");
    let hide = |name: &str| !wanted.is_empty() && !wanted.iter().any(|kind| kind == name);
    if hide("image") {
        usage.images = None;
        usage.layers_size = 0;
    }
    if hide("container") {
        usage.containers = None;
    }
    if hide("volume") {
        usage.volumes = None;
    }
    if hide("build-cache") {
        usage.build_cache = None;
    }
    Ok(reply::compatible(&usage, |value| {
        compat::disk_usage(version, value);
    }))
}

async fn events(
    State(events): State<Events>,
    State(stop): State<CancellationToken>,
    query: Query,
) -> Result<Response> {
    let since = query.time("since")?;
    let until = query.time("until")?;
    let events = events.subscribe(since, until, filters(&query)?)?;
    let events = events.take_until(stop.cancelled_owned());
    let lines = events.map(|event| Ok::<_, Infallible>(line(&event)));
    let body = Body::from_stream(lines);
    Ok(reply::typed(StatusCode::OK, "application/json", body))
}

fn line(event: &Event) -> Bytes {
    // An event is strings and numbers, which always are JSON.
    let mut line = serde_json::to_vec(&convert::event::event(event)).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

async fn auth(
    State(registry): State<Registry>,
    Json(config): Json<AuthConfig>,
) -> Result<Response> {
    let server = match config.serveraddress.as_str() {
        "" => "https://index.docker.io/v1/".to_owned(),
        address => address.to_owned(),
    };
    let logged_in = registry.login(&server, &credentials(config)).await?;
    Ok(reply::ok(&AuthResponse {
        status: logged_in.status,
        identity_token: logged_in.identity_token,
    }))
}

async fn build_prune() -> Response {
    // There is no builder yet, so there is nothing it could have kept.
    reply::ok(&BuildPruneReport::default())
}
