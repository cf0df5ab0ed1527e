//! `POST /build` and what belongs to it.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use dhow_engine::events::{EventKind, Events};
use dhow_errdefs::ErrorKind;
use http::{StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};

use super::block;
use crate::build::{Build, Builds, order};
use crate::error::{ApiError, Result};
use crate::request::{Query, filter_values, reader};
use crate::{ApiVersion, Handles, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/build", post(build))
        .route("/build/prune", post(prune))
        .route("/build/cancel", post(cancel))
        .route("/session", post(session))
        .route("/grpc", post(grpc))
}

async fn build(
    State(builds): State<Builds>,
    version: ApiVersion,
    query: Query,
    request: Request,
) -> Result<Response> {
    let gateway = builds.steps.host_gateway();
    let headers = request.headers();
    let order = order::read(version, &query, headers, builds.experimental, gateway)?;
    let build = Build::prepare(builds, order, reader(request)).await?;
    let body = build.carry_out().await?;
    Ok(reply::typed(StatusCode::OK, "application/json", body))
}

async fn cancel(State(builds): State<Builds>, query: Query) -> Result<StatusCode> {
    let Some(id) = query.some("id") else {
        return Err(ApiError::invalid("build ID not provided"));
    };
    builds.running.cancel(id);
    Ok(StatusCode::OK)
}

async fn prune(
    State(builds): State<Builds>,
    State(events): State<Events>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let options = convert::build::prune(version, &query, filter_values(&query)?)?;
    let pruned = block(move || Ok(builds.builder.prune(&options)?)).await?;
    let attributes = [("reclaimed".to_owned(), pruned.reclaimed.to_string())];
    events.tell(
        EventKind::Builder,
        "prune",
        String::new(),
        attributes.into(),
    );
    Ok(reply::ok(&convert::build::pruned(&pruned)))
}

/// `POST /session`: the connection becomes one on which the client answers.
async fn session(State(builds): State<Builds>, mut request: Request) -> Result<Response> {
    let headers = request.headers().clone();
    let kind = ErrorKind::InvalidArgument;
    given_away(&mut request, kind, move |connection| async move {
        builds.sessions.session(connection, headers).await;
    })
}

/// `POST /grpc`: the connection becomes one of BuildKit's services.
async fn grpc(State(builds): State<Builds>, mut request: Request) -> Result<Response> {
    let kind = ErrorKind::System;
    given_away(&mut request, kind, move |connection| async move {
        builds.sessions.grpc(connection).await;
    })
}

/// The protocol of connections that are given away: HTTP/2 without TLS.
const PROTOCOL: &str = "h2c";

/// Answers by giving the connection away, to a client that has asked for that; else with an error of that kind.
fn given_away<F: Future<Output = ()> + Send + 'static>(
    request: &mut Request,
    kind: ErrorKind,
    to: impl FnOnce(Upgraded) -> F + Send + 'static,
) -> Result<Response> {
    let wanted = request.headers().get(header::UPGRADE);
    let wanted = wanted.map_or("", |value| value.to_str().unwrap_or_default());
    if !wanted.is_empty() && !wanted.eq_ignore_ascii_case(PROTOCOL) {
        let text = format!("protocol {wanted} not supported");
        return Err(ApiError::new(kind, text));
    }
    let asked = wanted.to_owned();
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let Some(upgrade) = upgrade.filter(|_| !asked.is_empty()) else {
        return Err(ApiError::new(kind, "no upgrade proto in request"));
    };
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => to(connection).await,
            Err(error) => tracing::debug!(%error, "a connection was not given away"),
        }
    });
    Ok(reply::upgraded(PROTOCOL))
}
