//! `/networks`.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use dhow_api::network::{
    NetworkConnectRequest, NetworkCreateRequest, NetworkCreated, NetworkDisconnectRequest,
    NetworkPruneReport,
};
use dhow_engine::networks::Networks;
use http::StatusCode;

use super::finish;
use crate::error::{ApiError, Result};
use crate::request::{Json, Query, filters};
use crate::{ApiVersion, Handles, compat, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/networks", get(list))
        .route("/networks/", get(list))
        .route("/networks/create", post(create))
        .route("/networks/prune", post(prune))
        .route("/networks/{id}", get(inspect).delete(remove))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
}

async fn list(State(networks): State<Networks>, query: Query) -> Result<Response> {
    let list = networks.list(&filters(&query)?).await?;
    let list: Vec<_> = list.iter().map(convert::network::view).collect();
    Ok(reply::ok(&list))
}

async fn inspect(
    State(networks): State<Networks>,
    Path(name): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    // What it adds is known of swarms' networks only.
    query.strict_flag("verbose")?;
    let details = networks.inspect(&name).await?;
    if let Some(scope) = query.some("scope")
        && scope != details.record.scope
    {
        return Err(ApiError::new(
            dhow_errdefs::ErrorKind::NotFound,
            format!("network {name} not found"),
        ));
    }
    let mut view = convert::network::details(&details);
    compat::network::inspect(version, &mut view);
    Ok(reply::ok(&view))
}

async fn create(
    State(networks): State<Networks>,
    version: ApiVersion,
    Json(mut request): Json<NetworkCreateRequest>,
) -> Result<Response> {
    compat::network::create_request(version, &mut request);
    let request = convert::network::create(request)?;
    let record = finish(async move { Ok(networks.create(request).await?) }).await?;
    Ok(reply::created(&NetworkCreated {
        id: record.id,
        warning: String::new(),
    }))
}

async fn remove(State(networks): State<Networks>, Path(name): Path<String>) -> Result<Response> {
    finish(async move { Ok(networks.remove(&name).await?) }).await?;
    Ok(reply::no_content())
}

async fn connect(
    State(networks): State<Networks>,
    Path(name): Path<String>,
    version: ApiVersion,
    Json(request): Json<NetworkConnectRequest>,
) -> Result<Response> {
    let mut wish = request.endpoint_config.unwrap_or_default();
    compat::network::endpoint(version, &mut wish);
    let wish = convert::network::endpoint_wish(wish)?;
    let container = request.container;
    finish(async move { Ok(networks.connect(&name, &container, wish).await?) }).await?;
    Ok(reply::empty(StatusCode::OK))
}

async fn disconnect(
    State(networks): State<Networks>,
    Path(name): Path<String>,
    Json(request): Json<NetworkDisconnectRequest>,
) -> Result<Response> {
    let work = async move {
        let NetworkDisconnectRequest { container, force } = request;
        Ok(networks.disconnect(&name, &container, force).await?)
    };
    finish(work).await?;
    Ok(reply::empty(StatusCode::OK))
}

async fn prune(State(networks): State<Networks>, query: Query) -> Result<Response> {
    let filters = filters(&query)?;
    let names = finish(async move { Ok(networks.prune(&filters).await?) }).await?;
    Ok(reply::ok(&NetworkPruneReport {
        networks_deleted: convert::null_list(&names),
    }))
}
