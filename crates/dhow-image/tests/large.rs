//! Large layers over several connections, layers that others fetch as well, and what registries do to that.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "../../dhow-distribution/tests/fake/mod.rs"]
mod fake;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::fixture::{self, Layer};
use common::{TestStore, progress, store};
use dhow_distribution::{Credentials, RegistryConfig};
use dhow_errdefs::chain;
use dhow_image::{Error, Image, Progress};
use dhow_oci::{Digest, Platform, Reference, media_type};
use fake::{Repository, Request, Response, Server};

const MIB: usize = 1 << 20;

async fn pull(
    store: &TestStore,
    server: &Server,
    tag: &str,
) -> Result<(Image, Vec<Progress>), Error> {
    let (sender, collected) = progress();
    let reference = Reference::parse(&format!("{}/a/b:{tag}", server.host())).unwrap();
    let result = store
        .images
        .pull(&reference, None, &Credentials::anonymous(), &sender)
        .await;
    drop(sender);
    Ok((result?, collected.await.unwrap()))
}

/// An image of one layer with one file that doesn't compress.
fn large(size: usize) -> (Repository, Vec<u8>) {
    let mut repository = Repository::default();
    let content = fixture::noise(size, 7);
    let layer = Layer::gzip(&fixture::tar(&[("big", &content)]));
    fixture::image(&mut repository, "1", &[layer], &Platform::host());
    (repository, content)
}

fn is_layer(request: &Request) -> bool {
    !request.header("range").is_empty()
}

fn is_right(store: &TestStore, image: &Image, content: &[u8]) -> bool {
    let layer = &store.snapshots.view(&image.chain.unwrap()).unwrap().lower[0];
    std::fs::read(layer.join("big")).unwrap() == content
}

