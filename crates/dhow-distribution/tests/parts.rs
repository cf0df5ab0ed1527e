//! Parts of blobs, from servers that send them and from such that don't; and servers that want to be asked later.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use dhow_distribution::{
    BlobSource, BlobStream, Credentials, Error, Patience, Registry, RegistryConfig, Repository,
};
use dhow_oci::{Descriptor, Reference};

use fake::{Request, Response, Server};

fn repository(server: &Server) -> Repository {
    let config = RegistryConfig {
        retries: 2,
        read_timeout: Duration::from_millis(500),
        longest_wait: Duration::from_secs(5),
        certs_dirs: vec![],
        ..RegistryConfig::default()
    };
    let reference = Reference::parse(&format!("{}/a/b:1", server.host())).unwrap();
    Registry::new(config)
        .unwrap()
        .repository(&reference, &Credentials::anonymous())
}

fn content() -> (fake::Repository, Vec<u8>) {
    let mut content = fake::Repository::default();
    let blob: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    content.blob(blob.clone());
    (content, blob)
}

/// A server of one blob that answers as `answer` makes of what a good one would say.
fn serving(
    answer: impl Fn(&Request, Response) -> Response + Send + Sync + 'static,
) -> (Server, BlobSource, Vec<u8>) {
    let (content, blob) = content();
    let server = Server::start(move |request| answer(request, content.answer(request)));
    let source = repository(&server).blob(&Descriptor::of("x", &blob));
    (server, source, blob)
}

async fn read(mut stream: BlobStream) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(bytes) = stream.chunk().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

const PART: Range<u64> = 1_000_000..1_200_000;

async fn part(source: &BlobSource, patience: Patience) -> Result<Vec<u8>, Error> {
    read(source.fetch(PART, patience).await?).await
}

#[tokio::test]
async fn a_part_is_that_part() {
    let (server, source, blob) = serving(|_, response| response);
    assert!(part(&source, Patience::Try).await.unwrap() == blob[1_000_000..1_200_000]);
    assert!(part(&source, Patience::Insist).await.unwrap() == blob[1_000_000..1_200_000]);
    let asked = server.requests();
    assert!(
        asked
            .iter()
            .all(|r| r.header("range") == "bytes=1000000-1199999")
    );
}

#[tokio::test]
async fn a_server_without_parts_is_read_to_the_end_by_who_insists() {
    let (_, blob) = content();
    type Spoil = fn(&[u8], Response) -> Response;
    let spoils: [Spoil; 5] = [
        |blob, _| Response::ok(blob),
        |_, _| Response::new(416),
        |_, _| Response::new(501),
        // Another part than the one asked for.
        |blob, _| {
            Response {
                status: 206,
                ..Response::ok(&blob[..200_000])
            }
            .header("content-range", "bytes 0-199999/2000000")
        },
        // Of a blob of another size.
        |_, response| {
            Response {
                headers: vec![],
                ..response
            }
            .header("content-range", "bytes 1000000-1199999/77")
        },
    ];
    for spoil in spoils {
        let whole = blob.clone();
        let (_server, source, blob) =
            serving(
                move |request, response| match request.header("range").is_empty() {
                    true => response,
                    false => spoil(&whole, response),
                },
            );
        let error = part(&source, Patience::Try).await.unwrap_err();
        assert!(matches!(error, Error::NoRanges { .. }), "{error:?}");
        let stream = source.fetch(PART, Patience::Insist).await.unwrap();
        assert_eq!(stream.end(), 2_000_000);
        assert!(read(stream).await.unwrap() == blob[1_000_000..]);
    }
}

#[tokio::test]
async fn more_than_the_part_is_cut_off() {
    let (_, blob) = content();
    let (_server, source, blob) = serving(move |_, _| {
        Response {
            status: 206,
            ..Response::ok(&blob[1_000_000..])
        }
        .header("content-range", "bytes 1000000-1999999/2000000")
    });
    assert!(part(&source, Patience::Try).await.unwrap() == blob[1_000_000..1_200_000]);
}

#[tokio::test]
async fn a_broken_part_goes_on_for_who_insists() {
    let (server, source, blob) = serving(|_, mut response| {
        response.cut = Some(150_000);
        response
    });
    let error = part(&source, Patience::Try).await.unwrap_err();
    assert!(matches!(error, Error::Transfer { .. }), "{error:?}");
    assert!(part(&source, Patience::Insist).await.unwrap() == blob[1_000_000..1_200_000]);
    assert_eq!(
        server.requests()[2].header("range"),
        "bytes=1150000-1199999"
    );
}

