//! Every recorded exchange with a real engine, made again with this daemon and compared.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::BufRead;

use dhow_testkit::http::{Body, Client};
use dhow_testkit::{Engine, Registry, RegistryKind};
use recordings::{Answer, Exchange, Replay};

#[path = "../../dhow-server/tests/recordings/mod.rs"]
mod recordings;

fn ask(client: &mut Client, exchange: &Exchange) -> Answer {
    let bytes = exchange.body.clone().unwrap_or_default().into_bytes();
    let body = match exchange.body {
        Some(_) => Body::Bytes("application/json", &bytes),
        None => Body::Empty,
    };
    let answer = client
        .request(&exchange.method, &exchange.path, body)
        .unwrap_or_else(|error| panic!("{}: {error}", exchange.name));
    Answer {
        status: answer.status,
        headers: answer.headers,
        body: answer.body,
    }
}

/// Seconds since 1970.
fn seconds() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Waits for the end of the exec that the path is about, as the recorder did.
fn exec_ended(engine: &Engine, path: &str) {
    let id = path.split('/').find(|part| part.len() == 64).unwrap();
    let path = "/v1.51/events?since=1&filters=%7B%22event%22%3A%5B%22exec_die%22%5D%7D";
    let (status, mut events) = engine.client().stream("GET", path).unwrap();
    assert_eq!(status, 200);
    let mut line = String::new();
    while !(line.contains("exec_die") && line.contains(id)) {
        line.clear();
        assert_ne!(events.read_line(&mut line).unwrap(), 0, "the events ended");
    }
}

#[test]
fn every_recorded_exchange_is_answered_as_recorded() {
    if !dhow_testkit::root_or_skip("the recorded exchanges") {
        return;
    }
    let engine = Engine::start();
    engine.import_busybox();
    let registry = Registry::start_beside(RegistryKind::Plain, engine.pid());
    registry.fill(&dhow_testkit::images::busybox_layout(), "big:1");
    let mut replay = Replay::default();
    replay.replace("localhost:5000", &registry.host());
    let mut client = engine.client();
    let pull = format!(
        "/v1.51/images/create?fromImage={}/big&tag=1",
        registry.host()
    );
    let pulled = client.request("POST", &pull, Body::Empty).unwrap();
    assert_eq!(pulled.status, 200, "{}", pulled.text());
    let mut different = Vec::new();
    let begun = seconds();
    for exchange in recordings::exchanges() {
        if exchange.name == "events replay" {
            let times = format!("since={begun}&until={}", seconds());
            replay.replace("since=1795225844&until=1795225964", &times);
        }
        let exchange = replay.prepare(&exchange);
        if exchange.name == "exec inspect after" {
            exec_ended(&engine, &exchange.path);
        }
        let answer = ask(&mut client, &exchange);
        for difference in replay.compare(&exchange, &answer) {
            different.push(format!("{}: {difference}", exchange.name));
        }
    }
    assert!(
        different.is_empty(),
        "{} differences:\n{}",
        different.len(),
        different.join("\n")
    );
}
