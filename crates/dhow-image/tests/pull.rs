//! Pulls from registries that behave, and from such that don't.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "../../dhow-distribution/tests/fake/mod.rs"]
mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::fixture::{self, Layer};
use common::{TestStore, progress, store};
use dhow_distribution::{Credentials, RegistryConfig};
use dhow_errdefs::chain;
use dhow_image::{Error, Image, Progress};
use dhow_oci::{Digest, Platform, Reference, media_type};
use fake::{Repository, Response, Server};
use serde_json::json;

fn reference(server: &Server, tag: &str) -> Reference {
    Reference::parse(&format!("{}/a/b:{tag}", server.host())).unwrap()
}

async fn pull(store: &TestStore, server: &Server) -> Result<(Image, Vec<Progress>), Error> {
    let (sender, collected) = progress();
    let reference = reference(server, "1");
    let result = store
        .images
        .pull(&reference, None, &Credentials::anonymous(), &sender)
        .await;
    drop(sender);
    Ok((result?, collected.await.unwrap()))
}

fn three_layers() -> (Repository, Vec<Digest>) {
    let mut repository = Repository::default();
    let layers = [
        Layer::gzip(&fixture::tar(&[("etc/a", b"one"), ("etc/b", b"one")])),
        Layer::zstd(&fixture::tar(&[
            ("etc/a", b"two"),
            ("big", &fixture::noise(700_000, 3)),
        ])),
        Layer::plain(&fixture::tar(&[("etc/.wh.b", b""), ("c", b"three")])),
    ];
    fixture::image(&mut repository, "1", &layers, &Platform::host());
    (
        repository,
        layers.iter().map(|layer| Digest::of(&layer.blob)).collect(),
    )
}

fn statuses(messages: &[Progress], id: &str) -> Vec<String> {
    let of_layer = messages.iter().filter(|m| m.id.as_deref() == Some(id));
    let mut all: Vec<String> = of_layer.map(|m| m.status.clone()).collect();
    all.dedup();
    all
}

