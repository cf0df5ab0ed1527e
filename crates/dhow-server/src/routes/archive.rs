//! `/containers/{id}`: its files, as archives and as a list of what changed.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, head};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dhow_api::container::{Change, PathStat};
use dhow_engine::Containers;
use dhow_engine::container::{self, CopyIn};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;

use super::finish;
use crate::error::{ApiError, Result};
use crate::request::{self, Query};
use crate::{Handles, convert, reply};

/// What is told of a path beside its archive.
const PATH_STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route(
            "/containers/{id}/archive",
            head(stat).get(copy_out).put(copy_in),
        )
        .route("/containers/{id}/export", get(export))
        .route("/containers/{id}/changes", get(changes))
}

/// The path that is asked for; there must be one.
fn path(query: &Query) -> Result<&str> {
    // The missing space is Docker's.
    query
        .some("path")
        .ok_or_else(|| ApiError::invalid("bad parameter: pathcannot be empty"))
}

async fn stat(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let stat = containers.stat_path(&id, path(&query)?).await?;
    let mut response = reply::empty(StatusCode::OK);
    response.headers_mut().insert(PATH_STAT, told(&stat)?);
    Ok(response)
}

async fn copy_out(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let (stat, archive) = containers.copy_out(&id, path(&query)?).await?;
    let mut response = reply::typed(
        StatusCode::OK,
        "application/x-tar",
        reply::byte_stream(archive),
    );
    response.headers_mut().insert(PATH_STAT, told(&stat)?);
    Ok(response)
}

async fn copy_in(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
    request: Request,
) -> Result<Response> {
    let path = path(&query)?.to_owned();
    let options = CopyIn {
        keep_kinds: query.flag("noOverwriteDirNonDir"),
        own: query.flag("copyUIDGID"),
    };
    let archive = request::reader(request);
    finish(async move { Ok(containers.copy_in(&id, &path, archive, options).await?) }).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// What a path is, as the header has it.
fn told(stat: &container::PathStat) -> Result<HeaderValue> {
    let nanoseconds = i32::try_from(stat.mtime.nanoseconds).unwrap_or(0);
    let modified = Timestamp::new(stat.mtime.seconds, nanoseconds).unwrap_or_default();
    let stat = PathStat {
        name: stat.name.clone(),
        size: i64::try_from(stat.size).unwrap_or(i64::MAX),
        mode: stat.mode,
        mtime: convert::time::rfc3339(modified),
        link_target: stat.link_target.clone(),
    };
    let json = serde_json::to_vec(&stat).unwrap_or_default();
    HeaderValue::from_str(&STANDARD.encode(json))
        .map_err(|error| ApiError::invalid(format!("cannot tell what the path is: {error}")))
}

async fn export(State(containers): State<Containers>, Path(id): Path<String>) -> Result<Response> {
    let archive = containers.export(&id).await?;
    Ok(reply::typed(
        StatusCode::OK,
        "application/octet-stream",
        reply::byte_stream(archive),
    ))
}

async fn changes(State(containers): State<Containers>, Path(id): Path<String>) -> Result<Response> {
    let changes = containers.changes(&id).await?;
    let list: Vec<Change> = changes
        .iter()
        .map(|change| Change {
            path: change.path.to_string_lossy().into_owned(),
            kind: change.kind as u8,
        })
        .collect();
    Ok(reply::ok(&convert::null_list(&list)))
}