#[tokio::test]
async fn the_way_to_the_storage_is_asked_once() {
    let (content, blob) = content();
    let broken = Arc::new(AtomicUsize::new(0));
    let flag = Arc::clone(&broken);
    let storage = Server::start(move |request| {
        assert_eq!(request.header("authorization"), "");
        match flag.load(Ordering::SeqCst) {
            0 => {
                let digest = *content.blobs.keys().next().unwrap();
                let path = format!("/v2/a/b/blobs/{digest}");
                content.answer(&Request {
                    path,
                    ..request.clone()
                })
            }
            _ => Response::new(403),
        }
    });
    let target = format!("http://{}/storage?signature=abc", storage.host());
    let server = Server::start(move |_| Response::new(307).header("location", &target));
    let source = repository(&server).blob(&Descriptor::of("x", &blob));
    for _ in 0..3 {
        assert!(part(&source, Patience::Insist).await.unwrap() == blob[1_000_000..1_200_000]);
    }
    assert_eq!((server.requests().len(), storage.requests().len()), (1, 3));
    // An address that is no longer good: the registry is asked again.
    broken.store(1, Ordering::SeqCst);
    part(&source, Patience::Try).await.unwrap_err();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn who_wants_to_be_asked_later_is_waited_for_and_told_of() {
    let (content, blob) = content();
    let seconds = Arc::new(AtomicU64::new(1));
    let (date, asked) = (Arc::clone(&seconds), AtomicUsize::new(0));
    let server = Server::start(
        move |request| match asked.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => {
                let time = SystemTime::now() + Duration::from_secs(date.load(Ordering::SeqCst));
                Response::new(429).header("retry-after", httpdate::fmt_http_date(time))
            }
            _ => content.answer(request),
        },
    );
    let waits = Arc::<Mutex<Vec<Duration>>>::default();
    let told = Arc::clone(&waits);
    let telling = repository(&server).telling(move |time| told.lock().unwrap().push(time));
    let source = telling.blob(&Descriptor::of("x", &blob));
    assert!(part(&source, Patience::Insist).await.unwrap() == blob[1_000_000..1_200_000]);
    assert!(waits.lock().unwrap().len() == 1 && waits.lock().unwrap()[0] <= Duration::from_secs(1));
    // One who wants to be left alone for an hour has refused.
    seconds.store(3600, Ordering::SeqCst);
    let error = part(&source, Patience::Insist).await.unwrap_err();
    assert!(
        matches!(error, Error::Status { code: 429, .. }),
        "{error:?}"
    );
    assert_eq!(waits.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_gateway_with_a_bad_moment_is_asked_again() {
    let (content, blob) = content();
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Response::new(502),
        1 => Response::new(504),
        _ => content.answer(request),
    });
    let source = repository(&server).blob(&Descriptor::of("x", &blob));
    assert!(part(&source, Patience::Insist).await.unwrap() == blob[1_000_000..1_200_000]);
}

#[tokio::test]
async fn a_proxy_is_used_where_it_is_meant_to_be() {
    let (content, blob) = content();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let proxy = Server::start(move |request| {
        // A proxy is asked for the whole address (RFC 9112, section 3.2.2).
        match request
            .path
            .strip_prefix("http://mirror.test/v2/a/b/blobs/")
        {
            Some(digest) => {
                let path = format!("/v2/a/b/blobs/{digest}");
                content.answer(&Request {
                    path,
                    ..request.clone()
                })
            }
            None => Response::new(418).header("content-type", kind),
        }
    });
    let of = |except: &str| {
        let config = RegistryConfig {
            mirrors: vec!["http://mirror.test".into()],
            proxies: dhow_distribution::Proxies {
                http: format!("http://{}", proxy.host()),
                https: String::new(),
                except: except.into(),
            },
            retries: 0,
            connect_timeout: Duration::from_millis(500),
            certs_dirs: vec![],
            ..RegistryConfig::default()
        };
        let reference = Reference::parse("docker.io/a/b:1").unwrap();
        let registry = Registry::new(config).unwrap();
        let repository = registry.repository(&reference, &Credentials::anonymous());
        repository.blob(&Descriptor::of("x", &blob))
    };
    assert!(part(&of(""), Patience::Insist).await.unwrap() == blob[1_000_000..1_200_000]);
    let asked = proxy.requests().len();
    // There is no such host, and nobody else to ask.
    part(&of(".test"), Patience::Try).await.unwrap_err();
    assert_eq!(proxy.requests().len(), asked);
}
