//! The client against registries that behave, demand, redirect, lie and break down.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dhow_distribution::{Credentials, Error, Registry, RegistryConfig, Repository};
use dhow_errdefs::chain;
use dhow_oci::{Descriptor, Digest, Reference};
use serde_json::json;

use fake::{Request, Response, Server};

fn config() -> RegistryConfig {
    RegistryConfig {
        retries: 2,
        read_timeout: Duration::from_millis(500),
        certs_dirs: vec![],
        ..RegistryConfig::default()
    }
}

fn reference(server: &Server) -> Reference {
    Reference::parse(&format!("{}/a/b:1", server.host())).unwrap()
}

fn repository(server: &Server, credentials: &Credentials) -> Repository {
    Registry::new(config())
        .unwrap()
        .repository(&reference(server), credentials)
}

fn anonymous(server: &Server) -> Repository {
    repository(server, &Credentials::anonymous())
}

fn content() -> (fake::Repository, Vec<u8>) {
    let mut content = fake::Repository::default();
    let blob: Vec<u8> = (0..200_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    content.blob(blob.clone());
    content.manifest(
        "1",
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "x", "digest": Digest::of(b""), "size": 0 },
            "layers": [],
        }),
    );
    (content, blob)
}

async fn read_all(repository: &Repository, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let mut stream = repository.fetch_blob(descriptor, 0).await?;
    let mut all = Vec::new();
    while let Some(bytes) = stream.chunk().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[tokio::test]
async fn resolves_and_fetches_from_a_plain_registry() {
    let (content, blob) = content();
    let server = Server::start(move |request| content.answer(request));
    let resolved = Registry::new(config())
        .unwrap()
        .resolve(&reference(&server), &Credentials::anonymous())
        .await
        .unwrap();
    assert_eq!(Digest::of(&resolved.bytes), resolved.descriptor.digest);
    let descriptor = Descriptor::of("x", &blob);
    assert_eq!(
        read_all(&anonymous(&server), &descriptor).await.unwrap(),
        blob
    );
}

#[tokio::test]
async fn errors_read_as_dockers() {
    let server = Server::start(|_| fake::missing("MANIFEST_UNKNOWN", "manifest unknown"));
    let name = reference(&server);
    let error = anonymous(&server).resolve(&name).await.unwrap_err();
    assert_eq!(
        chain(&error).to_string(),
        format!("failed to resolve reference \"{name}\": {name}: not found")
    );
    let host = server.host();
    drop(server);
    let gone = Registry::new(config())
        .unwrap()
        .repository(&name, &Credentials::anonymous());
    assert_eq!(
        chain(&gone.resolve(&name).await.unwrap_err()).to_string(),
        format!(
            "failed to resolve reference \"{name}\": failed to do request: Head \
             \"https://{host}/v2/a/b/manifests/1\": dial tcp {host}: connect: connection refused"
        )
    );
    let server = Server::start(|_| Response::new(500));
    let error = anonymous(&server)
        .resolve(&reference(&server))
        .await
        .unwrap_err();
    let text = chain(&error).to_string();
    assert!(
        text.contains("unexpected status from HEAD request to http://"),
        "{text}"
    );
    assert!(text.ends_with("500 Internal Server Error"), "{text}");
}

/// A registry behind a token server; records what the token server was asked for.
fn guarded(token: impl Fn(&Request) -> Response + Send + Sync + 'static) -> (Server, Server) {
    let tokens = Server::start(token);
    let realm = format!("http://{}/token", tokens.host());
    let (content, _) = content();
    let server = Server::start(move |request| match request.header("authorization") {
        "Bearer good" => content.answer(request),
        other => {
            let error = if other.is_empty() {
                ""
            } else {
                ",error=\"insufficient_scope\""
            };
            Response::new(401).header(
                "www-authenticate",
                format!(
                    "Bearer realm=\"{realm}\",service=\"fake\",scope=\"repository:a/b:pull\"{error}"
                ),
            )
        }
    });
    (server, tokens)
}

#[tokio::test]
async fn tokens_for_nobody_and_for_a_user() {
    let (server, tokens) = guarded(|_| Response::ok(r#"{"token":"good","expires_in":300}"#));
    let repository = anonymous(&server);
    repository.resolve(&reference(&server)).await.unwrap();
    repository.resolve(&reference(&server)).await.unwrap();
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1, "the token is kept");
    assert!(asked[0].path.contains("service=fake"));
    assert!(
        asked[0].path.contains("scope=repository%3Aa%2Fb%3Apull"),
        "{}",
        asked[0].path
    );
    assert_eq!(asked[0].header("authorization"), "");

    let (server, tokens) = guarded(|request| match request.header("authorization") {
        "Basic bWU6cHc=" => Response::ok(r#"{"access_token":"good"}"#),
        _ => Response::new(401),
    });
    let user = Credentials::basic("me", "pw");
    super_resolve(&server, &user).await.unwrap();
    assert!(tokens.requests()[0].path.contains("account=me"));
    let error = super_resolve(&server, &Credentials::basic("me", "wrong"))
        .await
        .unwrap_err();
    let text = chain(&error).to_string();
    assert!(
        text.contains("failed to authorize: failed to fetch oauth token"),
        "{text}"
    );
    assert!(text.ends_with("401 Unauthorized"), "{text}");
}

async fn super_resolve(server: &Server, credentials: &Credentials) -> Result<Descriptor, Error> {
    repository(server, credentials)
        .resolve(&reference(server))
        .await
}

#[tokio::test]
async fn a_refresh_token_is_posted() {
    let (server, tokens) = guarded(|request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let right = request.method == "POST" && form.contains("refresh_token=kept");
        if right {
            Response::ok(r#"{"access_token":"good"}"#)
        } else {
            Response::new(400)
        }
    });
    let user = Credentials {
        identity_token: "kept".into(),
        ..Credentials::anonymous()
    };
    super_resolve(&server, &user).await.unwrap();
    assert_eq!(tokens.count("POST", "/token"), 1);
}

#[tokio::test]
async fn a_token_that_does_not_help_is_denied() {
    let (server, _tokens) = guarded(|_| Response::ok(r#"{"token":"bad"}"#));
    let error = super_resolve(&server, &Credentials::anonymous())
        .await
        .unwrap_err();
    assert!(chain(&error).to_string().ends_with(
        "pull access denied, repository does not exist or may require authorization: \
         server message: insufficient_scope: authorization failed"
    ));
}

fn with_password() -> Server {
    let (content, _) = content();
    Server::start(move |request| match request.header("authorization") {
        "Basic bWU6cHc=" => content.answer(request),
        _ => Response::new(401).header("www-authenticate", "Basic realm=\"fake\""),
    })
}

#[tokio::test]
async fn basic_authentication() {
    let server = with_password();
    super_resolve(&server, &Credentials::basic("me", "pw"))
        .await
        .unwrap();
    let error = super_resolve(&server, &Credentials::anonymous())
        .await
        .unwrap_err();
    assert!(chain(&error).to_string().ends_with(
        "pull access denied, repository does not exist or may require authorization: \
         authorization failed: no basic auth credentials"
    ));
    let error = super_resolve(&server, &Credentials::basic("me", "no"))
        .await
        .unwrap_err();
    assert!(chain(&error).to_string().ends_with("401 Unauthorized"));
}

#[tokio::test]
async fn login() {
    let server = with_password();
    let registry = Registry::new(config()).unwrap();
    let good = registry
        .login(&server.host(), &Credentials::basic("me", "pw"))
        .await
        .unwrap();
    assert_eq!(good.status, "Login Succeeded");
    let bad = registry
        .login(&server.host(), &Credentials::basic("me", "no"))
        .await
        .unwrap_err();
    assert_eq!(
        bad.to_string(),
        format!(
            "login attempt to http://{}/v2/ failed with status: 401 Unauthorized",
            server.host()
        )
    );
}

#[tokio::test]
async fn credentials_stay_with_their_host() {
    let (content, blob) = content();
    let elsewhere = Server::start({
        let blob = blob.clone();
        move |_| Response::ok(blob.clone())
    });
    let target = format!("http://{}/stored", elsewhere.host());
    let server = Server::start(move |request| match request.header("authorization") {
        "Basic bWU6cHc=" if request.path.contains("/blobs/") => {
            Response::new(307).header("location", &target)
        }
        "Basic bWU6cHc=" => content.answer(request),
        _ => Response::new(401).header("www-authenticate", "Basic realm=\"fake\""),
    });
    let repository = repository(&server, &Credentials::basic("me", "pw"));
    assert_eq!(
        read_all(&repository, &Descriptor::of("x", &blob))
            .await
            .unwrap(),
        blob
    );
    let seen = elsewhere.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].header("authorization"),
        "",
        "the storage host got our password"
    );
}

#[tokio::test]
async fn endless_redirects_end() {
    let server = Server::start(|request| Response::new(302).header("location", &request.path));
    let error = super_resolve(&server, &Credentials::anonymous())
        .await
        .unwrap_err();
    assert!(
        chain(&error)
            .to_string()
            .contains("stopped after 10 redirects")
    );
}

#[tokio::test]
async fn broken_transfers_go_on_where_they_broke() {
    let (content, blob) = content();
    let server = Server::start(move |request| {
        let mut response = content.answer(request);
        // Every connection breaks after 300 kB of 800.
        response.cut = Some(300_000);
        response
    });
    let descriptor = Descriptor::of("x", &blob);
    assert_eq!(
        read_all(&anonymous(&server), &descriptor).await.unwrap(),
        blob
    );
    let ranges: Vec<String> = server
        .requests()
        .iter()
        .map(|r| r.header("range").to_owned())
        .collect();
    assert_eq!(ranges.len(), 3);
    assert!(
        ranges[1].starts_with("bytes=") && ranges[0].is_empty(),
        "{ranges:?}"
    );
}

#[tokio::test]
async fn a_server_without_ranges_is_read_again_from_the_start() {
    let (_, blob) = content();
    let (served, count) = (blob.clone(), AtomicUsize::new(0));
    let server = Server::start(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        Response {
            cut: first.then_some(100_000),
            ..Response::ok(served.clone())
        }
    });
    let descriptor = Descriptor::of("x", &blob);
    assert_eq!(
        read_all(&anonymous(&server), &descriptor).await.unwrap(),
        blob
    );
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let (_, blob) = content();
    let served = blob.clone();
    let server = Server::start(move |_| Response {
        pause: Duration::from_secs(2),
        ..Response::ok(served.clone())
    });
    let error = read_all(&anonymous(&server), &Descriptor::of("x", &blob))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Transfer { .. }), "{error:?}");
}

