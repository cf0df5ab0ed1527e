//! Dockerfiles of all kinds, built here: the same files, configuration, history and cache hits as with a real BuildKit.
//!
//! The cases and what was recorded of them are in `dockerfiles/`; see `dhow_testkit::dockerfiles`.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "dockerfiles/buildkit.rs"]
mod buildkit;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use dhow_testkit::dockerfiles::{Case, cases};
use dhow_testkit::http::Body;
use dhow_testkit::{Engine, images, root_or_skip};
use serde_json::{Value, json};

/// Where the cases are.
const FOLDER: &str = "tests/dockerfiles";

/// Makes busybox of a bare archive, as was done where the cases were recorded.
fn import(engine: &Engine) {
    let path = "/v1.44/images/create?fromSrc=-&repo=busybox&tag=latest";
    let rootfs = std::fs::read(images::busybox_tar()).unwrap();
    let body = Body::Bytes("application/x-tar", &rootfs);
    let imported = engine.client().request("POST", path, body).unwrap();
    assert_eq!(imported.status, 200, "{}", imported.text());
}

/// An archive of these files.
fn tar<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let bytes = text.as_bytes();
        archive.append_data(&mut header, name, bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Percent-encoded for a query.
fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}

/// What a build said.
struct Said {
    error: Option<String>,
    /// How many steps that make layers were in the cache.
    cached: usize,
}

fn build(engine: &Engine, query: &str, archive: &[u8]) -> Said {
    let path = format!("/v1.47/build?{query}");
    let body = Body::Bytes("application/x-tar", archive);
    let answer = engine.client().request("POST", &path, body).unwrap();
    let text = answer.text();
    let mut printed = String::new();
    let mut error = (answer.status != 200).then(|| text.clone());
    for line in text.lines().filter(|_| answer.status == 200) {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        printed.push_str(message["stream"].as_str().unwrap_or_default());
        error = error.or_else(|| message["error"].as_str().map(str::to_owned));
    }
    let mut cached = 0;
    let mut layer = false;
    for line in printed.lines() {
        if let Some((_, step)) = line.strip_prefix("Step ").and_then(|l| l.split_once(" : ")) {
            let keyword = step.split(' ').next().unwrap_or_default();
            layer = ["RUN", "COPY", "ADD", "WORKDIR"].contains(&keyword.to_uppercase().as_str());
        } else if line == " ---> Using cache" && layer {
            cached += 1;
        }
    }
    Said { error, cached }
}

/// The query of a case's build.
fn query(case: &Case, tag: &str) -> String {
    let mut query = format!("t={tag}&dockerfile={}", encoded(case.file()));
    for (key, name) in [("args", "buildargs"), ("labels", "labels")] {
        let pairs = json!(case.pairs(key)).to_string();
        query.push_str(&format!("&{name}={}", encoded(&pairs)));
    }
    if let Some(target) = case.keys.get("target") {
        query.push_str(&format!("&target={}", encoded(target)));
    }
    query
}

/// The files of an image, each as what was recorded of it.
fn files(engine: &Engine, image: &str) -> BTreeMap<String, Value> {
    let mut client = engine.client();
    let body = json!({"Image": image, "Cmd": ["x"]});
    let created = client
        .post("/v1.47/containers/create", Some(&body))
        .unwrap();
    let id = created.json()["Id"].as_str().unwrap_or_default().to_owned();
    assert!(!id.is_empty(), "{}", created.text());
    let export = client
        .get(&format!("/v1.47/containers/{id}/export"))
        .unwrap();
    client.delete(&format!("/v1.47/containers/{id}")).unwrap();
    let mut archive = tar::Archive::new(export.body.as_slice());
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let path = format!("/{}", path.trim_start_matches("./").trim_matches('/'));
        let header = entry.header().clone();
        let (mode, uid, gid) = (
            format!("{:o}", header.mode().unwrap()),
            header.uid().unwrap(),
            header.gid().unwrap(),
        );
        let link = entry
            .link_name()
            .unwrap()
            .map(|link| link.to_string_lossy().into_owned());
        let link = link.unwrap_or_default();
        let device = (
            header.device_major().unwrap(),
            header.device_minor().unwrap(),
        );
        let described = match header.entry_type() {
            tar::EntryType::Directory => {
                json!({"mode": mode, "uid": uid, "gid": gid, "kind": "directory"})
            }
            tar::EntryType::Symlink => {
                json!({"uid": uid, "gid": gid, "kind": "symlink", "link": link})
            }
            tar::EntryType::Link => {
                json!({"kind": "hardlink", "link": format!("/{}", link.trim_start_matches("./"))})
            }
            tar::EntryType::Char => json!({
                "mode": mode, "uid": uid, "gid": gid,
                "kind": format!("char {} {}", device.0.unwrap(), device.1.unwrap()),
            }),
            tar::EntryType::Fifo => json!({"mode": mode, "uid": uid, "gid": gid, "kind": "fifo"}),
            _ => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                let digest = images::digest(&bytes);
                json!({
                    "mode": mode, "uid": uid, "gid": gid, "kind": "file", "size": bytes.len(),
                    "sha256": digest.trim_start_matches("sha256:")[..16],
                })
            }
        };
        files.insert(path, described);
    }
    files.retain(|path, _| !of_the_engine(path));
    files
}

