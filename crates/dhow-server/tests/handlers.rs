//! The routes with a real engine behind them, in this process: whatever needs no container that runs.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use dhow_builder::executor::{Command, Executor, ExecutorError};
use dhow_builder::usage::Bounds;
use dhow_builder::{Builder, BuilderConfig, Client, Progress};
use dhow_content::ContentStore;
use dhow_distribution::{Registry, RegistryConfig};
use dhow_engine::{About, Collaborators, Defaults, Engine, EngineConfig};
use dhow_image::{Images, ImagesConfig};
use dhow_metadata::Database;
use dhow_network::{Networks, NetworksConfig};
use dhow_server::{Builds, Handles, Sessions};
use dhow_snapshot::Snapshots;
use dhow_volume::Volumes;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::Request;
use http_body_util::BodyExt;
use hyper::upgrade::Upgraded;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Nobody runs commands or speaks BuildKit's protocols here.
struct Nobody;

impl Executor for Nobody {
    fn run<'a>(&'a self, _: Command) -> BoxFuture<'a, Result<i32, ExecutorError>> {
        Box::pin(async { Err(ExecutorError("nobody runs commands".into())) })
    }
}

impl Sessions for Nobody {
    fn grpc(&self, _: Upgraded) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn session(&self, _: Upgraded, _: http::HeaderMap) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn client<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Arc<dyn Client>>> {
        Box::pin(async { None })
    }

    fn trace(&self, _: &Progress) -> Option<Vec<u8>> {
        None
    }
}

fn engine(root: &Path) -> (Engine, Registry, Builds) {
    let db = Database::open_in_memory().unwrap();
    let content = ContentStore::open(&root.join("content")).unwrap();
    let snapshots = Snapshots::open(root, db.clone()).unwrap();
    let registry = Registry::new(RegistryConfig::default()).unwrap();
    let images = Images::open(ImagesConfig {
        content: content.clone(),
        snapshots: snapshots.clone(),
        db: db.clone(),
        registry: registry.clone(),
        bundled: Vec::new(),
    })
    .unwrap();
    let volumes = Volumes::open(&root.join("volumes"), db.clone()).unwrap();
    let networks = Networks::open(NetworksConfig {
        instance: "dhow-handlers".to_owned(),
        bridge_name: "dhow-handlers".to_owned(),
        ..NetworksConfig::new(db.clone())
    })
    .unwrap();
    let config = EngineConfig {
        data_root: root.to_owned(),
        exec_root: root.join("run"),
        program: "/proc/self/exe".into(),
        cgroup_parent: "/dhow-handlers".to_owned(),
        runtimes: std::collections::BTreeMap::new(),
        default_runtime: "dhow".to_owned(),
        defaults: Defaults::default(),
        about: About {
            api_version: dhow_api::API_VERSION.to_owned(),
            min_api_version: dhow_api::MIN_API_VERSION.to_owned(),
            ..About::default()
        },
    };
    std::fs::create_dir_all(root.join("run")).unwrap();
    let engine = config
        .build(Collaborators {
            db: db.clone(),
            images: images.clone(),
            snapshots: snapshots.clone(),
            networks,
            volumes,
        })
        .unwrap();
    let builder = Builder::open(BuilderConfig {
        images,
        content,
        snapshots,
        db,
        registry: registry.clone(),
        executor: Arc::new(Nobody),
        http: Arc::new(LazyLock::new(Box::new(|| Ok(reqwest::Client::new())))),
        folder: root.join("builder"),
        memory: root.join("run/builder"),
        bounds: Bounds::default(),
    })
    .unwrap();
    let builds = Builds {
        builder,
        sessions: Arc::new(Nobody),
        contexts: root.join("builder/contexts"),
        running: Default::default(),
        images: engine.images(),
        steps: engine.steps(),
        experimental: false,
        buildkit: true,
    };
    (engine, registry, builds)
}

/// What an answer says: status, content type, body.
struct Said {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }
}

