//! `POST /commit`: an image of a container.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use dhow_api::container::Config;
use dhow_api::image::CommitResponse;
use dhow_engine::Containers;
use dhow_engine::container::Commit;
use dhow_oci::Reference;

use super::finish;
use crate::error::{ApiError, Result};
use crate::request::{self, Query};
use crate::{Handles, convert, reply};

pub(super) fn routes() -> Router<Handles> {
    Router::new().route("/commit", post(commit))
}

async fn commit(
    State(containers): State<Containers>,
    query: Query,
    request: Request,
) -> Result<Response> {
    let body = request::read(request).await?;
    let body = body
        .map(|bytes| request::decode::<Config>(&bytes))
        .transpose()?;
    let commit = Commit {
        reference: tagged(&query)?,
        author: query.get("author").to_owned(),
        comment: query.get("comment").to_owned(),
        pause: query.some("pause").is_none() || query.flag("pause"),
        config: body.map(convert::container::config).transpose()?,
        changes: query.all("changes"),
    };
    let name = query.get("container").to_owned();
    let image = finish(async move { Ok(containers.commit(&name, commit).await?) }).await?;
    Ok(reply::created(&CommitResponse {
        id: image.id.to_string(),
    }))
}

/// The name that `repo` and `tag` give to a new image, if they give one.
pub(super) fn tagged(query: &Query) -> Result<Option<Reference>> {
    let Some(repo) = query.some("repo") else {
        return Ok(None);
    };
    let reference = Reference::parse(repo)?;
    if reference.digest().is_some() {
        return Err(ApiError::invalid("cannot import digest reference"));
    }
    Ok(Some(match query.some("tag") {
        Some(tag) => reference.with_tag(tag)?,
        None => reference.with_default_tag(),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn images_are_named_by_repo_and_tag() {
        for (query, name) in [
            ("", None),
            ("tag=1", None),
            ("repo=a", Some("a:latest")),
            ("repo=a:1&tag=2", Some("a:2")),
        ] {
            let found = tagged(&Query::parse(query)).unwrap();
            let found = found.map(|reference| reference.familiar());
            assert_eq!(found.as_deref(), name, "{query}");
        }
        assert!(tagged(&Query::parse("repo=a&tag=b/b")).is_err());
        assert!(tagged(&Query::parse("repo=UPPER")).is_err());
    }
}
