#![allow(clippy::unwrap_used, reason = "tests")]
//! The client against an engine that says what the test wants.

use dhow_testkit::scripted::{self, Asked, RawFuture, common, no_raw, reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;

fn with_engine<T>(
    answer: fn(&str) -> String,
    raw: fn(UnixStream) -> RawFuture,
    test: impl AsyncFnOnce(&Client, &Asked) -> T,
) -> T {
    scripted::with_engine(answer, raw, async |host, asked| {
        test(&client(host), asked).await
    })
}

fn client(host: &str) -> Client {
    let globals = Globals {
        host: Some(host.to_owned()),
        ..Globals::default()
    };
    Client::new(&globals, &Config::default(), None).unwrap()
}

fn answers(request: &str) -> String {
    match request {
        "GET /v1.41/ok" => reply("200 OK", "{\"A\":1}"),
        "GET /v1.41/conflict" => reply("409 Conflict", "{\"message\":\"it is taken\"}"),
        "GET /v1.41/bare" => reply("500 Internal Server Error", "went wrong\n"),
        "GET /v1.41/empty" => reply("502 Bad Gateway", ""),
        "POST /v1.41/same" => "HTTP/1.1 304 Not Modified\r\n\r\n".into(),
        "GET /v1.41/broken" => "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"A\"".into(),
        other => common(other),
    }
}

#[test]
fn the_older_version_is_spoken_over_one_connection() {
    let asked = with_engine(answers, no_raw, async |client, asked| {
        for _ in 0..3 {
            let answer: serde_json::Value = client.json(Request::get("/ok")).await.unwrap();
            assert_eq!(answer["A"], 1);
        }
        asked.lock().unwrap().clone()
    });
    let ok = (1, "GET /v1.41/ok".to_owned());
    assert_eq!(
        asked,
        [(1, "HEAD /_ping".to_owned()), ok.clone(), ok.clone(), ok]
    );
}

#[test]
fn errors_say_what_the_engine_said() {
    with_engine(answers, no_raw, async |client, _| {
        for (path, text) in [
            ("/conflict", "Error response from daemon: it is taken"),
            ("/bare", "Error response from daemon: went wrong"),
            (
                "/empty",
                "Error response from daemon: request returned 502 Bad Gateway for API route and version, check if the server supports the requested API version",
            ),
            ("/nosuch", "Error response from daemon: page not found"),
        ] {
            let error = client.bytes(Request::get(path)).await.unwrap_err();
            assert_eq!(error.to_string(), text);
            assert_eq!(error.is_not_found(), path == "/nosuch");
        }
        client.done(Request::post("/same")).await.unwrap();
    });
}

#[test]
fn nobody_answering_has_dockers_text() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (host, text) in [
        (
            "unix:///nonexistent/x.sock",
            "Cannot connect to the Docker daemon at unix:///nonexistent/x.sock. Is the docker daemon running?",
        ),
        (
            "tcp://127.0.0.1:1",
            "Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?",
        ),
    ] {
        let error = runtime
            .block_on(client(host).bytes(Request::get("/info")))
            .unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(matches!(error, Error::NoDaemon { .. }));
    }
}

fn hijacks(request: &str) -> String {
    match request {
        "POST /v1.41/echo" => {
            "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst ".into()
        }
        other => common(other),
    }
}

/// Answers only when the other side has closed its half.
fn echo_at_the_end(mut stream: UnixStream) -> RawFuture {
    Box::pin(async move {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
    })
}

#[test]
fn a_hijacked_stream_can_be_half_closed_without_losing_output() {
    let text = with_engine(hijacks, echo_at_the_end, async |client, _| {
        let mut stream = client.hijack(Request::post("/echo")).await.unwrap().stream;
        stream.write_all(b"said").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    });
    assert_eq!(text, "first said");
}

#[test]
fn a_refused_hijack_is_an_error_of_the_engine() {
    with_engine(hijacks, no_raw, async |client, _| {
        let error = client.hijack(Request::post("/nosuch")).await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "Error response from daemon: page not found"
        );
    });
}

#[test]
fn an_answer_cut_short_is_an_error() {
    fn cut(request: &str) -> String {
        match request {
            "GET /v1.41/cut" => "HTTP/1.1 101 X\r\n\r\n".into(),
            other => common(other),
        }
    }
    with_engine(cut, no_raw, async |client, _| {
        assert!(client.bytes(Request::get("/cut")).await.is_err());
    });
}
