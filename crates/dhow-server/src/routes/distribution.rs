//! `/distribution/{name}/json`: what a registry knows of an image.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use dhow_api::distribution::DistributionInspect;
use dhow_api::image::Platform;
use dhow_distribution::{Registry, Repository, Resolved};
use dhow_oci::{Index, Manifest, Reference};
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
    let repository = registry.repository(&reference, &credentials);
    let platforms = match platforms(&resolved) {
        Some(platforms) => Some(platforms),
        None => own_platform(&repository, &resolved).await,
    };
    Ok(reply::ok(&DistributionInspect {
        descriptor: convert::image::descriptor(&resolved.descriptor),
        platforms,
    }))
}

/// The platforms an index has something for.
fn platforms(resolved: &Resolved) -> Option<Vec<Platform>> {
    // A single manifest says nothing of platforms.
    let index: Index = serde_json::from_slice(&resolved.bytes).ok()?;
    let platforms: Vec<_> = index
        .manifests
        .iter()
        .filter_map(|descriptor| descriptor.platform.as_ref())
        .map(convert::image::platform)
        .collect();
    convert::null_list(&platforms)
}

/// The platform that a single manifest's config names; what is no image, or can't be read, has none.
async fn own_platform(repository: &Repository, resolved: &Resolved) -> Option<Vec<Platform>> {
    let manifest: Manifest = serde_json::from_slice(&resolved.bytes).ok()?;
    let config = repository.fetch_manifest(&manifest.config).await.ok()?;
    let platform: dhow_oci::Platform = serde_json::from_slice(&config).ok()?;
    Some(vec![convert::image::platform(&platform)])
}
