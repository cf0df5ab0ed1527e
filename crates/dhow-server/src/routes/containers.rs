//! `/containers`: everything that isn't a stream.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use dhow_api::container::{
    ContainerPruneReport, CreateRequest, CreateResponse, UpdateRequest, UpdateResponse,
};
use dhow_engine::Containers;
use dhow_engine::container::{ListOptions, RemoveOptions, StopOptions};
use http::StatusCode;

use super::finish;
use crate::error::{ApiError, Result};
use crate::request::{self, Json, Query, filters};
use crate::{ApiVersion, Handles, compat, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/containers/json", get(list).delete(remove_last))
        .route("/containers/create", post(create).delete(remove_last))
        .route("/containers/prune", post(prune).delete(remove_last))
        .route("/containers/{id}", delete(remove))
        .route("/containers/{id}/{alias}", delete(remove_link))
        .route("/containers/{id}/json", get(inspect))
        .route("/containers/{id}/start", post(start))
        .route("/containers/{id}/stop", post(stop))
        .route("/containers/{id}/restart", post(restart))
        .route("/containers/{id}/kill", post(kill))
        .route("/containers/{id}/pause", post(pause))
        .route("/containers/{id}/unpause", post(unpause))
        .route("/containers/{id}/rename", post(rename))
        .route("/containers/{id}/update", post(update))
        .route("/containers/{id}/resize", post(resize))
        .route("/containers/{id}/top", get(top))
}

async fn list(
    State(containers): State<Containers>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let limit = query.number("limit")?;
    let options = ListOptions {
        all: query.flag("all"),
        limit: limit
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| *limit > 0),
        size: query.flag("size"),
        filters: filters(&query)?,
    };
    let list = containers.list(&options).await?;
    let shown = list.into_iter().map(move |container| {
        let mut shown = convert::summary::summary(&container);
        compat::container::summary(version, &mut shown);
        shown
    });
    Ok(reply::list(shown))
}

async fn create(
    State(containers): State<Containers>,
    version: ApiVersion,
    query: Query,
    request: Request,
) -> Result<Response> {
    let Some(bytes) = request::read(request).await? else {
        return Err(ApiError::invalid(
            "invalid JSON: got EOF while reading request body",
        ));
    };
    let mut request = create_request(&bytes)?;
    let warnings = compat::create::adapt(version, &mut request)?;
    let platform = if version.before(41) {
        None
    } else {
        query.platform("platform")?
    };
    let spec = convert::container::create(request, query.some("name"), platform)?;
    let mut created = finish(async move { Ok(containers.create(spec).await?) }).await?;
    created.warnings.extend(warnings);
    Ok(reply::created(&CreateResponse {
        id: created.id,
        warnings: created.warnings,
    }))
}

/// Decodes a create request; one that says nothing of the container itself is refused.
fn create_request(bytes: &Bytes) -> Result<CreateRequest> {
    let document = request::document(bytes)?;
    let of_host = |key: &str| {
        key.eq_ignore_ascii_case("HostConfig") || key.eq_ignore_ascii_case("NetworkingConfig")
    };
    let says_something = document
        .as_object()
        .is_some_and(|object| object.keys().any(|key| !of_host(key)));
    let request = request::from_document(document)?;
    if !says_something {
        return Err(ApiError::invalid(
            "config cannot be empty in order to create a container",
        ));
    }
    Ok(request)
}

async fn inspect(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let details = containers.inspect(&id, query.flag("size")).await?;
    let view = convert::inspect::inspect(&details);
    let mac = convert::inspect::wanted_mac(&details);
    Ok(reply::compatible(&view, version, 52, |value| {
        compat::container::inspect(version, mac, value);
    }))
}