#[tokio::test]
async fn more_than_there_should_be_is_refused() {
    let (_, blob) = content();
    let mut descriptor = Descriptor::of("x", &blob);
    descriptor.size -= 1;
    let server = Server::start(move |_| Response::ok(blob.clone()));
    let error = read_all(&anonymous(&server), &descriptor)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Size { .. }), "{error:?}");
}

#[tokio::test]
async fn documents_are_checked_and_bounded() {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let server = Server::start(|_| Response::ok("{}"));
    let repository = anonymous(&server);
    let wrong = Descriptor::new(kind, Digest::of(b"other"), 2);
    let error = repository.fetch_manifest(&wrong).await.unwrap_err();
    assert!(
        error.to_string().starts_with("unexpected commit digest"),
        "{error}"
    );
    let huge = Descriptor::new(kind, Digest::of(b"other"), 5 << 20);
    assert!(matches!(
        repository.fetch_manifest(&huge).await,
        Err(Error::TooLarge { .. })
    ));
    let lying = Server::start(|_| Response::ok(vec![b' '; 5 << 20]));
    let small = Descriptor::new(kind, Digest::of(b"other"), 10);
    let error = anonymous(&lying).fetch_manifest(&small).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn mirrors_are_asked_first_and_without_credentials() {
    let (content, _) = content();
    let mirror = Server::start(move |request| content.answer(request));
    let config = RegistryConfig {
        mirrors: vec![format!("http://{}", mirror.host())],
        ..config()
    };
    let name = Reference::parse("docker.io/a/b:1").unwrap();
    let registry = Registry::new(config).unwrap();
    let credentials = Credentials {
        registry_token: "secret".into(),
        ..Credentials::anonymous()
    };
    registry.resolve(&name, &credentials).await.unwrap();
    assert!(
        mirror
            .requests()
            .iter()
            .all(|r| r.header("authorization").is_empty())
    );
}

#[tokio::test]
async fn too_many_requests_is_waited_for() {
    let (content, _) = content();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Response::new(429).header("retry-after", 0),
        _ => content.answer(request),
    });
    super_resolve(&server, &Credentials::anonymous())
        .await
        .unwrap();
}

