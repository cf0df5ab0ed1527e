//! `/containers/{id}/exec` and `/exec`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use dhow_api::exec::{ExecCreateRequest, ExecCreated, ExecStartRequest};
use dhow_engine::exec::Execs;
use http::StatusCode;

use super::finish;
use crate::error::{ApiError, Result};
use crate::reply::{self, Carried, Hijack, hijacked_first};
use crate::request::{Json, Query};
use crate::{ApiVersion, Handles, convert};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/containers/{id}/exec", post(create))
        .route("/exec/{id}/start", post(start))
        .route("/exec/{id}/resize", post(resize))
        .route("/exec/{id}/json", get(inspect))
}

async fn create(
    State(execs): State<Execs>,
    Path(container): Path<String>,
    Json(request): Json<ExecCreateRequest>,
) -> Result<Response> {
    let request = convert::exec::create(request);
    if request.cmd.is_empty() {
        return Err(ApiError::invalid("No exec command specified"));
    }
    let id = finish(async move { Ok(execs.create(&container, request).await?) }).await?;
    Ok(reply::created(&ExecCreated { id }))
}

async fn start(
    State(execs): State<Execs>,
    Path(id): Path<String>,
    version: ApiVersion,
    mut request: Request,
) -> Result<Response> {
    let hijack = Hijack::of(&mut request);
    let Json(request) = Json::<ExecStartRequest>::from_request(request, &()).await?;
    let mut options = convert::exec::start(&request);
    if version.before(42) || !options.tty {
        options.console_size = None;
    }
    let tty = execs.startable(&id)?.request.tty;
    let kind = reply::multiplexed(tty, version);
    let detach = options.detach;
    let starting = finish(async move { Ok(execs.start(&id, options).await?) });
    if detach {
        starting.await?;
        return Ok(reply::empty(StatusCode::OK));
    }
    let carried = async move {
        match starting.await {
            Ok(Some(attachment)) => Carried::Process(attachment),
            Ok(None) => Carried::Text(Bytes::new()),
            // Told on its stdout: clients look at the exec's exit code for the rest.
            Err(error) => Carried::failure(tty, &error.message),
        }
    };
    Ok(hijacked_first(hijack, kind, carried).await)
}

async fn resize(
    State(execs): State<Execs>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let rows = query.size("h", "height")?;
    let columns = query.size("w", "width")?;
    execs.resize(&id, rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}

async fn inspect(State(execs): State<Execs>, Path(id): Path<String>) -> Result<Response> {
    Ok(reply::ok(&convert::exec::inspect(execs.inspect(&id)?)))
}