/// Nothing is left of an image: no blob, no layer, no name.
fn assert_empty(store: &TestStore) {
    assert_eq!(store.images.list().unwrap(), vec![]);
    store.images.collect_garbage().unwrap();
    assert_eq!(store.snapshots.layers().unwrap(), vec![]);
    assert_eq!(store.content.list().unwrap(), vec![]);
    let staging = store.folder.path().join("layers/staging");
    assert_eq!(
        std::fs::read_dir(staging).map_or(0, Iterator::count),
        0,
        "staging is empty"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_kinds_of_layers_in_order() {
    if !common::is_root("all_kinds_of_layers_in_order") {
        return;
    }
    let (repository, layers) = three_layers();
    let server = Server::start(move |request| repository.answer(request));
    let store = store();
    let (image, messages) = pull(&store, &server).await.unwrap();
    assert_eq!(image.tags, [reference(&server, "1")]);
    let chain = image.chain.unwrap();
    let lower = store.snapshots.view(&chain).unwrap().lower;
    assert_eq!(std::fs::read(lower[1].join("etc/a")).unwrap(), b"two");
    assert_eq!(std::fs::read(lower[0].join("c")).unwrap(), b"three");

    assert_eq!(messages[0].status, "Pulling from a/b");
    assert_eq!(messages[0].id.as_deref(), Some("1"));
    for layer in &layers {
        let all = statuses(&messages, &layer.short());
        assert_eq!(all[0], "Pulling fs layer");
        assert!(all.contains(&"Download complete".to_owned()), "{all:?}");
        assert_eq!(all.last().unwrap(), "Pull complete");
    }
    let last: Vec<&str> = messages[messages.len() - 2..]
        .iter()
        .map(|m| &*m.status)
        .collect();
    let name = reference(&server, "1");
    assert_eq!(
        last,
        [
            format!("Digest: {}", image.id),
            format!("Status: Downloaded newer image for {name}")
        ]
    );

    let (_, again) = pull(&store, &server).await.unwrap();
    let again: Vec<&str> = again.iter().map(|m| &*m.status).collect();
    assert_eq!(
        again,
        [
            "Pulling from a/b".to_owned(),
            format!("Digest: {}", image.id),
            format!("Status: Image is up to date for {name}")
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_tag_leaves_the_old_image_without_a_name() {
    if !common::is_root("a_moved_tag_leaves_the_old_image_without_a_name") {
        return;
    }
    let (mut repository, _) = three_layers();
    let second = fixture::image(
        &mut repository,
        "2",
        &[Layer::gzip(&fixture::tar(&[("x", b"new")]))],
        &Platform::host(),
    );
    let moved = Arc::new(AtomicUsize::new(0));
    let flag = Arc::clone(&moved);
    let server = Server::start(move |request| {
        let mut repository = repository.clone();
        if flag.load(Ordering::SeqCst) == 1 {
            repository.tags.insert("1".into(), second);
        }
        repository.answer(request)
    });
    let store = store();
    let (old, _) = pull(&store, &server).await.unwrap();
    moved.store(1, Ordering::SeqCst);
    let (new, _) = pull(&store, &server).await.unwrap();
    assert_ne!(old.id, new.id);
    let old = store.images.resolve(&old.id.to_string(), None).unwrap();
    assert!(old.is_dangling() && old.chain.is_some());
    let pruned = store.images.prune(&Image::is_dangling, &|_| None).unwrap();
    assert_eq!(pruned.deleted, [dhow_image::Deleted::Deleted(old.id)]);
    assert!(pruned.reclaimed > 700_000);
    assert_eq!(store.images.list().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pulls_at_once_fetch_each_blob_once() {
    if !common::is_root("two_pulls_at_once_fetch_each_blob_once") {
        return;
    }
    let (repository, layers) = three_layers();
    let server = Server::start(move |request| {
        let mut response = repository.answer(request);
        response.pause = Duration::from_millis(100);
        response
    });
    let store = store();
    let (first, second) = tokio::join!(pull(&store, &server), pull(&store, &server));
    assert_eq!(first.unwrap().0.id, second.unwrap().0.id);
    for layer in layers {
        assert_eq!(server.count("GET", &layer.to_string()), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_is_chosen_from_an_index() {
    if !common::is_root("the_platform_is_chosen_from_an_index") {
        return;
    }
    let mut repository = Repository::default();
    let mut entries = Vec::new();
    for platform in ["linux/s390x", "linux/amd64", "linux/arm64"] {
        let platform: Platform = platform.parse().unwrap();
        let content = platform.to_string();
        let layer = Layer::gzip(&fixture::tar(&[("platform", content.as_bytes())]));
        let digest = fixture::image(&mut repository, "", &[layer], &platform);
        let size = repository.manifests[&digest].1.len();
        entries.push(json!({
            "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": size,
            "platform": { "os": "linux", "architecture": platform.architecture },
        }));
    }
    let index =
        json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries });
    let id = repository.manifest("1", &index);
    let server = Server::start(move |request| repository.answer(request));
    let store = store();
    let (image, _) = pull(&store, &server).await.unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.config.architecture, Platform::host().architecture);
    let platforms = store.images.platforms(&image).unwrap();
    assert_eq!(platforms.iter().filter(|p| p.available).count(), 1);

    let (sender, _messages) = progress();
    let windows: Platform = "windows/amd64".parse().unwrap();
    let name = reference(&server, "1");
    let error = store
        .images
        .pull(&name, Some(&windows), &Credentials::anonymous(), &sender)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no matching manifest for windows/amd64 in the manifest list entries: \
         no match for platform in manifest: not found"
    );
    let other: Platform = "linux/s390x".parse().unwrap();
    let error = store
        .images
        .resolve(&name.to_string(), Some(&other))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not provide the specified platform (linux/s390x)")
    );
}

/// Pulls from a repository that `spoil` has changed; returns the error's text. Nothing may be left.
async fn spoiled(
    spoil: impl Fn(&mut Repository, &mut Response, &fake::Request) + Send + Sync + 'static,
) -> String {
    let (repository, _) = three_layers();
    let server = Server::start(move |request| {
        let mut repository = repository.clone();
        let mut response = repository.answer(request);
        spoil(&mut repository, &mut response, request);
        response
    });
    let config = RegistryConfig {
        retries: 1,
        ..RegistryConfig::default()
    };
    let store = common::store_in(tempfile::tempdir().unwrap(), config);
    let error = pull(&store, &server)
        .await
        .map(|(image, _)| image.id)
        .unwrap_err();
    if !matches!(error, Error::Registry(_)) {
        assert_empty(&store);
    }
    chain(&error).to_string()
}

fn is_layer(request: &fake::Request, response: &Response) -> bool {
    request.path.contains("/blobs/") && response.body.len() > 400_000
}

#[tokio::test(flavor = "multi_thread")]
async fn spoiled_layers_are_refused_and_leave_nothing() {
    if !common::is_root("spoiled_layers_are_refused_and_leave_nothing") {
        return;
    }
    let flipped = spoiled(|_, response, request| {
        if is_layer(request, response) {
            response.body[300_000] ^= 1;
        }
    });
    let text = flipped.await;
    assert!(
        text.starts_with("unexpected commit digest sha256:"),
        "{text}"
    );
    let longer = spoiled(|_, response, request| {
        if is_layer(request, response) {
            response.body.push(0);
        }
    });
    assert!(longer.await.starts_with("unexpected commit size"));
    let cut = spoiled(|_, response, request| {
        if is_layer(request, response) {
            response.body.truncate(100);
        }
    });
    let text = cut.await;
    assert!(text.starts_with("failed to copy: blob sha256:"), "{text}");
    let missing = spoiled(|_, response, request| {
        if is_layer(request, response) {
            *response = fake::missing("BLOB_UNKNOWN", "blob unknown");
        }
    });
    assert!(missing.await.ends_with(": not found"));
}

/// Pulls an image of these layers; returns the error's text. Nothing may be left.
async fn refused(layers: Vec<Layer>) -> String {
    let mut repository = Repository::default();
    fixture::image(&mut repository, "1", &layers, &Platform::host());
    let server = Server::start(move |request| repository.answer(request));
    let store = store();
    let error = pull(&store, &server)
        .await
        .map(|(image, _)| image.id)
        .unwrap_err();
    assert_empty(&store);
    chain(&error).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_layers_are_refused_and_leave_nothing() {
    if !common::is_root("hostile_layers_are_refused_and_leave_nothing") {
        return;
    }
    let good = fixture::tar(&[("a", b"a")]);
    let wrong_diff_id = Layer {
        diff_id: Digest::of(b"other"),
        ..Layer::gzip(&good)
    };
    let text = refused(vec![
        Layer::gzip(&fixture::tar(&[("b", b"b")])),
        wrong_diff_id,
    ])
    .await;
    assert!(
        text.starts_with("wrong diff id calculated on extraction"),
        "{text}"
    );

    let mut corrupt = Layer::gzip(&fixture::tar(&[("n", &fixture::noise(100_000, 9))]));
    corrupt.blob[50_000] ^= 0xff;
    let text = refused(vec![corrupt]).await;
    assert!(
        text.starts_with("failed to extract layer sha256:"),
        "{text}"
    );

    let mut cut = Layer::gzip(&fixture::tar(&[("n", &fixture::noise(100_000, 9))]));
    cut.blob.truncate(60_000);
    let text = refused(vec![cut]).await;
    assert!(
        text.starts_with("failed to extract layer sha256:"),
        "{text}"
    );

    let text = refused(vec![fixture::bomb(1_200_000_000)]).await;
    assert!(
        text.starts_with("failed to extract layer sha256:"),
        "{text}"
    );

    let odd = Layer {
        media_type: "application/vnd.example.layer",
        ..Layer::gzip(&good)
    };
    let text = refused(vec![odd]).await;
    assert!(
        text.starts_with("unsupported media type application/vnd.example.layer"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_was_cut_goes_on_from_what_it_has() {
    if !common::is_root("a_pull_that_was_cut_goes_on_from_what_it_has") {
        return;
    }
    let (repository, layers) = three_layers();
    let broken = Arc::new(AtomicUsize::new(1));
    let flag = Arc::clone(&broken);
    let server = Server::start(move |request| {
        let mut response = repository.answer(request);
        if is_layer(request, &response) && flag.load(Ordering::SeqCst) == 1 {
            response.cut = Some(300_000);
            response.status = 200;
            response.body.truncate(300_000);
            response
                .headers
                .push(("content-length".into(), "700000".into()));
        }
        response
    });
    let config = RegistryConfig {
        retries: 0,
        ..RegistryConfig::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let store = common::store_in(folder, config);
    pull(&store, &server).await.unwrap_err();
    assert_eq!(store.images.list().unwrap(), vec![]);
    // What there is survives a collection, as the next attempt will want it.
    store.images.collect_garbage().unwrap();
    broken.store(0, Ordering::SeqCst);
    let (image, _) = pull(&store, &server).await.unwrap();
    assert!(image.chain.is_some());
    let big = layers[1].to_string();
    let resumed = server.requests().into_iter().any(|request| {
        request.path.contains(&big) && request.header("range").starts_with("bytes=")
    });
    assert!(resumed, "the second attempt asked for the rest only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_pull_stops_and_leaves_no_layer() {
    if !common::is_root("a_cancelled_pull_stops_and_leaves_no_layer") {
        return;
    }
    let (repository, _) = three_layers();
    let server = Server::start(move |request| {
        let mut response = repository.answer(request);
        if is_layer(request, &response) {
            response.pause = Duration::from_secs(3);
        }
        response
    });
    let store = store();
    let cancelled = tokio::time::timeout(Duration::from_millis(700), pull(&store, &server)).await;
    assert!(cancelled.is_err());
    assert_eq!(store.images.list().unwrap(), vec![]);
    let staging = store.folder.path().join("layers/staging");
    for _ in 0..100 {
        if std::fs::read_dir(&staging).unwrap().count() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a layer is still being unpacked");
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_and_removals_at_once_leave_whole_images() {
    if !common::is_root("pulls_and_removals_at_once_leave_whole_images") {
        return;
    }
    let (repository, _) = three_layers();
    let server = Server::start(move |request| repository.answer(request));
    let store = store();
    let images = store.images.clone();
    let name = reference(&server, "1").to_string();
    let stop = Arc::new(AtomicUsize::new(0));
    let (stopped, removed_name) = (Arc::clone(&stop), name.clone());
    let remover = tokio::task::spawn_blocking(move || {
        while stopped.load(Ordering::SeqCst) == 0 {
            // Most of the time there is nothing to remove.
            let _ = images.remove(&removed_name, true, true, &|_| None);
            images.collect_garbage().unwrap();
        }
    });
    for _ in 0..25 {
        pull(&store, &server)
            .await
            .map(|_| ())
            .or_else(only_removed)
            .unwrap();
    }
    stop.store(1, Ordering::SeqCst);
    remover.await.unwrap();
    let (image, _) = pull(&store, &server).await.unwrap();
    let platform = &store.images.platforms(&image).unwrap()[0];
    assert!(platform.available && image.chain.is_some());
    store.images.remove(&name, false, true, &|_| None).unwrap();
    assert_empty(&store);
}

/// A pull whose image was removed between its end and its answer.
fn only_removed(error: Error) -> Result<(), Error> {
    match error {
        Error::NotFound(_) => Ok(()),
        other => Err(other),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundled_image_needs_no_registry() {
    if !common::is_root("the_bundled_image_needs_no_registry") {
        return;
    }
    let bundled = dhow_image::BundledImage {
        reference: dhow_hello::REFERENCE,
        archive: dhow_hello::archive,
    };
    let store = common::store_with(vec![bundled]);
    assert_eq!(store.images.list().unwrap(), vec![]);
    let (sender, _messages) = progress();
    let name = Reference::parse("dhow/hello").unwrap();
    let image = store
        .images
        .pull(&name, None, &Credentials::anonymous(), &sender)
        .await
        .unwrap();
    assert_eq!(image.tags[0].familiar(), "dhow/hello:latest");
    let layer = store.snapshots.view(&image.chain.unwrap()).unwrap().lower[0].join("hello");
    let output = std::process::Command::new(layer).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("Hello from Dhow!"));
    store
        .images
        .remove("dhow/hello", false, true, &|_| None)
        .unwrap();
    assert!(store.images.resolve("dhow/hello", None).is_err());
}
