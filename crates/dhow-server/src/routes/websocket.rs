//! `GET /containers/{id}/attach/ws`: attach over a websocket.

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use dhow_engine::Containers;

use crate::error::{ApiError, Result};
use crate::reply::{MessageKind, carry_websocket};
use crate::request::Query;
use crate::{ApiVersion, Handles};

pub(super) fn routes() -> Router<Handles> {
    Router::new().route("/containers/{id}/attach/ws", get(attach))
}

async fn attach(
    State(containers): State<Containers>,
    Path(id): Path<String>,
    version: ApiVersion,
    query: Query,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let attachment = containers
        .attach(&id, super::streams::options(&query))
        .await?;
    // Whoever asks for no upgrade is told after what is wrong with the container.
    let upgrade = upgrade.map_err(|refused| ApiError::invalid(refused.body_text()))?;
    let kind = match version.before(28) {
        true => MessageKind::Text,
        false => MessageKind::Binary,
    };
    Ok(upgrade.on_upgrade(move |socket| carry_websocket(socket, attachment, kind)))
}
