//! When a build's steps are taken from the cache, that the same step is done once, and how the cache is shown and pruned.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use dhow_testkit::Engine;
use dhow_testkit::http::Body;
use serde_json::{Value, json};

fn engine(what: &str) -> Option<Engine> {
    if !dhow_testkit::root_or_skip(what) {
        return None;
    }
    let engine = Engine::start();
    engine.import_busybox();
    Some(engine)
}

/// An archive of these files: name, content, mode, time.
fn tar(files: &[(&str, &str, u32, u64)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text, mode, time) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(*time);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap()
}

/// Builds and gives everything that was printed.
fn build(engine: &Engine, query: &str, context: &[u8]) -> String {
    let path = format!("/v1.47/build?rm=1&{query}");
    let body = Body::Bytes("application/x-tar", context);
    let answer = engine.client().request("POST", &path, body).unwrap();
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    let messages = text.lines().filter(|line| !line.trim().is_empty());
    messages
        .filter_map(|line| {
            let message: Value = serde_json::from_str(line).unwrap();
            let text = message["stream"].as_str().or(message["error"].as_str());
            text.map(str::to_owned)
        })
        .collect()
}

/// The configuration's digest of an image.
fn image(engine: &Engine, name: &str) -> Value {
    let path = format!("/v1.47/images/{name}/json");
    engine.client().get(&path).unwrap().json()["RootFS"]["Layers"].clone()
}

const COPIES: &str = "FROM busybox\nCOPY a dir/ /x/\nRUN cat /proc/sys/kernel/random/uuid > /id\n";

#[test]
fn content_and_permissions_count_and_times_do_not() {
    let Some(engine) = engine("a build") else {
        return;
    };
    let files = |content: &str, mode: u32, time: u64| {
        tar(&[
            ("Dockerfile", COPIES, 0o644, time),
            ("a", content, mode, time),
            ("dir/b", "b", 0o644, time),
            ("other", &time.to_string(), 0o644, time),
        ])
    };
    let layers = |name: &str, context: &[u8]| {
        let _ = build(&engine, &format!("t={name}"), context);
        image(&engine, name)
    };
    let first = layers("first", &files("1", 0o644, 1_000_000_000));
    // Touched, and a file beside that nobody copies is another: the same.
    assert_eq!(layers("touched", &files("1", 0o644, 1_100_000_000)), first);
    let changed = layers("changed", &files("2", 0o644, 1_000_000_000));
    assert_ne!(changed, first);
    let mode = layers("mode", &files("1", 0o755, 1_000_000_000));
    assert_ne!(mode, first);
    assert_eq!(layers("again", &files("1", 0o644, 1_200_000_000)), first);
    let _ = build(
        &engine,
        "t=anew&nocache=1",
        &files("1", 0o644, 1_000_000_000),
    );
    assert_ne!(image(&engine, "anew"), first);
}

#[test]
fn the_same_step_of_two_builds_is_done_once() {
    let Some(engine) = engine("two builds") else {
        return;
    };
    let dockerfile = "FROM busybox\nRUN sleep 1; cat /proc/sys/kernel/random/uuid > /id\n";
    let context = tar(&[("Dockerfile", dockerfile, 0o644, 0)]);
    std::thread::scope(|scope| {
        for name in ["left", "right"] {
            let (engine, context) = (&engine, &context);
            scope.spawn(move || build(engine, &format!("t={name}"), context));
        }
    });
    assert_eq!(image(&engine, "left"), image(&engine, "right"));
}

#[test]
fn who_hangs_up_ends_the_command_at_once() {
    let Some(engine) = engine("a build that is given up") else {
        return;
    };
    let dockerfile = "FROM busybox\nRUN echo begun; sleep 1000\n";
    let context = tar(&[("Dockerfile", dockerfile, 0o644, 0)]);
    let mut stream = UnixStream::connect(engine.socket()).unwrap();
    let head = format!(
        "POST /v1.47/build?t=x HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
        context.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&context).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("begun\\n") {
        let mut piece = [0; 4096];
        let length = std::io::Read::read(&mut stream, &mut piece).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..length]);
    }
    let begun = Instant::now();
    drop(stream);
    let running = || {
        let groups = engine.cgroups();
        let inner = groups
            .iter()
            .filter_map(|group| std::fs::read_dir(group).ok());
        inner.flatten().flatten().any(|entry| entry.path().is_dir())
    };
    while running() {
        assert!(begun.elapsed() < Duration::from_secs(5), "{}", engine.log());
        std::thread::yield_now();
    }
}

#[test]
fn the_cache_is_shown_and_pruned() {
    let Some(engine) = engine("a build") else {
        return;
    };
    let dockerfile =
        "FROM busybox\nRUN --mount=type=cache,target=/c echo x > /c/y\nRUN echo 1 > /one\n";
    let context = tar(&[("Dockerfile", dockerfile, 0o644, 0)]);
    let _ = build(&engine, "t=kept", &context);
    let mut client = engine.client();
    let usage = client
        .get("/v1.47/system/df?type=build-cache")
        .unwrap()
        .json();
    let records = usage["BuildCache"].as_array().unwrap().clone();
    assert_eq!(records.len(), 3, "{usage}");
    let kinds: Vec<&str> = records
        .iter()
        .filter_map(|record| record["Type"].as_str())
        .collect();
    assert!(
        kinds.contains(&"exec.cachemount") && kinds.contains(&"regular"),
        "{kinds:?}"
    );
    for record in &records {
        assert_eq!(record["InUse"], json!(false));
        assert_eq!(record["ID"].as_str().unwrap().len(), 25);
    }
    // What the image has is shared: without `all` it stays.
    let pruned = client.post("/v1.47/build/prune", None).unwrap().json();
    let removed = pruned["CachesDeleted"].as_array().map_or(0, Vec::len);
    assert_eq!(removed, 1, "{pruned}");
    let pruned = client
        .post("/v1.47/build/prune?all=1", None)
        .unwrap()
        .json();
    assert_eq!(
        pruned["CachesDeleted"].as_array().unwrap().len(),
        2,
        "{pruned}"
    );
    let usage = client
        .get("/v1.47/system/df?type=build-cache")
        .unwrap()
        .json();
    assert_eq!(
        usage["BuildCache"].as_array().map_or(0, Vec::len),
        0,
        "{usage}"
    );
    // The image is whole.
    let created = json!({"Image": "kept", "Cmd": ["cat", "/one"]});
    let answer = client
        .post("/v1.47/containers/create", Some(&created))
        .unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
}