async fn ask(router: &Router, method: &str, path: &str, body: Option<&str>) -> Said {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .header("content-length", body.len());
    }
    let body = Body::from(body.unwrap_or_default().to_owned());
    let response = router
        .clone()
        .oneshot(request.body(body).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    Said {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

/// Runs `test` with a router in a network namespace of its own, which the engine's bridge goes with.
fn with_router<F: Future<Output = ()>>(test: impl FnOnce(Router) -> F + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: the routes' tests need root for a network namespace");
        return;
    }
    let thread = std::thread::spawn(|| {
        dhow_sys::namespace::unshare(dhow_sys::namespace::kind::NET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let (engine, registry, builds) = engine(folder.path());
            engine.restore().await.unwrap();
            let stop = CancellationToken::new();
            test(dhow_server::router(Handles::new(
                &engine, registry, builds, stop,
            )))
            .await;
        });
    });
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn paths_and_versions_are_found_or_refused() {
    with_router(|router| async move {
        for (method, path, status) in [
            ("GET", "/_ping", 200),
            ("HEAD", "/_ping", 200),
            ("GET", "/v1.24/version", 200),
            ("GET", "/v1.51/version", 200),
            ("GET", "/v1.56/version", 200),
            ("GET", "/v1.51//containers//json", 200),
            ("GET", "/nope", 404),
            ("POST", "/v1.51/version", 404),
            ("GET", "/v1.57/version", 400),
            ("GET", "/v1.23/version", 400),
            ("GET", "/containers/x/attach", 404),
            ("GET", "/images/a/b/nope", 404),
        ] {
            let said = ask(&router, method, path, None).await;
            assert_eq!(said.status, status, "{method} {path}");
            assert_eq!(said.headers["api-version"], "1.56");
            assert!(said.headers.contains_key("server"));
        }
        let said = ask(&router, "GET", "/nope", None).await;
        assert_eq!(said.message(), "page not found");
        let said = ask(&router, "GET", "/v1.22/version", None).await;
        assert_eq!(said.headers["content-type"], "text/plain; charset=utf-8");
    });
}

#[test]
fn a_body_is_read_before_an_error_is_told() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    with_router(|router| async move {
        for (method, path, status) in [
            ("PUT", "/containers/nope/archive?path=/", 404),
            ("PUT", "/containers/nope/archive", 400),
            ("POST", "/v1.23/images/load", 400),
            ("POST", "/nope", 404),
        ] {
            let read = Arc::new(AtomicUsize::new(0));
            let counter = read.clone();
            let pieces = futures::stream::iter(0..3).map(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok::<_, std::io::Error>("x".repeat(1024))
            });
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::from_stream(pieces)).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{method} {path}");
            assert_eq!(read.load(Ordering::Relaxed), 3, "{method} {path}");
        }
    });
}

#[test]
fn what_is_missing_says_so() {
    with_router(|router| async move {
        for (method, path) in [("POST", "/swarm/init"), ("POST", "/plugins/pull")] {
            let said = ask(&router, method, path, None).await;
            assert_eq!(said.status, 501, "{method} {path}");
            assert!(said.message().ends_with("not implemented"), "{path}");
        }
        for path in ["/swarm", "/nodes", "/services/x", "/tasks"] {
            let said = ask(&router, "GET", path, None).await;
            assert_eq!(said.status, 503, "{path}");
        }
    });
}

#[test]
fn connections_are_given_to_who_asks_for_them() {
    with_router(|router| async move {
        for (path, status) in [("/session", 400), ("/grpc", 500)] {
            let said = ask(&router, "POST", path, None).await;
            assert_eq!(said.status, status, "{path}");
            assert_eq!(said.message(), "no upgrade proto in request", "{path}");
        }
        let said = ask(&router, "POST", "/build", None).await;
        let text = "Cannot locate specified Dockerfile: Dockerfile";
        assert_eq!((said.status, said.message()), (500, text.to_owned()));
        for (query, text) in [
            (
                "keep-storage=x",
                "keep-storage is in bytes and expects an integer",
            ),
            (
                "filters={\"x\":[\"y\"]}",
                "failed to prune build cache: invalid filter 'x'",
            ),
        ] {
            let path = format!(
                "/build/prune?{}",
                query
                    .replace('{', "%7B")
                    .replace('}', "%7D")
                    .replace('"', "%22")
            );
            let said = ask(&router, "POST", &path, None).await;
            assert_eq!(said.status, 400, "{query}");
            assert!(said.message().starts_with(text), "{}", said.message());
        }
    });
}

