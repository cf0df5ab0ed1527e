//! Swarm and plugins: not part of this engine, answered as an engine that has not joined a swarm answers.

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get, post};
use dhow_errdefs::ErrorKind;

use super::missing;
use crate::error::ApiError;
use crate::{Handles, reply};

/// What every swarm route says on a node that is in none.
const INACTIVE: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                        connect this node to swarm and try again.";

pub(super) fn routes() -> Router<Handles> {
    let mut router = Router::new()
        .route("/swarm", get(inactive))
        .route("/swarm/init", missing("swarm mode"))
        .route("/swarm/join", missing("swarm mode"))
        .route("/swarm/leave", post(leave))
        .route("/swarm/update", post(inactive))
        .route("/swarm/unlock", post(inactive))
        .route("/swarm/unlockkey", get(inactive))
        .route("/nodes", get(inactive))
        .route("/nodes/{id}", get(inactive).delete(inactive))
        .route("/nodes/{id}/update", post(inactive))
        .route("/tasks", get(inactive))
        .route("/tasks/{id}", get(inactive))
        .route("/tasks/{id}/logs", get(inactive))
        .route("/services/{id}/logs", get(inactive))
        .route("/plugins", get(plugins))
        .route("/plugins/{*path}", any(plugin));
    for path in ["/services", "/secrets", "/configs"] {
        router = router
            .route(path, get(inactive))
            .route(&format!("{path}/create"), post(inactive))
            .route(&format!("{path}/{{id}}"), get(inactive).delete(inactive))
            .route(&format!("{path}/{{id}}/update"), post(inactive));
    }
    router
}

async fn inactive() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, INACTIVE)
}

async fn leave() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "This node is not part of a swarm")
}

/// There is no plugin of any name; clients ask when they look for a thing of any kind.
async fn plugin(axum::extract::Path(path): axum::extract::Path<String>) -> ApiError {
    match path.strip_suffix("/json") {
        Some(name) => ApiError::new(ErrorKind::NotFound, format!("plugin \"{name}\" not found")),
        None => ApiError::not_implemented("plugin management"),
    }
}

async fn plugins() -> Response {
    reply::ok::<[(); 0]>(&[])
}