/// Whether a path is an engine's rather than an image's.
fn of_the_engine(path: &str) -> bool {
    let own = [
        "/",
        "/.dockerenv",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/etc/mtab",
    ];
    let below = ["dev", "proc", "sys"];
    own.contains(&path) || below.contains(&path.split('/').nth(1).unwrap_or_default())
}

fn differences(engine: &Engine, case: &Case, base: &BTreeMap<String, Value>) -> Vec<String> {
    let mut wrong = Vec::new();
    let tag = format!("corpus-{}", case.name);
    if let Some(name) = case.keys.get("base") {
        let file = [("Dockerfile", case.files["base/Dockerfile"].as_str())];
        let said = build(engine, &format!("t={name}"), &tar(file.into_iter()));
        assert_eq!(said.error, None, "{}", case.name);
    }
    let query = query(case, &tag);
    let said = build(engine, &query, &tar(case.context()));
    if case.keys.contains_key("fails") {
        if said.error.is_none() {
            wrong.push("it must fail".to_owned());
        }
        return wrong;
    }
    if let Some(error) = said.error {
        return vec![format!("it fails: {error}")];
    }
    let Some(recorded) = &case.recorded else {
        return wrong;
    };
    wrong.extend(described(engine, &tag, recorded));
    let mut found = files(engine, &tag);
    found.retain(|path, file| base.get(path) != Some(file));
    let expected: BTreeMap<String, Value> =
        serde_json::from_value(recorded["tree"].clone()).unwrap();
    let paths: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for path in paths {
        if expected.get(path) != found.get(path) {
            let (expected, found) = (expected.get(path), found.get(path));
            wrong.push(format!("{path}: expected {expected:?}, found {found:?}"));
        }
    }
    let again = build(engine, &query, &tar(case.context()));
    wrong.extend(hits(case, "again", again.cached, &recorded["again"]));
    if let Some(touched) = case.keys.get("touch") {
        let changed: Vec<(&str, String)> = case
            .context()
            .map(|(path, text)| match path == touched {
                true => (path, format!("{text}touched\n")),
                false => (path, text.to_owned()),
            })
            .collect();
        let changed = changed.iter().map(|(path, text)| (*path, text.as_str()));
        let said = build(engine, &query, &tar(changed));
        wrong.extend(hits(case, "touched", said.cached, &recorded["touched"]));
    }
    wrong
}

/// Whether as many steps were in the cache; a case says how many where the classic builder's text tells others.
fn hits(case: &Case, which: &str, found: usize, recorded: &Value) -> Option<String> {
    let vertices: Vec<&str> = recorded
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|name| !name.contains("] FROM ") && !name.starts_with("FROM "))
        .collect();
    let said = case.keys.get(&format!("steps-{which}"));
    let expected = said.map_or(vertices.len(), |said| said.parse().unwrap());
    (expected != found)
        .then(|| format!("{which}: {found} steps in the cache, expected {expected}: {vertices:?}"))
}

/// Configuration and history.
fn described(engine: &Engine, tag: &str, recorded: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut client = engine.client();
    let image = client
        .get(&format!("/v1.47/images/{tag}/json"))
        .unwrap()
        .json();
    let fields = |config: &Value| -> BTreeMap<String, Value> {
        let fields = config.as_object().cloned().unwrap_or_default();
        let empty = [json!(null), json!(""), json!([]), json!({}), json!(false)];
        fields
            .into_iter()
            .filter(|(_, value)| !empty.contains(value))
            .collect()
    };
    let (expected, found) = (fields(&recorded["config"]), fields(&image["Config"]));
    if expected != found {
        wrong.push(format!("config: expected {expected:?}\n  found {found:?}"));
    }
    let layers = image["RootFS"]["Layers"].as_array().map_or(0, Vec::len);
    if json!(layers) != recorded["layers"] {
        wrong.push(format!("{layers} layers, expected {}", recorded["layers"]));
    }
    let history = client
        .get(&format!("/v1.47/images/{tag}/history"))
        .unwrap()
        .json();
    let mut found: Vec<(String, String)> = Vec::new();
    for entry in history.as_array().into_iter().flatten() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        found.insert(0, (text("CreatedBy"), text("Comment")));
    }
    let expected: Vec<(String, String)> = recorded["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |at: usize| entry[at].as_str().unwrap_or_default().to_owned();
            (text(0), text(2))
        })
        .collect();
    if expected != found {
        wrong.push(format!(
            "history: expected {expected:#?}\n  found {found:#?}"
        ));
    }
    wrong
}

#[test]
fn dockerfiles_become_what_the_real_builder_makes_of_them() {
    if !root_or_skip("the corpus of Dockerfiles") {
        return;
    }
    let engine = Engine::start();
    import(&engine);
    let base = files(&engine, "busybox");
    let only = std::env::var("DHOW_CASE").ok();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let mut wrong = Vec::new();
    for case in cases(&folder) {
        let left_out = case.keys.contains_key("buildkit-only");
        if left_out || only.as_ref().is_some_and(|only| *only != case.name) {
            continue;
        }
        for difference in differences(&engine, &case, &base) {
            wrong.push(format!("{}: {difference}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
