//! An engine with busybox, the plugins, and folders to build.

use std::path::Path;
use std::process::Command;

use dhow_testkit::{Cli, Engine, EngineOptions, Output, install_plugins};
use serde_json::json;

/// An engine with busybox and the plugins, or nothing where the test can't be run.
pub(crate) fn engine(what: &str) -> Option<Engine> {
    if !dhow_testkit::root_or_skip(what) {
        return None;
    }
    // The test machine's disk may be nearly full; that has tests of its own.
    let engine = Engine::start_with(EngineOptions {
        settings: Some(json!({"builder": {"gc": {"defaultMinFreeSpace": "1GB"}}})),
        ..EngineOptions::default()
    });
    engine.import_busybox();
    install_plugins(engine.home());
    Some(engine)
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// The official command line in a folder.
pub(crate) fn docker(engine: &Engine, folder: &Path) -> Command {
    let mut command = Cli::Docker.command(engine.socket(), engine.home());
    command.current_dir(folder);
    command
}

/// Runs the official command line in a folder.
pub(crate) fn run(engine: &Engine, folder: &Path, words: &[&str]) -> Output {
    Output::of(docker(engine, folder).args(words), b"")
}

/// `docker buildx build` with plain progress.
pub(crate) fn build(engine: &Engine, folder: &Path, words: &[&str]) -> Output {
    let command = ["buildx", "build", "--progress=plain"];
    run(engine, folder, &[&command, words].concat())
}

/// The steps that plain progress says were in the cache, but for the images that all stands on.
pub(crate) fn cached(progress: &str) -> Vec<&str> {
    let number = |line: &'_ str| line.split_once(' ').map_or("", |(number, _)| number).len();
    let mut names = std::collections::BTreeMap::new();
    let mut cached = Vec::new();
    for line in progress.lines().filter(|line| line.starts_with('#')) {
        let (number, rest) = line.split_at(number(line));
        match rest.trim() {
            "CACHED" => cached.extend(names.get(number).copied()),
            name if name.starts_with('[') => {
                names.insert(number, name);
            }
            _ => {}
        }
    }
    cached.retain(|name: &&str| !name.contains("] FROM "));
    cached
}
