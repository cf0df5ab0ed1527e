//! Docker's clients of other languages, each with scripts as people write them, against an engine of its own.
//!
//! The scripts are in `clients/`. They talk to the engine that `DOCKER_HOST` names, from its network namespace, and
//! have a registry at `REGISTRY`.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_e2e::Bench;
use dhow_testkit::clients::{self, Interpreter};
use dhow_testkit::{Cli, Output, Registry, RegistryKind};

#[path = "clients/bollard.rs"]
mod with_bollard;

/// Runs `arguments` with `interpreter` against a fresh engine.
fn script(interpreter: &Interpreter, arguments: &[&str]) {
    let bench = Bench::new(Cli::Dhow);
    let registry = Registry::start_beside(RegistryKind::Plain, bench.engine.pid());
    let mut command = interpreter.command();
    command
        .args(arguments)
        .current_dir(bench.engine.home())
        .env("HOME", bench.engine.home())
        .env("LC_ALL", "C.UTF-8")
        .env(
            "DOCKER_HOST",
            format!("unix://{}", bench.engine.socket().display()),
        )
        .env("DHOW", dhow_testkit::program())
        .env("REGISTRY", registry.host());
    let output = bench
        .engine
        .on_its_network(|| Output::of(&mut command, b""));
    assert_eq!(
        output.code, 0,
        "{arguments:?}\n{}{}",
        output.stdout, output.stderr
    );
}

fn python(module: &str) {
    if dhow_testkit::root_or_skip("Docker's Python SDK") {
        let python = clients::python(&clients::scripts("python"));
        script(&python, &["-W", "ignore", "-m", "unittest", module]);
    }
}

#[test]
fn python_containers() {
    python("test_containers");
}

#[test]
fn python_streams() {
    python("test_streams");
}

#[test]
fn python_files() {
    python("test_files");
}

#[test]
fn python_images() {
    python("test_images");
}

#[test]
fn python_builds() {
    python("test_builds");
}

#[test]
fn python_networks() {
    python("test_networks");
}

#[test]
fn python_engine() {
    python("test_engine");
}

#[test]
fn testcontainers() {
    python("test_testcontainers");
}

#[test]
fn dockerode() {
    if dhow_testkit::root_or_skip("dockerode") {
        let scripts = clients::scripts("node");
        let file = scripts.join("test_dockerode.mjs").display().to_string();
        script(
            &clients::node(&scripts),
            &["--test", "--test-reporter=tap", &file],
        );
    }
}