#[test]
fn what_is_not_there_is_named_in_dockers_words() {
    with_router(|router| async move {
        for (method, path, message) in [
            ("GET", "/containers/x/json", "No such container: x"),
            ("POST", "/containers/x/start", "No such container: x"),
            ("POST", "/containers/x/wait", "No such container: x"),
            (
                "POST",
                "/containers/x/attach?stream=1",
                "No such container: x",
            ),
            ("GET", "/containers/x/logs?stdout=1", "No such container: x"),
            ("DELETE", "/containers/x", "No such container: x"),
            ("GET", "/exec/x/json", "No such exec instance: x"),
            ("POST", "/exec/x/start", "No such exec instance: x"),
            ("GET", "/images/x/json", "No such image: x:latest"),
            ("GET", "/volumes/x", "get x: no such volume"),
            ("GET", "/networks/x", "network x not found"),
        ] {
            let said = ask(&router, method, path, None).await;
            assert_eq!(
                (said.status, said.message().as_str()),
                (404, message),
                "{path}"
            );
        }
    });
}

#[test]
fn wrong_requests_are_refused_in_dockers_words() {
    with_router(|router| async move {
        let filter = "filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D";
        for noun in ["containers/json", "images/json", "volumes", "networks"] {
            let said = ask(&router, "GET", &format!("/{noun}?{filter}"), None).await;
            assert_eq!(said.message(), "invalid filter 'nosuch'", "{noun}");
            let said = ask(&router, "GET", &format!("/{noun}?filters=%7Bbad"), None).await;
            assert!(said.message().ends_with("invalid filter"), "{noun}");
        }
        for (method, path, body, message) in [
            (
                "POST",
                "/containers/create",
                None,
                "invalid JSON: got EOF while reading request body",
            ),
            (
                "POST",
                "/containers/create",
                Some(r#"{"HostConfig": {}}"#),
                "config cannot be empty in order to create a container",
            ),
            (
                "POST",
                "/containers/create?platform=nonsense/x/y/z/a",
                Some(r#"{"Image": "a"}"#),
                "",
            ),
            (
                "POST",
                "/containers/x/resize?h=a&w=1",
                None,
                "invalid resize height \"a\": invalid syntax",
            ),
            (
                "GET",
                "/containers/x/logs",
                None,
                "must specify at least one of 'stdout' or 'stderr'",
            ),
            (
                "POST",
                "/containers/x/wait?condition=never",
                None,
                "invalid condition: \"never\"",
            ),
            (
                "POST",
                "/containers/x/exec",
                Some("{}"),
                "No exec command specified",
            ),
            ("POST", "/volumes/create", Some("{bad"), ""),
        ] {
            let said = ask(&router, method, path, body).await;
            assert_eq!(said.status, 400, "{path}");
            if !message.is_empty() {
                assert_eq!(said.message(), message, "{path}");
            }
        }
    });
}

#[test]
fn volumes_live_and_die() {
    with_router(|router| async move {
        let body = r#"{"Name": "vol", "Labels": {"a": "b"}}"#;
        let said = ask(&router, "POST", "/volumes/create", Some(body)).await;
        assert_eq!((said.status, &said.json()["Name"]), (201, &json!("vol")));
        let listed = ask(&router, "GET", "/volumes", None).await.json();
        assert_eq!(listed["Volumes"][0]["Labels"], json!({"a": "b"}));
        assert_eq!(listed["Warnings"], Value::Null);
        // A named volume goes with a prune only where old clients mean it to.
        let pruned = ask(&router, "POST", "/v1.42/volumes/prune", None)
            .await
            .json();
        assert_eq!(pruned["VolumesDeleted"], Value::Null);
        let pruned = ask(&router, "POST", "/v1.41/volumes/prune", None)
            .await
            .json();
        assert_eq!(pruned["VolumesDeleted"], json!(["vol"]));
    });
}

#[test]
fn events_end_where_they_are_told_to() {
    with_router(|router| async move {
        ask(
            &router,
            "POST",
            "/volumes/create",
            Some(r#"{"Name": "vol"}"#),
        )
        .await;
        let said = ask(&router, "GET", "/events?since=1&until=1s", None).await;
        assert_eq!(said.body, b"");
        let until = jiff::Timestamp::now().as_second() + 1;
        let path = format!("/events?since=1&until={until}");
        let said = ask(&router, "GET", &path, None).await;
        let first: Value =
            serde_json::from_slice(said.body.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        assert_eq!(
            (&first["Type"], &first["Action"]),
            (&json!("volume"), &json!("create"))
        );
    });
}
