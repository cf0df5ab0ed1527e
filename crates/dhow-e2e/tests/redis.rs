//! A real service: Redis, installed inside a container over the network, published, restarted, its data kept.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_testkit::{Cli, Engine, EngineOptions, http::Body, images};
use std::io::{Read, Write};

#[test]
fn redis_is_installed_serves_and_keeps_its_data() {
    if !dhow_testkit::root_or_skip("Redis in a container") {
        return;
    }
    // On the host's network: installing a package needs the outside.
    let engine = Engine::start_with(EngineOptions {
        host_network: true,
        ..EngineOptions::default()
    });
    let tar = std::fs::read(images::debian_tar()).unwrap();
    let answer = engine.client().request(
        "POST",
        "/v1.44/images/create?fromSrc=-&repo=debian&tag=12",
        Body::Bytes("application/x-tar", &tar),
    );
    assert_eq!(answer.unwrap().status, 200);
    let run = |words: &[&str]| Cli::Docker.run(&engine, words);
    let install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server >/dev/null && \
        exec redis-server --bind 0.0.0.0 --protected-mode no --dir /data --appendonly yes";
    let port = "127.0.0.1:16399:6379";
    let _ = run(&[
        "run",
        "-d",
        "--name",
        "redis",
        "-p",
        port,
        "-v",
        "redis:/data",
        "debian:12",
        "bash",
        "-c",
        install,
    ])
    .ok();
    let mut logs = Cli::Docker.command(engine.socket(), engine.home());
    let mut logs = logs
        .args(["logs", "-f", "redis"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut output = logs.stdout.take().unwrap();
    while !seen.contains("Ready to accept connections") {
        let mut buffer = [0; 4096];
        let read = output.read(&mut buffer).unwrap();
        assert!(read > 0, "redis ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    logs.kill().unwrap();
    logs.wait().unwrap();
    assert_eq!(ask(&engine, "SET colour green"), "+OK");
    let _ = run(&["exec", "redis", "redis-cli", "SHUTDOWN"]);
    assert_eq!(run(&["wait", "redis"]).ok(), "0");
    let _ = run(&["start", "redis"]).ok();
    let mut logs = Cli::Docker.command(engine.socket(), engine.home());
    let mut logs = logs
        .args(["logs", "-f", "-n", "1", "redis"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = logs.stdout.take().unwrap();
    let mut seen = String::new();
    while seen.matches("Ready to accept connections").count() < 1 {
        let mut buffer = [0; 4096];
        let read = output.read(&mut buffer).unwrap();
        assert!(read > 0, "redis ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    logs.kill().unwrap();
    logs.wait().unwrap();
    assert_eq!(ask(&engine, "GET colour"), "$5");
}

/// Sends one inline command to the published port and returns the first line of the answer.
fn ask(engine: &Engine, command: &str) -> String {
    let mut stream = engine.connect("127.0.0.1:16399").unwrap();
    stream
        .write_all(format!("{command}\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut answer).unwrap();
    answer.trim().to_owned()
}
