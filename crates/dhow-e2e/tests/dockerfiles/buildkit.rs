//! The corpus by the official buildx: what its progress says, and what it prints when a build fails.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use dhow_testkit::dockerfiles::{Case, cases};
use dhow_testkit::{Cli, Engine, EngineOptions, Output, install_plugins, root_or_skip};
use regex::Regex;
use serde_json::{Value, json};

use super::{FOLDER, import};

/// What buildx heard of a build.
#[derive(Default)]
struct Heard {
    names: BTreeSet<String>,
    cached: BTreeSet<String>,
    warnings: BTreeSet<String>,
    /// What is no JSON: how it failed.
    text: String,
}

impl Heard {
    fn of(output: &str) -> Self {
        let mut heard = Self::default();
        for line in output.lines() {
            let Ok(status) = serde_json::from_str::<Value>(line) else {
                heard.text.push_str(line);
                heard.text.push('\n');
                continue;
            };
            for vertex in status["vertexes"].as_array().into_iter().flatten() {
                let name = named(vertex["name"].as_str().unwrap_or_default());
                let internal = ["[internal]", "export", "resolve"];
                if internal.iter().any(|word| name.starts_with(word)) {
                    continue;
                }
                if vertex["cached"] == json!(true) {
                    heard.cached.insert(name.clone());
                }
                heard.names.insert(name);
            }
            for warning in status["warnings"].as_array().into_iter().flatten() {
                let short = warning["short"].as_str().unwrap_or_default();
                let bytes = base64::engine::general_purpose::STANDARD.decode(short);
                heard
                    .warnings
                    .insert(String::from_utf8(bytes.unwrap()).unwrap());
            }
        }
        heard
    }
}

/// A vertex's name without the digest of an image, which is another here.
fn named(name: &str) -> String {
    name.split("@sha256:").next().unwrap_or(name).to_owned()
}

/// A text without the names of sessions and folders.
fn plain(text: &str) -> String {
    let reference = Regex::new(r"ref \S+::\S+").unwrap();
    reference.replace_all(text.trim(), "ref X").into_owned()
}

/// Names but those of images' roots: whether these are in the cache depends on who looked.
fn steps(names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let names = names.into_iter();
    names.filter(|name| !name.contains("FROM ")).collect()
}

fn strings(value: &Value) -> BTreeSet<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(named).collect()
}

fn build(engine: &Engine, folder: &Path, case: &Case) -> Heard {
    let mut command = Cli::Docker.command(engine.socket(), engine.home());
    command.args(["buildx", "build", "--progress=rawjson", "-t", "corpus"]);
    for (key, flag) in [("args", "--build-arg"), ("labels", "--label")] {
        for (name, value) in case.pairs(key) {
            command.arg(flag).arg(format!("{name}={value}"));
        }
    }
    if let Some(target) = case.keys.get("target") {
        command.args(["--target", target]);
    }
    command.arg("-f").arg(folder.join(case.file())).arg(folder);
    Heard::of(&Output::of(&mut command, b"").stderr)
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn differences(engine: &Engine, case: &Case, recorded: &Value) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    if let Some(name) = case.keys.get("base") {
        write(folder.path(), "Dockerfile", &case.files["base/Dockerfile"]);
        let mut command = Cli::Docker.command(engine.socket(), engine.home());
        command
            .args(["buildx", "build", "-q", "-t", name])
            .arg(folder.path());
        assert!(
            !Output::of(&mut command, b"").ok().is_empty(),
            "{}",
            case.name
        );
    }
    let context = tempfile::tempdir().unwrap();
    let context = context.path();
    for (path, text) in case.context() {
        write(context, path, text);
    }
    let mut wrong = Vec::new();
    let first = build(engine, context, case);
    let expected = plain(recorded["error"].as_str().unwrap_or_default());
    // The real builder shows both places of a cycle.
    if plain(&first.text) != expected && !expected.contains("circular") {
        wrong.push(format!("expected\n{expected}\nfound\n{}", first.text));
    }
    if !expected.is_empty() {
        return wrong;
    }
    let mut compare = |what: &str, expected: BTreeSet<String>, found: BTreeSet<String>| {
        let missing: Vec<_> = expected.difference(&found).collect();
        let more: Vec<_> = found.difference(&expected).collect();
        if !(missing.is_empty() && more.is_empty()) {
            wrong.push(format!("{what}: missing {missing:?}, too many {more:?}"));
        }
    };
    compare("steps", strings(&recorded["vertices"]), first.names);
    compare("warnings", strings(&recorded["warnings"]), first.warnings);
    let again = build(engine, context, case);
    compare(
        "again",
        steps(strings(&recorded["again"])),
        steps(again.cached),
    );
    if let Some(path) = case.keys.get("touch") {
        write(context, path, &format!("{}touched\n", case.files[path]));
        let touched = build(engine, context, case);
        compare(
            "touched",
            steps(strings(&recorded["touched"])),
            steps(touched.cached),
        );
    }
    wrong
}

#[test]
fn buildx_is_told_what_the_real_builder_tells() {
    if !root_or_skip("the corpus of Dockerfiles by buildx") {
        return;
    }
    let engine = Engine::start_with(EngineOptions {
        settings: Some(json!({"builder": {"gc": {"defaultMinFreeSpace": "1GB"}}})),
        ..EngineOptions::default()
    });
    import(&engine);
    install_plugins(engine.home());
    let mut wrong = Vec::new();
    for case in cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER)) {
        let Some(recorded) = case.recorded.clone() else {
            continue;
        };
        if case.keys.contains_key("miscounted") {
            continue;
        }
        for difference in differences(&engine, &case, &recorded) {
            wrong.push(format!("{}: {difference}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
