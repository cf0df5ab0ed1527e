#![allow(clippy::unwrap_used, reason = "tests")]
//! What runs against an engine that says what the test wants.

use dhow_client::{Client, Config, Globals, Request};
use dhow_testkit::scripted::{self, RawFuture, common, no_raw};
use tokio::net::UnixStream;

use crate::attach::{self, Ended, Streams};
use crate::session::Session;

/// Runs `test` with a client of a scripted engine.
pub(crate) fn with_engine<T>(
    answer: fn(&str) -> String,
    raw: fn(UnixStream) -> RawFuture,
    test: impl AsyncFnOnce(&Client) -> T,
) -> T {
    scripted::with_engine(answer, raw, async |host, _| {
        let session = session(host);
        test(session.client().unwrap()).await
    })
}

fn hijacks(request: &str) -> String {
    match request {
        "POST /v1.41/echo" => {
            "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst ".into()
        }
        other => common(other),
    }
}

#[test]
fn streaming_ends_with_the_containers_output() {
    let streams = Streams {
        stdout: false,
        tty: true,
        ..Streams::default()
    };
    let ended = with_engine(hijacks, no_raw, async |client| {
        attach::stream(
            client.hijack(Request::post("/echo")).await.unwrap(),
            &streams,
        )
        .await
    });
    assert_eq!(ended.unwrap(), Ended::Output);
}

/// A session on the engine at `host`.
pub(crate) fn session(host: &str) -> Session {
    let globals = Globals {
        host: Some(host.to_owned()),
        ..Globals::default()
    };
    let (program, path) = ("docker".to_owned(), "test".to_owned());
    Session::new(program, path, globals, Config::default())
}

#[test]
fn a_session_keeps_one_client() {
    let session = session("unix:///nonexistent.sock");
    assert!(std::ptr::eq(
        session.client().unwrap(),
        session.client().unwrap()
    ));
    assert_eq!(session.client().unwrap().host(), "unix:///nonexistent.sock");
}
