//! Who answers which path: one file for each noun.
//!
//! A handler takes the handles it needs, decodes, converts, calls the engine and encodes. What changes something runs
//! on a task of its own ([`finish`]), so that a client that hangs up does not leave it half done; what only takes long
//! (pull, logs, wait) ends with its client.

mod archive;
mod build;
mod check;
mod commit;
mod containers;
mod distribution;
mod exec;
mod images;
mod networks;
mod search;
mod stats;
mod streams;
mod swarm;
mod system;
mod transfer;
mod volumes;
mod websocket;

use std::future::Future;

use axum::Router;
use axum::middleware;
use axum::routing::post;
use dhow_errdefs::ErrorKind;

use crate::Handles;
use crate::error::{ApiError, Result};
use crate::version;

/// The router that answers the Engine API, with and without a version prefix.
pub fn router(handles: Handles) -> Router {
    let routes: Router<Handles> = Router::new()
        .merge(system::routes())
        .merge(build::routes())
        .merge(check::routes())
        .merge(containers::routes())
        .merge(archive::routes())
        .merge(commit::routes())
        .merge(streams::routes())
        .merge(websocket::routes())
        .merge(stats::routes())
        .merge(exec::routes())
        .merge(images::routes())
        .merge(search::routes())
        .merge(transfer::routes())
        .merge(networks::routes())
        .merge(volumes::routes())
        .merge(distribution::routes())
        .merge(swarm::routes());
    let routes = routes
        .fallback(no_page)
        .method_not_allowed_fallback(no_page)
        .with_state(handles);
    // The version is taken off the path before the routes see it: a middleware of theirs would run too late.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn(version::negotiate))
}

async fn no_page() -> ApiError {
    ApiError::no_page()
}

/// Runs `work` to its end, even when the client goes away.
async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::new(
            ErrorKind::System,
            format!("the work ended early: {error}"),
        )),
    }
}

/// Runs blocking `work` beside the event loop.
pub(crate) async fn block<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::new(
            ErrorKind::System,
            format!("the work ended early: {error}"),
        )),
    }
}

/// What is posted in Docker and does not exist here yet.
fn missing(what: &'static str) -> axum::routing::MethodRouter<Handles> {
    post(move || async move { ApiError::not_implemented(what) })
}
