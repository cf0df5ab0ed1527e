//! `POST /build` and what belongs to it.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use dhow_engine::events::{EventKind, Events};
use http::{HeaderMap, StatusCode, header};
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
    given_away(&mut request, "h2c", move |connection| async move {
        builds.sessions.session(connection, headers).await;
    })
}

/// `POST /grpc`: the connection becomes one of BuildKit's services.
async fn grpc(State(builds): State<Builds>, mut request: Request) -> Result<Response> {
    given_away(&mut request, "h2c", move |connection| async move {
        builds.sessions.grpc(connection).await;
    })
}

/// Answers by giving the connection away, for a protocol that the client has to ask for.
fn given_away<F: Future<Output = ()> + Send + 'static>(
    request: &mut Request,
    protocol: &'static str,
    to: impl FnOnce(Upgraded) -> F + Send + 'static,
) -> Result<Response> {
    let asked = |headers: &HeaderMap| {
        let wanted = headers.get(header::UPGRADE)?.to_str().ok()?;
        wanted.eq_ignore_ascii_case(protocol).then_some(())
    };
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (Some(()), Some(upgrade)) = (asked(request.headers()), upgrade) else {
        let text = format!("the client has to ask for an upgrade to {protocol}");
        return Err(ApiError::invalid(text));
    };
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => to(connection).await,
            Err(error) => tracing::debug!(%error, "a connection was not given away"),
        }
    });
    Ok(reply::upgraded(protocol))
}
