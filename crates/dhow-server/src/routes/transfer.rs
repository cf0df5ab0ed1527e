//! Images on their way: pull, import, push, load, save.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use dhow_distribution::Credentials;
use dhow_engine::images::Images;
use dhow_image::{ImportOptions, Progress};
use dhow_oci::{Digest, Platform, Reference};
use http::{HeaderMap, StatusCode};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{ApiError, Result};
use crate::reply::{self, Failure, progress};
use crate::request::{self, Query, registry_credentials};
use crate::{ApiVersion, Handles};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/images/create", post(create))
        .route("/images/load", post(load))
        .route("/images/get", get(save_many))
}

/// `POST /images/create`: a pull with `fromImage`, an import with `fromSrc`.
async fn create(
    State(images): State<Images>,
    version: ApiVersion,
    query: Query,
    request: Request,
) -> Result<Response> {
    let platform = if version.before(32) {
        None
    } else {
        query.platform("platform")?
    };
    if query.some("fromImage").is_some() {
        let credentials = registry_credentials(request.headers());
        return pull(images, &query, platform, credentials).await;
    }
    import(images, &query, platform, request).await
}

async fn pull(
    images: Images,
    query: &Query,
    platform: Option<Platform>,
    credentials: Credentials,
) -> Result<Response> {
    let (name, tag) = (query.get("fromImage"), query.get("tag"));
    // Docker pulls every tag when none is named (`docker pull --all-tags`).
    if wants_every_tag(name, tag) {
        let repository = Reference::parse(name)?;
        return progress(Failure::Status, move |sender| async move {
            let platform = platform.as_ref();
            images
                .pull_all(&repository, platform, &credentials, &sender)
                .await?;
            Ok(())
        })
        .await;
    }
    let reference = pull_reference(name, tag)?;
    progress(Failure::Status, move |sender| async move {
        images
            .pull(&reference, platform.as_ref(), &credentials, &sender)
            .await?;
        Ok(())
    })
    .await
}

/// Whether neither the name nor `tag` says which image of the repository is meant.
fn wants_every_tag(name: &str, tag: &str) -> bool {
    let named = Reference::parse(name);
    tag.is_empty() && named.is_ok_and(|named| named.tag().is_none() && named.digest().is_none())
}

/// What is to be pulled: the name with the tag (or digest) that was given beside it.
fn pull_reference(name: &str, tag: &str) -> Result<Reference> {
    let reference = Reference::parse(name.trim_end_matches(':'))?;
    if tag.is_empty() {
        return Ok(reference.with_default_tag());
    }
    if tag.contains(':') {
        let digest: Digest = tag.parse()?;
        return Ok(reference.with_digest(digest));
    }
    Ok(reference.with_tag(tag)?)
}

async fn import(
    images: Images,
    query: &Query,
    platform: Option<Platform>,
    request: Request,
) -> Result<Response> {
    let source = query.get("fromSrc");
    if source != "-" {
        return Err(ApiError::not_implemented(
            "the import of an image from a URL",
        ));
    }
    let options = ImportOptions {
        reference: super::commit::tagged(query)?,
        message: query.get("message").to_owned(),
        changes: query.all("changes"),
        platform,
    };
    let archive = request::reader(request);
    progress(Failure::Stream, move |sender| async move {
        let image = images.import(archive, options).await?;
        // A full channel means the client reads nothing; the import is done all the same.
        let _ = sender.send(Progress::line(image.id.to_string())).await;
        Ok(())
    })
    .await
}

/// `POST /images/{name}/push`.
pub(super) async fn push(
    images: Images,
    name: &str,
    version: ApiVersion,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response> {
    let mut reference = Reference::parse(name)?;
    if reference.digest().is_some() {
        return Err(ApiError::invalid("cannot push a digest reference"));
    }
    if let Some(tag) = query.some("tag") {
        reference = reference.with_tag(tag)?;
    }
    let platform = if version.before(46) {
        None
    } else {
        query.platform_json("platform")?
    };
    let credentials = registry_credentials(headers);
    progress(Failure::Stream, move |sender| async move {
        images
            .push(&reference, platform.as_ref(), &credentials, &sender)
            .await?;
        Ok(())
    })
    .await
}

async fn load(
    State(images): State<Images>,
    version: ApiVersion,
    query: Query,
    request: Request,
) -> Result<Response> {
    let platforms = query.platforms(version, "platform")?;
    let archive = request::reader(request);
    progress(Failure::Status, move |sender| async move {
        images.load(archive, &platforms, &sender).await?;
        Ok(())
    })
    .await
}

async fn save_many(
    State(images): State<Images>,
    version: ApiVersion,
    query: Query,
) -> Result<Response> {
    let platforms = query.platforms(version, "platform")?;
    let names = query.all("names");
    let names = names
        .iter()
        .flat_map(|names| names.split(','))
        .filter(|name| !name.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    save(&images, names, platforms).await
}

/// Images as one archive.
pub(super) async fn save(
    images: &Images,
    names: Vec<String>,
    platforms: Vec<Platform>,
) -> Result<Response> {
    let (out, archive) = tokio::io::duplex(256 * 1024);
    let images = images.clone();
    let work = tokio::spawn(async move {
        images.save(&names, &platforms, out).await?;
        Ok::<_, ApiError>(())
    });
    let body = archive_body(archive, AbortOnDropHandle::new(work)).await?;
    Ok(reply::typed(StatusCode::OK, "application/x-tar", body))
}

/// The archive as a body; an error before its first byte is an answer of its own, one after it cuts the connection.
async fn archive_body(
    mut archive: tokio::io::DuplexStream,
    work: AbortOnDropHandle<Result<()>>,
) -> Result<Body> {
    use tokio::io::AsyncReadExt;
    let mut first = vec![0; 64 * 1024];
    let length = archive.read(&mut first).await.unwrap_or(0);
    first.truncate(length);
    if length == 0 {
        joined(work).await?;
        return Ok(Body::empty());
    }
    let head = std::io::Cursor::new(first).chain(archive);
    let chunks = tokio_util::io::ReaderStream::with_capacity(head, 64 * 1024);
    let end = futures::stream::once(async move {
        match joined(work).await {
            Ok(()) => Ok(axum::body::Bytes::new()),
            Err(error) => Err(std::io::Error::other(error.message)),
        }
    });
    Ok(Body::from_stream(futures::StreamExt::chain(chunks, end)))
}

async fn joined(work: AbortOnDropHandle<Result<()>>) -> Result<()> {
    match work.await {
        Ok(result) => result,
        Err(error) => Err(ApiError::new(
            dhow_errdefs::ErrorKind::System,
            format!("the work ended early: {error}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn pulls_take_a_tag_or_a_digest_beside_the_name() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (name, tag, wanted) in [
            ("busybox", "", "busybox:latest".to_owned()),
            ("busybox", "1", "busybox:1".to_owned()),
            ("busybox:2", "", "busybox:2".to_owned()),
            (
                "localhost:5000/a/b",
                "v1",
                "localhost:5000/a/b:v1".to_owned(),
            ),
            ("busybox", digest.as_str(), format!("busybox@{digest}")),
        ] {
            let reference = pull_reference(name, tag).unwrap();
            assert_eq!(reference.familiar(), wanted, "{name} {tag}");
        }
        assert!(wants_every_tag("localhost:5000/a", "") && !wants_every_tag("a:1", ""));
        assert!(pull_reference("UPPER", "").is_err());
        assert!(pull_reference("busybox", "not a tag").is_err());
    }
}