/// Where the ranges asked for begin.
fn starts(requests: &[Request]) -> Vec<u64> {
    let range = |request: &Request| {
        let range = request.header("range").strip_prefix("bytes=")?.to_owned();
        range.split('-').next()?.parse().ok()
    };
    requests.iter().filter_map(range).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_layer_comes_over_several_connections() {
    if !common::is_root("a_large_layer_comes_over_several_connections") {
        return;
    }
    let (repository, content) = large(24 * MIB);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, seen) = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::start(move |request| {
        let response = repository.answer(request);
        if is_layer(request) {
            seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(200));
            running.fetch_sub(1, Ordering::SeqCst);
        }
        response
    });
    let store = store();
    let (image, messages) = pull(&store, &server, "1").await.unwrap();
    assert!(is_right(&store, &image, &content));
    let starts = starts(&server.requests());
    let distinct: BTreeSet<u64> = starts.iter().copied().collect();
    assert_eq!((starts.len(), distinct.len()), (7, 7), "{starts:?}");
    assert!(most.load(Ordering::SeqCst) > 2, "{most:?}");
    // Progress only ever grows, and ends with everything.
    let downloading = messages.iter().filter(|m| m.status == "Downloading");
    let current: Vec<_> = downloading.map(|m| m.detail.unwrap()).collect();
    assert!(current.is_sorted_by_key(|detail| detail.current));
    let last = current.last().unwrap();
    assert_eq!(last.current, last.total);
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_without_proper_ranges_serve_as_well() {
    if !common::is_root("registries_without_proper_ranges_serve_as_well") {
        return;
    }
    type Spoil = fn(&Repository, &Request, usize) -> Response;
    let spoils: [Spoil; 5] = [
        // Ranges are ignored, from the first request or from the third on.
        |repository, request, _| {
            let mut request = request.clone();
            request.headers.remove("range");
            repository.answer(&request)
        },
        |repository, request, number| {
            let mut request = request.clone();
            if number > 1 {
                request.headers.remove("range");
            }
            repository.answer(&request)
        },
        // Something else is sent than what was asked for.
        |repository, request, _| {
            let mut response = repository.answer(request);
            response.headers.retain(|(name, _)| name != "content-range");
            response.header("content-range", "bytes 5-10/11")
        },
        // More than two connections are too many.
        |repository, request, number| match number {
            2..=4 => Response::new(429).header("retry-after", 0),
            _ => repository.answer(request),
        },
        // Connections break.
        |repository, request, number| {
            let mut response = repository.answer(request);
            response.cut = (number % 3 == 1).then_some(1_500_000);
            response
        },
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        let (repository, content) = large(20 * MIB);
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |request| match is_layer(request) {
            true => spoil(&repository, request, asked.fetch_add(1, Ordering::SeqCst)),
            false => repository.answer(request),
        });
        let store = store();
        let (image, _) = pull(&store, &server, "1").await.unwrap();
        assert!(is_right(&store, &image, &content), "kind {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_between_is_fetched_alone() {
    if !common::is_root("what_is_missing_between_is_fetched_alone") {
        return;
    }
    let (repository, content) = large(24 * MIB);
    let broken = Arc::new(AtomicBool::new(true));
    let (flag, helped) = (Arc::clone(&broken), Arc::new(AtomicUsize::new(0)));
    let helpers = Arc::clone(&helped);
    let server = Server::start(move |request| {
        let mut response = repository.answer(request);
        if !flag.load(Ordering::SeqCst) || !is_layer(request) {
            return response;
        }
        // The first part is served once others have come, and then breaks off.
        if request.header("range").starts_with("bytes=0-") {
            response.cut = Some(3 * MIB);
            response.pause = Duration::from_millis(10);
        } else if request.header("range").starts_with("bytes=3") {
            response = Response::new(404);
        } else {
            helpers.fetch_add(1, Ordering::SeqCst);
        }
        response
    });
    let config = RegistryConfig {
        retries: 0,
        ..RegistryConfig::default()
    };
    let store = common::store_in(tempfile::tempdir().unwrap(), config);
    pull(&store, &server, "1").await.unwrap_err();
    let before = server.requests().len();
    broken.store(false, Ordering::SeqCst);
    store.images.collect_garbage().unwrap();
    let (image, _) = pull(&store, &server, "1").await.unwrap();
    assert!(is_right(&store, &image, &content));
    let again = starts(&server.requests()[before..]);
    assert!(
        again.first().is_some_and(|start| *start > 2 * MIB as u64),
        "{again:?}"
    );
}

/// Bytes left by an attempt that are not what the blob has there.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_rest_is_fetched_anew() {
    if !common::is_root("a_damaged_rest_is_fetched_anew") {
        return;
    }
    let (repository, content) = large(2 * MIB);
    let digest = *repository
        .blobs
        .keys()
        .max_by_key(|d| repository.blobs[d].len())
        .unwrap();
    let size = repository.blobs[&digest].len() as u64;
    let server = Server::start(move |request| repository.answer(request));
    let store = store();
    let mut assembly = store.content.assemble(&digest, size).unwrap();
    assembly.write(0, &vec![0x55; MIB]).unwrap();
    drop(assembly);
    let (image, _) = pull(&store, &server, "1").await.unwrap();
    assert!(is_right(&store, &image, &content));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_anothers_download_sees_it() {
    if !common::is_root("who_waits_for_anothers_download_sees_it") {
        return;
    }
    let (repository, content) = large(20 * MIB);
    let server = Server::start(move |request| {
        let mut response = repository.answer(request);
        if is_layer(request) {
            response.pause = Duration::from_millis(100);
        }
        response
    });
    let store = store();
    let (first, second) = tokio::join!(pull(&store, &server, "1"), pull(&store, &server, "1"));
    for (image, messages) in [first.unwrap(), second.unwrap()] {
        assert!(is_right(&store, &image, &content));
        let seen = messages
            .iter()
            .filter(|m| m.status == "Downloading")
            .count();
        assert!(seen > 1, "{messages:?}");
        assert!(messages.iter().any(|m| m.status == "Pull complete"));
    }
    let starts = starts(&server.requests());
    let distinct: BTreeSet<u64> = starts.iter().copied().collect();
    assert_eq!(starts.len(), distinct.len(), "each part came once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_goes_on_when_the_first_is_cancelled() {
    if !common::is_root("the_second_goes_on_when_the_first_is_cancelled") {
        return;
    }
    let (repository, content) = large(20 * MIB);
    let (asked, told) = tokio::sync::mpsc::unbounded_channel();
    let told = Mutex::new(Some(told));
    let server = Server::start(move |request| {
        if is_layer(request) && request.header("range").starts_with("bytes=16") {
            let _ = asked.send(());
            std::thread::sleep(Duration::from_millis(300));
        }
        repository.answer(request)
    });
    let store = store();
    let mut told = told.lock().unwrap().take().unwrap();
    let second = async {
        // The first has most of the layer by now.
        told.recv().await.unwrap();
        pull(&store, &server, "1").await
    };
    let first = tokio::time::timeout(Duration::from_secs(30), async {
        tokio::select! {
            result = pull(&store, &server, "1") => Some(result.map(|_| ())),
            () = tokio::time::sleep(Duration::from_millis(900)) => None,
        }
    });
    let (_, second) = tokio::join!(first, second);
    let (image, _) = second.unwrap();
    assert!(is_right(&store, &image, &content));
    let again = starts(&server.requests())
        .iter()
        .filter(|start| **start == 0)
        .count();
    assert_eq!(again, 1, "what the first had was used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_packed_otherwise_is_unpacked_once() {
    if !common::is_root("a_layer_packed_otherwise_is_unpacked_once") {
        return;
    }
    let tar = fixture::tar(&[("big", &fixture::noise(3 * MIB, 5))]);
    let mut repository = Repository::default();
    let kinds = [Layer::gzip(&tar), Layer::zstd(&tar), Layer::plain(&tar)];
    for (number, layer) in kinds.into_iter().enumerate() {
        let tag = number.to_string();
        fixture::image(&mut repository, &tag, &[layer], &Platform::host());
    }
    let server = Server::start(move |request| repository.answer(request));
    let store = store();
    let (first, second) = tokio::join!(pull(&store, &server, "0"), pull(&store, &server, "1"));
    let (first, _) = first.unwrap();
    let (second, _) = second.unwrap();
    assert_eq!(first.chain, second.chain);
    let file = store.snapshots.view(&first.chain.unwrap()).unwrap().lower[0].join("big");
    let inode = std::fs::metadata(&file).unwrap().ino();
    let (third, messages) = pull(&store, &server, "2").await.unwrap();
    assert_eq!(third.chain, first.chain);
    assert_eq!(std::fs::metadata(&file).unwrap().ino(), inode);
    assert!(messages.iter().all(|m| m.status != "Extracting"));
    assert_eq!(store.snapshots.layers().unwrap().len(), 1);
    // Each has its blob, to be pushed as it was pulled.
    let large = store
        .content
        .list()
        .unwrap()
        .into_iter()
        .filter(|(_, size)| *size > 1_000_000);
    assert_eq!(large.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_busy_is_waited_for_and_shown() {
    if !common::is_root("a_registry_that_is_busy_is_waited_for_and_shown") {
        return;
    }
    let (repository, _) = large(2 * MIB);
    let digest = *repository
        .blobs
        .keys()
        .max_by_key(|d| repository.blobs[d].len())
        .unwrap();
    let busy = AtomicBool::new(true);
    let server = Server::start(move |request| {
        match request.path.contains(&digest.to_string()) && busy.swap(false, Ordering::SeqCst) {
            true => Response::new(429).header("retry-after", 1),
            false => repository.answer(request),
        }
    });
    let (_, messages) = pull(&store(), &server, "1").await.unwrap();
    let shown = messages
        .iter()
        .find(|m| m.status == "Retrying in 1 second")
        .unwrap();
    assert_eq!(shown.id.as_deref(), Some(&*digest.short()));
}

/// Layers as `pigz`, `estargz`, `pzstd` and `zstd:chunked` pack them.
#[tokio::test(flavor = "multi_thread")]
async fn layers_of_many_members_and_frames() {
    if !common::is_root("layers_of_many_members_and_frames") {
        return;
    }
    let content = fixture::noise(MIB, 3);
    let tar = fixture::tar(&[("big", &content)]);
    let skippable = |magic: u8, bytes: &[u8]| {
        let mut frame = vec![magic, 0x2a, 0x4d, 0x18];
        frame.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        frame.extend_from_slice(bytes);
        frame
    };
    let pieces: Vec<&[u8]> = tar.chunks(100_000).collect();
    let mut members = Vec::new();
    let mut frames = skippable(0x5d, b"first");
    for piece in &pieces {
        members.extend(fixture::gzip(piece));
        frames.extend(zstd::encode_all(*piece, 1).unwrap());
    }
    frames.extend(skippable(0x50, &[7; 300_000]));
    let of = |blob: Vec<u8>, media_type| Layer {
        blob,
        media_type,
        diff_id: Digest::of(&tar),
    };
    for layer in [
        of(members, media_type::OCI_LAYER_GZIP),
        of(frames, media_type::OCI_LAYER_ZSTD),
    ] {
        let mut repository = Repository::default();
        fixture::image(&mut repository, "1", &[layer], &Platform::host());
        let server = Server::start(move |request| repository.answer(request));
        let store = store();
        let (image, _) = pull(&store, &server, "1").await.unwrap();
        assert!(is_right(&store, &image, &content));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_layers_and_those_without_room_are_refused_clearly() {
    if !common::is_root("foreign_layers_and_those_without_room_are_refused_clearly") {
        return;
    }
    let mut repository = Repository::default();
    let layer = Layer {
        media_type: media_type::DOCKER_FOREIGN_LAYER_GZIP,
        ..Layer::gzip(&fixture::tar(&[("a", b"a")]))
    };
    let digest = Digest::of(&layer.blob);
    fixture::image(&mut repository, "1", &[layer], &Platform::host());
    repository.blobs.remove(&digest);
    let huge = Layer::gzip(&fixture::tar(&[("a", b"b")]));
    let huge_digest = Digest::of(&huge.blob);
    let mut manifest = fixture::manifest(&mut repository, &[huge], &Platform::host());
    manifest["layers"][0]["size"] = (1_u64 << 50).into();
    repository.manifest("2", &manifest);
    let server = Server::start(move |request| repository.answer(request));
    let store = store();
    let error = pull(&store, &server, "1").await.unwrap_err();
    assert!(
        chain(&error)
            .to_string()
            .starts_with(&format!("layer {digest} is foreign: ")),
        "{error}"
    );
    let error = pull(&store, &server, "2").await.unwrap_err();
    let text = chain(&error).to_string();
    assert!(
        text.starts_with("no space left on device: the image needs 2251799.8GB more, "),
        "{text}"
    );
    assert_eq!(server.count("GET", &huge_digest.to_string()), 0);
    let mut file = std::fs::File::create(store.folder.path().join("x")).unwrap();
    file.write_all(b"there is room").unwrap();
}

/// Layers are unpacked several at once when an archive is loaded, and stand on each other all the same.
#[tokio::test(flavor = "multi_thread")]
async fn loaded_layers_stand_in_order() {
    if !common::is_root("loaded_layers_stand_in_order") {
        return;
    }
    let layer = |n: usize| {
        let (own, over) = (format!("own-{n}"), n.to_string());
        let noise = fixture::noise((n * 37 % 11) * 60_000, n as u64);
        Layer::gzip(&fixture::tar(&[(&own, &noise), ("over", over.as_bytes())]))
    };
    let mut repository = Repository::default();
    let layers: Vec<Layer> = (0..12).map(layer).collect();
    fixture::image(&mut repository, "1", &layers, &Platform::host());
    let server = Server::start(move |request| repository.answer(request));
    let (first, second, third) = (store(), store(), store());
    let (pulled, _) = pull(&first, &server, "1").await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = tokio::fs::File::create(file.path()).await.unwrap();
    let name = pulled.tags[0].familiar();
    first.images.save(&[name], &[], out).await.unwrap();

    let archive = tokio::fs::File::open(file.path()).await.unwrap();
    let (sender, _messages) = progress();
    let loaded = second.images.load(archive, &[], &sender).await.unwrap();
    assert_eq!(loaded[0].chain, pulled.chain);
    let lower = second.snapshots.view(&pulled.chain.unwrap()).unwrap().lower;
    for (n, layer) in lower.iter().rev().enumerate() {
        assert_eq!(
            std::fs::read_to_string(layer.join("over")).unwrap(),
            n.to_string()
        );
        assert!(layer.join(format!("own-{n}")).exists());
    }

    // One layer in the middle is not what the config says: nothing of the image stays.
    let mut ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
    ids[6] = Digest::of(b"another");
    let rootfs = serde_json::json!({ "type": "layers", "diff_ids": ids });
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "rootfs": rootfs });
    let paths: Vec<String> = (0..12).map(|n| format!("{n}/layer.tar")).collect();
    let images = serde_json::json!([{ "Config": "c.json", "RepoTags": ["x:1"], "Layers": paths }]);
    let (config, images) = (config.to_string(), images.to_string());
    let mut files: Vec<(&str, &[u8])> = vec![("c.json", config.as_bytes())];
    files.extend(
        paths
            .iter()
            .zip(&layers)
            .map(|(path, layer)| (&**path, &*layer.blob)),
    );
    files.push(("manifest.json", images.as_bytes()));
    let archive = std::io::Cursor::new(fixture::tar(&files));
    let error = third.images.load(archive, &[], &sender).await;
    let text = chain(&error.map(|images| images.len()).unwrap_err()).to_string();
    assert!(
        text.starts_with("wrong diff id calculated on extraction"),
        "{text}"
    );
    assert!(third.images.list().unwrap().is_empty());
    assert!(third.snapshots.layers().unwrap().is_empty());
    assert!(third.content.list().unwrap().is_empty());
}