/// A registry that takes uploads: whole ones unless `chunked`.
fn taking(chunked: bool, taken: Arc<Mutex<Vec<u8>>>) -> Server {
    Server::start(move |request| match request.method.as_str() {
        "POST" if request.path.contains("mount=") => {
            Response::new(201).header("location", "/v2/a/b/blobs/x")
        }
        "POST" => {
            taken.lock().unwrap().clear();
            Response::new(202).header("location", "/upload?state=1")
        }
        "PATCH" => {
            taken.lock().unwrap().extend_from_slice(&request.body);
            Response::new(202).header("location", "/upload?state=2")
        }
        "PUT" if chunked && !request.body.is_empty() => Response::new(413),
        "PUT" => {
            taken.lock().unwrap().extend_from_slice(&request.body);
            Response::new(201)
        }
        _ => Response::new(404),
    })
}

#[tokio::test]
async fn blobs_are_sent_whole_or_in_pieces() {
    let (_, blob) = content();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&blob).unwrap();
    for chunked in [false, true] {
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let server = taking(chunked, Arc::clone(&taken));
        let repository = anonymous(&server);
        let descriptor = Descriptor::of("x", &blob);
        assert!(!repository.blob_exists(&descriptor.digest).await.unwrap());
        repository
            .push_blob(&descriptor, &file, Arc::new(|_| ()))
            .await
            .unwrap();
        assert!(*taken.lock().unwrap() == blob, "chunked: {chunked}");
        assert!(
            repository
                .mount_blob(&descriptor.digest, "c/d")
                .await
                .unwrap()
        );
    }
}
