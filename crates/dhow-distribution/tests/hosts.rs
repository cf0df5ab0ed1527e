//! `hosts.toml` against servers that are asked by its rules.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use dhow_distribution::{Credentials, Registry, RegistryConfig, Repository};
use dhow_oci::{Descriptor, Digest, Reference};
use serde_json::json;

use fake::{Request, Response, Server};

/// A registry with one image.
fn registry() -> impl Fn(&Request) -> Response + Send + Sync + 'static {
    let mut content = fake::Repository::default();
    content.manifest(
        "1",
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "x", "digest": Digest::of(b""), "size": 0 },
            "layers": [],
        }),
    );
    move |request| {
        let path = request.path.split('?').next().unwrap_or_default();
        // Wherever the base of the API is.
        let at = path.find("/a/b/").unwrap_or_default();
        let path = format!("/v2{}", &path[at..]);
        content.answer(&Request {
            path,
            ..request.clone()
        })
    }
}

/// The repository `a/b` of `upstream`, with the file `text` for it.
fn repository(folder: &Path, upstream: &str, text: &str) -> Repository {
    let own = folder.join(upstream);
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("hosts.toml"), text).unwrap();
    let config = RegistryConfig {
        certs_dirs: vec![folder.to_owned()],
        retries: 0,
        ..RegistryConfig::default()
    };
    let credentials = Credentials {
        username: "me".into(),
        password: "secret".into(),
        ..Credentials::anonymous()
    };
    let name = Reference::parse(&format!("{upstream}/a/b:1")).unwrap();
    Registry::new(config)
        .unwrap()
        .repository(&name, &credentials)
}

fn name(upstream: &str) -> Reference {
    Reference::parse(&format!("{upstream}/a/b:1")).unwrap()
}

#[tokio::test]
async fn hosts_are_asked_in_order_and_the_registry_last() {
    let broken = Server::start(|_| Response::new(500));
    let empty = Server::start(|_| Response::new(404));
    let mirror = Server::start(registry());
    let upstream = Server::start(registry());
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[host.\"http://{}\"]\n[host.\"http://{}\"]\n[host.\"http://{}/cache\"]\n[host.\"http://{}/cache\".header]\nx-who = [\"dhow\"]\n",
        broken.host(),
        empty.host(),
        mirror.host(),
        mirror.host(),
    );
    let repository = repository(folder.path(), &upstream.host(), &text);
    let found = repository.resolve(&name(&upstream.host())).await.unwrap();
    let _ = repository.fetch_manifest(&found).await.unwrap();
    assert!(!broken.requests().is_empty() && !empty.requests().is_empty());
    assert!(upstream.requests().is_empty());
    let asked = mirror.requests();
    let expected = format!("/cache/v2/a/b/manifests/1?ns={}", upstream.host());
    assert_eq!(asked[0].path, expected);
    for request in asked {
        assert_eq!(request.header("x-who"), "dhow");
        assert_eq!(request.header("authorization"), "");
    }
}

#[tokio::test]
async fn what_mirrors_lack_comes_from_the_registry() {
    let mirror = Server::start(|_| Response::new(404));
    let upstream = Server::start(registry());
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[host.\"http://{}\"]\n", mirror.host());
    let repository = repository(folder.path(), &upstream.host(), &text);
    let _ = repository.resolve(&name(&upstream.host())).await.unwrap();
    assert!(!mirror.requests().is_empty());
    assert!(!upstream.requests()[0].path.contains("ns="));
}

#[tokio::test]
async fn a_host_is_asked_for_what_it_can_only() {
    let puller = Server::start(registry());
    let upstream = Server::start(registry());
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[host.\"http://{}/own/base\"]\ncapabilities = [\"pull\"]\noverride_path = true\n",
        puller.host()
    );
    let repository = repository(folder.path(), &upstream.host(), &text);
    let found = repository.resolve(&name(&upstream.host())).await.unwrap();
    assert!(puller.requests().is_empty());
    let _ = repository.fetch_manifest(&found).await.unwrap();
    assert!(
        puller.requests()[0]
            .path
            .starts_with("/own/base/a/b/manifests/sha256:")
    );
}

#[tokio::test]
async fn the_server_may_be_elsewhere_and_sees_the_credentials() {
    let inner = registry();
    let server = Server::start(move |request| match request.header("authorization") {
        "" => Response::new(401).header("www-authenticate", "Basic realm=\"x\""),
        _ => inner(request),
    });
    let folder = tempfile::tempdir().unwrap();
    let text = format!("server = \"http://{}\"\n", server.host());
    let repository = repository(folder.path(), "registry.invalid", &text);
    let _ = repository.resolve(&name("registry.invalid")).await.unwrap();
    assert_eq!(server.count("HEAD", "/v2/a/b/manifests/1"), 2);
}

#[tokio::test]
async fn a_host_that_is_named_for_it_gets_what_is_pushed() {
    let cache = Server::start(|_| Response::new(404));
    let taker = Server::start(|_| Response::new(200));
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[host.\"http://{}\"]\n[host.\"http://{}\"]\ncapabilities = [\"push\"]\n",
        cache.host(),
        taker.host()
    );
    let repository = repository(folder.path(), "registry.invalid", &text);
    assert!(repository.blob_exists(&Digest::of(b"x")).await.unwrap());
    assert!(cache.requests().is_empty());
}

#[tokio::test]
async fn header_fields_go_with_every_step_of_an_upload_but_to_no_other_host() {
    let elsewhere = Server::start(|_| Response::new(201));
    for away in [false, true] {
        let other = elsewhere.host();
        let server = Server::start(move |request| match request.method.as_str() {
            "POST" if away => Response::new(202).header("location", format!("http://{other}/up")),
            "POST" => Response::new(202).header("location", "/up"),
            "PUT" => Response::new(201),
            _ => Response::new(404),
        });
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://{}", server.host());
        let text = format!(
            "[host.\"{url}\"]\ncapabilities = [\"push\"]\n[host.\"{url}\".header]\nx-who = \"dhow\"\n"
        );
        let repository = repository(folder.path(), "registry.invalid", &text);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"blob").unwrap();
        let descriptor = Descriptor::of("x", b"blob");
        repository
            .push_blob(&descriptor, &file, Arc::new(|_| ()))
            .await
            .unwrap();
        assert_eq!(server.requests().len(), if away { 1 } else { 2 });
        for request in server.requests() {
            assert_eq!(request.header("x-who"), "dhow", "{}", request.path);
        }
    }
    assert_eq!(elsewhere.requests()[0].header("x-who"), "");
}

#[tokio::test]
async fn a_malformed_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let repository = repository(folder.path(), "registry.invalid", "server = 3\n");
    let error = repository
        .resolve(&name("registry.invalid"))
        .await
        .unwrap_err();
    let text = dhow_errdefs::chain(&error).to_string();
    assert!(
        text.contains("registry.invalid/hosts.toml") && text.contains("server must be text"),
        "{text}"
    );
}