async fn start(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
    request: Request,
) -> Result<Response> {
    // Old clients could send a host config with the start; since 1.24 that is an error.
    let length = request.headers().get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let is_chunked = request
        .headers()
        .contains_key(http::header::TRANSFER_ENCODING);
    if is_chunked || length > Some(7) {
        return Err(ApiError::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    if query.some("checkpoint").is_some() {
        return Err(ApiError::invalid(
            "checkpoint is only supported in experimental mode",
        ));
    }
    finish(async move { Ok(containers.start(&id).await?) }).await?;
    Ok(reply::no_content())
}

fn stop_options(version: ApiVersion, query: &Query) -> Result<StopOptions> {
    let signal = query.some("signal").filter(|_| !version.before(42));
    Ok(StopOptions {
        signal: signal.map(ToOwned::to_owned),
        timeout: query.number("t")?,
    })
}

async fn stop(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let options = stop_options(version, &query)?;
    finish(async move { Ok(containers.stop(&id, options).await?) }).await?;
    Ok(reply::no_content())
}

async fn restart(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let options = stop_options(version, &query)?;
    finish(async move { Ok(containers.restart(&id, options).await?) }).await?;
    Ok(reply::no_content())
}

async fn kill(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    finish(async move { Ok(containers.kill(&id, query.some("signal")).await?) }).await?;
    Ok(reply::no_content())
}

async fn pause(State(containers): State<Containers>, Path(id): Path<String>) -> Result<Response> {
    finish(async move { Ok(containers.pause(&id).await?) }).await?;
    Ok(reply::no_content())
}

async fn unpause(State(containers): State<Containers>, Path(id): Path<String>) -> Result<Response> {
    finish(async move { Ok(containers.unpause(&id).await?) }).await?;
    Ok(reply::no_content())
}

async fn rename(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    finish(async move { Ok(containers.rename(&id, query.get("name")).await?) }).await?;
    Ok(reply::no_content())
}

async fn remove(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let options = RemoveOptions {
        force: query.flag("force"),
        volumes: query.flag("v"),
        link: query.flag("link"),
    };
    finish(async move { Ok(containers.remove(&id, options).await?) }).await?;
    Ok(reply::no_content())
}

/// Removes a link, which has two names: `parent/alias`.
async fn remove_link(
    containers: State<Containers>,
    Path((id, alias)): Path<(String, String)>,
    query: Query,
) -> Result<Response> {
    remove(containers, Path(format!("{id}/{alias}")), query).await
}

/// Removes a container that is called as one of the routes.
async fn remove_last(
    containers: State<Containers>,
    query: Query,
    request: Request,
) -> Result<Response> {
    let name = request.uri().path().rsplit('/').next();
    remove(containers, Path(name.unwrap_or_default().to_owned()), query).await
}

async fn update(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    version: ApiVersion,
    Json(mut request): Json<UpdateRequest>,
) -> Result<Response> {
    compat::container::update_request(version, &mut request);
    let update = convert::resources::update(request)?;
    let warnings = finish(async move { Ok(containers.update(&id, update).await?) }).await?;
    Ok(reply::ok(&UpdateResponse {
        warnings: convert::null_list(&warnings),
    }))
}

async fn resize(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let rows = query.size("h", "height")?;
    let columns = query.size("w", "width")?;
    containers.resize(&id, rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}

async fn top(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let top = containers.top(&id, query.get("ps_args")).await?;
    Ok(reply::ok(&convert::summary::top(top)))
}

async fn prune(State(containers): State<Containers>, query: Query) -> Result<Response> {
    let filters = filters(&query)?;
    let pruned = finish(async move { Ok(containers.prune(&filters).await?) }).await?;
    Ok(reply::ok(&ContainerPruneReport {
        containers_deleted: convert::null_list(&pruned.removed),
        space_reclaimed: pruned.space_reclaimed,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_create_request_must_say_something_of_the_container() {
        for body in ["{}", r#"{"HostConfig":{}}"#, "null"] {
            let error = create_request(&Bytes::from(body)).unwrap_err();
            assert_eq!(
                error.message, "config cannot be empty in order to create a container",
                "{body}"
            );
        }
        let body = Bytes::from(r#"{"Image":"a","HostConfig":{"Memory":null}}"#);
        assert_eq!(create_request(&body).unwrap().config.image, "a");
        let body = Bytes::from(r#"{"Image":"a","HostConfig":{"Memory":"1"}}"#);
        let error = create_request(&body).unwrap_err();
        assert!(error.message.starts_with("invalid JSON: "), "{error:?}");
    }
}
