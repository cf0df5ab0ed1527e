//! `POST /dhow/fsck`, which is Dhow's own: whether files and records agree.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use dhow_api::check::{CheckReport, Finding};
use dhow_engine::system::{CheckOptions, System};

use crate::error::{ApiError, Result};
use crate::request::Query;
use crate::{Builds, Handles, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new().route("/dhow/fsck", post(check))
}

async fn check(
    State(system): State<System>,
    State(builds): State<Builds>,
    query: Query,
) -> Result<Response> {
    let options = CheckOptions {
        deep: query.flag("deep"),
        repair: query.flag("repair"),
    };
    // With its client's end it goes on: what is being repaired is not left half done.
    let found = super::finish(async move {
        let looked = tokio::task::spawn_blocking(move || {
            let found = builds.builder.check(options.repair);
            found.map_err(ApiError::from)
        });
        let mut found = looked.await.map_err(|_| dhow_builder::Error::Cancelled)??;
        found.extend(system.check(options).await?);
        Ok(found)
    })
    .await?;
    let findings = found.into_iter().map(|finding| Finding {
        subject: finding.subject,
        problem: finding.problem,
        repaired: finding.repaired,
    });
    Ok(reply::ok(&CheckReport {
        findings: findings.collect(),
    }))
}
