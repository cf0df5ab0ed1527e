//! `/images`: everything that isn't a stream.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use dhow_api::image::ImagePruneReport;
use dhow_engine::images::Images;
use dhow_oci::Reference;
use http::{HeaderMap, StatusCode};

use super::{block, finish, transfer};
use crate::error::{ApiError, Result};
use crate::request::{Query, filters};
use crate::{ApiVersion, Handles, compat, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/images/json", get(list))
        .route("/images/prune", post(prune))
        .route("/images/{*path}", get(of_one).post(to_one).delete(remove))
}

async fn list(State(images): State<Images>, version: ApiVersion, query: Query) -> Result<Response> {
    let filters = filters(&query)?;
    let shared_size = query.flag("shared-size") && !version.before(42);
    let manifests = query.flag("manifests") && !version.before(47);
    if !version.before(54) && query.flag("identity") && !manifests {
        return Err(ApiError::invalid(
            "conflicting options: identity requires manifests=1",
        ));
    }
    let list = block(move || {
        let mut shown = Vec::new();
        let containers = match manifests {
            true => images.containers(),
            false => HashMap::new(),
        };
        for summary in images.list(&filters, shared_size)? {
            let mut view = convert::image::summary(&summary);
            compat::image::summary(version, &mut view);
            if manifests {
                let all = images.platforms(&summary.image)?;
                view.manifests = Some(convert::image::manifests(&all, &containers));
            }
            shown.push(view);
        }
        Ok(shown)
    })
    .await?;
    Ok(reply::ok(&list))
}

/// `GET /images/{name}/{verb}`; a name may have slashes, so that the verb is what comes last.
async fn of_one(
    State(images): State<Images>,
    Path(path): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    if let Some(name) = path.strip_suffix("/json") {
        inspect(&images, name.to_owned(), version, &query).await
    } else if let Some(name) = path.strip_suffix("/history") {
        let name = name.to_owned();
        let platform = if version.before(48) {
            None
        } else {
            query.platform_json("platform")?
        };
        let steps = block(move || Ok(images.history(&name, platform.as_ref())?)).await?;
        let steps: Vec<_> = steps.iter().map(convert::image::history).collect();
        Ok(reply::ok(&steps))
    } else if let Some(name) = path.strip_suffix("/get") {
        let platforms = query.platforms(version, "platform")?;
        transfer::save(&images, vec![name.to_owned()], platforms).await
    } else if let Some(name) = path.strip_suffix("/attestations")
        && !version.before(55)
    {
        attestations(images, name.to_owned(), &query).await
    } else {
        Err(ApiError::no_page())
    }
}

/// `GET /images/{name}/attestations`
async fn attestations(images: Images, name: String, query: &Query) -> Result<Response> {
    if query.all("platform").len() > 1 {
        return Err(ApiError::invalid(
            "only one platform can be asked for at a time",
        ));
    }
    let platform = query.platform_json("platform")?;
    let (types, texts) = (query.all("type"), query.flag("statement"));
    let all = block(move || Ok(images.attestations(&name, platform.as_ref(), texts)?)).await?;
    let wanted = all
        .iter()
        .filter(|(one, _)| types.is_empty() || types.contains(&one.predicate_type));
    let shown: Result<Vec<_>> = wanted
        .map(|(one, text)| convert::image::attestation(one, text.as_deref()))
        .collect();
    Ok(reply::ok(&shown?))
}

async fn inspect(
    images: &Images,
    name: String,
    version: ApiVersion,
    query: &Query,
) -> Result<Response> {
    let platform = if version.before(49) {
        None
    } else {
        query.platform_json("platform")?
    };
    let manifests = query.flag("manifests") && !version.before(48);
    if manifests && platform.is_some() {
        return Err(ApiError::invalid(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let images = images.clone();
    let view = block(move || {
        let image = images.inspect(&name, platform.as_ref())?;
        let mut view = convert::image::inspect(&image);
        if manifests {
            let all = images.platforms(&image)?;
            view.manifests = Some(convert::image::manifests(&all, &images.containers()));
        }
        Ok(view)
    })
    .await?;
    Ok(reply::compatible(&view, version, 52, |value| {
        compat::image::inspect(version, value);
    }))
}

/// `POST /images/{name}/{verb}`.
async fn to_one(
    State(images): State<Images>,
    Path(path): Path<String>,
    version: ApiVersion,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    if let Some(name) = path.strip_suffix("/tag") {
        tag(images, name.to_owned(), &query).await
    } else if let Some(name) = path.strip_suffix("/push") {
        transfer::push(images, name, version, &query, &headers).await
    } else {
        Err(ApiError::no_page())
    }
}

async fn tag(images: Images, name: String, query: &Query) -> Result<Response> {
    let mut target = Reference::parse(query.get("repo"))?;
    if target.digest().is_some() {
        return Err(ApiError::invalid("cannot import digest reference"));
    }
    if let Some(tag) = query.some("tag") {
        target = target.with_tag(tag)?;
    }
    let target = target.with_default_tag();
    if target.familiar().split(':').next() == Some("sha256") {
        return Err(ApiError::invalid(
            "refusing to create an ambiguous tag using digest algorithm as name",
        ));
    }
    block(move || Ok(images.tag(&name, &target)?)).await?;
    Ok(reply::empty(StatusCode::CREATED))
}

async fn remove(
    State(images): State<Images>,
    Path(name): Path<String>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    if name.trim().is_empty() {
        return Err(ApiError::invalid("image name cannot be blank"));
    }
    if !version.before(50) && query.has("platforms") {
        query.platform_json("platforms")?;
        return Err(ApiError::not_implemented(
            "the removal of single platforms of an image",
        ));
    }
    let force = query.flag("force");
    let prune = !query.flag("noprune");
    let deleted = finish(async move { Ok(images.remove(&name, force, prune).await?) }).await?;
    let deleted: Vec<_> = deleted.iter().map(convert::image::deleted).collect();
    Ok(reply::ok(&deleted))
}

async fn prune(State(images): State<Images>, query: Query) -> Result<Response> {
    let filters = filters(&query)?;
    let pruned = finish(async move { Ok(images.prune(&filters).await?) }).await?;
    let deleted: Vec<_> = pruned.deleted.iter().map(convert::image::deleted).collect();
    Ok(reply::ok(&ImagePruneReport {
        images_deleted: convert::null_list(&deleted),
        space_reclaimed: pruned.reclaimed,
    }))
}
