//! `/volumes`.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use dhow_api::volume::{VolumeCreateRequest, VolumeList, VolumePruneReport};
use dhow_engine::filters::Filters;
use dhow_engine::volumes::Volumes;

use super::finish;
use crate::error::{ApiError, Result};
use crate::request::{Json, Query, filter_values, filters};
use crate::{ApiVersion, Handles, compat, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/volumes", get(list))
        .route("/volumes/create", post(create))
        .route("/volumes/prune", post(prune))
        .route("/volumes/{name}", get(inspect).delete(remove).put(update))
}

async fn list(State(volumes): State<Volumes>, query: Query) -> Result<Response> {
    let filters = filters(&query).map_err(|error| {
        ApiError::invalid(format!("error reading volume filters: {}", error.message))
    })?;
    let list = volumes.list(&filters).await?;
    Ok(reply::ok(&VolumeList {
        volumes: list.iter().map(convert::volume::view).collect(),
        warnings: None,
    }))
}

async fn inspect(State(volumes): State<Volumes>, Path(name): Path<String>) -> Result<Response> {
    let record = volumes.inspect(&name).await?;
    Ok(reply::ok(&convert::volume::view(&record)))
}

/// Only cluster volumes can be changed.
async fn update() -> ApiError {
    ApiError::new(
        dhow_errdefs::ErrorKind::Unavailable,
        "volume update only valid for cluster volumes, but swarm is unavailable",
    )
}

async fn create(
    State(volumes): State<Volumes>,
    Json(request): Json<VolumeCreateRequest>,
) -> Result<Response> {
    let request = convert::volume::create(request)?;
    let record = finish(async move { Ok(volumes.create(request).await?) }).await?;
    Ok(reply::created(&convert::volume::view(&record)))
}

async fn remove(
    State(volumes): State<Volumes>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response> {
    let force = query.flag("force");
    finish(async move { Ok(volumes.remove(&name, force).await?) }).await?;
    Ok(reply::no_content())
}

async fn prune(
    State(volumes): State<Volumes>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let mut filters = filter_values(&query)?;
    compat::volume::prune(version, &mut filters);
    let filters = Filters::new(filters);
    let pruned = finish(async move { Ok(volumes.prune(&filters).await?) }).await?;
    Ok(reply::ok(&VolumePruneReport {
        volumes_deleted: convert::null_list(&pruned.removed),
        space_reclaimed: pruned.space_reclaimed,
    }))
}
