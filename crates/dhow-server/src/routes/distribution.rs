//! `/distribution/{name}/json`: what a registry knows of an image.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use dhow_api::distribution::DistributionInspect;
use dhow_api::image::Platform;
use dhow_distribution::{Registry, Resolved};
use dhow_oci::{Index, Reference};
use http::HeaderMap;

use crate::error::{ApiError, Result};
use crate::request::registry_credentials;
use crate::{Handles, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new().route("/distribution/{*path}", get(inspect))
}

async fn inspect(
    State(registry): State<Registry>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let Some(name) = path.strip_suffix("/json") else {
        return Err(ApiError::no_page());
    };
    let reference = Reference::parse(name)?.with_default_tag();
    let credentials = registry_credentials(&headers);
    let resolved = registry.resolve(&reference, &credentials).await?;
    Ok(reply::ok(&DistributionInspect {
        descriptor: convert::image::descriptor(&resolved.descriptor),
        platforms: platforms(&resolved),
    }))
}

/// The platforms an index has something for.
fn platforms(resolved: &Resolved) -> Option<Vec<Platform>> {
    // A single manifest, or one that can't be read, says nothing of platforms.
    let index: Index = serde_json::from_slice(&resolved.bytes).ok()?;
    let platforms: Vec<_> = index
        .manifests
        .iter()
        .filter_map(|descriptor| descriptor.platform.as_ref())
        .map(convert::image::platform)
        .collect();
    convert::null_list(&platforms)
}
