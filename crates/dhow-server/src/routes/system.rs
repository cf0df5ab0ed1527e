//! `/_ping`, `/version`, `/info`, `/events`, `/auth`, `/system/df`.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use dhow_api::auth::{AuthConfig, AuthResponse};
use dhow_api::event::Event;
use dhow_distribution::Registry;
use dhow_engine::events::Events;
use dhow_engine::system::System;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::block;
use crate::compat::event::Framing;
use crate::error::{ApiError, Result};
use crate::request::{Json, Query, credentials, filters};
use crate::{ApiVersion, Builds, Handles, compat, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/_ping", get(ping))
        .route("/version", get(version))
        .route("/info", get(info))
        .route("/events", get(events))
        .route("/auth", post(auth))
        .route("/system/df", get(disk_usage))
}

async fn ping(State(builds): State<Builds>) -> Response {
    let builder = if builds.buildkit { "2" } else { "1" };
    let text = "text/plain; charset=utf-8";
    let mut response = reply::typed(StatusCode::OK, text, Body::from("OK"));
    for (name, value) in [
        ("builder-version", builder),
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
    Ok(reply::compatible(&info, version, 50, |value| {
        compat::system::info(version, value);
    }))
}

async fn disk_usage(
    State(system): State<System>,
    State(builds): State<Builds>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let wanted = compat::disk_usage::wanted(version, &query)?;
    let usage = system.disk_usage(wanted.kinds).await?;
    let cache = match wanted.build_cache {
        true => block(move || Ok(builds.builder.usage()?)).await?,
        false => Vec::new(),
    };
    let mut usage = convert::system::disk_usage(&usage, &cache, &wanted);
    for record in usage.build_cache.iter_mut().flatten() {
        compat::disk_usage::record(version, record);
    }
    for image in usage.images.iter_mut().flatten() {
        // Unlike in lists, the containers are counted in every version.
        let containers = image.containers;
        compat::image::summary(version, image);
        image.containers = containers;
    }
    for container in usage.containers.iter_mut().flatten() {
        compat::container::summary(version, container);
    }
    Ok(reply::compatible(&usage, version, 42, |value| {
        compat::disk_usage::builder_size(value);
    }))
}

async fn events(
    State(events): State<Events>,
    State(stop): State<CancellationToken>,
    version: ApiVersion,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let since = query.time("since")?;
    let until = query.time("until")?;
    if let (Some(begin), Some(end)) = (since, until)
        && end < begin
    {
        let (since, until) = (query.get("since"), query.get("until"));
        return Err(ApiError::invalid(format!(
            "`since` time ({since}) cannot be after `until` time ({until})"
        )));
    }
    let accept = headers.get(header::ACCEPT);
    let accept = accept.map_or("", |value| value.to_str().unwrap_or_default());
    let framing = compat::event::framing(version, accept);
    let events = events.subscribe(since, until, filters(&query)?);
    let events = events.take_until(stop.cancelled_owned());
    let documents = events.filter_map(move |event| async move {
        let mut event = convert::event::event(&event);
        if !compat::event::knows(version, &event) {
            return None;
        }
        compat::event::event(version, &mut event);
        Some(Ok::<_, Infallible>(document(&event, framing)))
    });
    let kind = match framing {
        Framing::Lines(kind) => kind,
        Framing::Sequence => "application/json-seq",
    };
    let body = Body::from_stream(documents);
    Ok(reply::typed(StatusCode::OK, kind, body))
}

fn document(event: &Event, framing: Framing) -> Bytes {
    const RECORD_SEPARATOR: u8 = 0x1e;
    let mut bytes = Vec::new();
    if framing == Framing::Sequence {
        bytes.push(RECORD_SEPARATOR);
    }
    // An event is strings and numbers, which always are JSON.
    bytes.extend(serde_json::to_vec(event).unwrap_or_default());
    bytes.push(b'\n');
    bytes.into()
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
