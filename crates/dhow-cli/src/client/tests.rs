#![allow(clippy::unwrap_used, reason = "tests")]
//! The client against an engine that says what the test wants.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::attach::{self, Ended, Streams};
use crate::flags::{Outcome, parse};
use crate::session::Session;

/// What a fake engine was asked: `METHOD PATH`, and the connection it came over.
pub(crate) type Asked = Rc<RefCell<Vec<(usize, String)>>>;

/// Runs `test` beside an engine that answers each request with what `answer` makes of its first line. An answer
/// that switches protocols hands its connection to `raw`.
pub(crate) fn with_engine<T>(
    answer: fn(&str) -> String,
    raw: fn(UnixStream) -> RawFuture,
    test: impl AsyncFnOnce(&Client, &Asked) -> T,
) -> T {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let asked = Asked::default();
    runtime.block_on(async {
        let listener = UnixListener::bind(&socket).unwrap();
        let client = client(&format!("unix://{}", socket.display()));
        tokio::select! {
            () = serve(&listener, answer, raw, asked.clone()) => unreachable!("it serves for ever"),
            outcome = test(&client, &asked) => outcome,
        }
    })
}

pub(crate) type RawFuture = std::pin::Pin<Box<dyn Future<Output = ()>>>;

fn client(host: &str) -> Client {
    let globals = Globals {
        host: Some(host.to_owned()),
        context: None,
        debug: false,
        autostart: false,
        tls: None,
    };
    Client::new(&globals, &Config::default()).unwrap()
}

async fn serve(
    listener: &UnixListener,
    answer: fn(&str) -> String,
    raw: fn(UnixStream) -> RawFuture,
    asked: Asked,
) {
    let mut connections = futures::stream::FuturesUnordered::new();
    let mut count = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                count += 1;
                connections.push(connection(accepted.unwrap().0, count, answer, raw, asked.clone()));
            }
            _ = futures::StreamExt::next(&mut connections), if !connections.is_empty() => {}
        }
    }
}

async fn connection(
    stream: UnixStream,
    number: usize,
    answer: fn(&str) -> String,
    raw: fn(UnixStream) -> RawFuture,
    asked: Asked,
) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.unwrap();
            if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if header.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let request = first.trim().trim_end_matches(" HTTP/1.1").to_owned();
        asked.borrow_mut().push((number, request.clone()));
        let text = answer(&request);
        stream.get_mut().write_all(text.as_bytes()).await.unwrap();
        if text.starts_with("HTTP/1.1 101") {
            return raw(stream.into_inner()).await;
        }
    }
}

pub(crate) fn no_raw(_: UnixStream) -> RawFuture {
    Box::pin(async {})
}

pub(crate) fn reply(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn common(request: &str) -> String {
    match request {
        "HEAD /_ping" => "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\n".into(),
        "GET /v1.41/ok" => reply("200 OK", "{\"A\":1}"),
        "GET /v1.41/conflict" => reply("409 Conflict", "{\"message\":\"it is taken\"}"),
        "GET /v1.41/bare" => reply("500 Internal Server Error", "went wrong\n"),
        "GET /v1.41/empty" => reply("502 Bad Gateway", ""),
        "POST /v1.41/same" => "HTTP/1.1 304 Not Modified\r\n\r\n".into(),
        "GET /v1.41/broken" => "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"A\"".into(),
        _ => reply("404 Not Found", "{\"message\":\"page not found\"}"),
    }
}

#[test]
fn the_older_version_is_spoken_over_one_connection() {
    let asked = with_engine(common, no_raw, async |client, asked| {
        for _ in 0..3 {
            let answer: serde_json::Value = client.json(Request::get("/ok")).await.unwrap();
            assert_eq!(answer["A"], 1);
        }
        asked.borrow().clone()
    });
    let ok = (1, "GET /v1.41/ok".to_owned());
    assert_eq!(
        asked,
        [(1, "HEAD /_ping".to_owned()), ok.clone(), ok.clone(), ok]
    );
}

#[test]
fn errors_say_what_the_engine_said() {
    with_engine(common, no_raw, async |client, _| {
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
fn streaming_ends_with_the_containers_output() {
    let streams = Streams {
        stdout: false,
        tty: true,
        ..Streams::default()
    };
    let raw = |stream: UnixStream| -> RawFuture { Box::pin(async move { drop(stream) }) };
    let ended = with_engine(hijacks, raw, async |client, _| {
        attach::stream(
            client.hijack(Request::post("/echo")).await.unwrap(),
            &streams,
        )
        .await
    });
    assert_eq!(ended.unwrap(), Ended::Output);
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

/// A session on the engine at `host`.
pub(crate) fn session(host: &str) -> Session {
    let words = [
        "--no-autostart".to_owned(),
        "-H".to_owned(),
        host.to_owned(),
    ];
    let Ok(Outcome::Parsed(parsed)) = parse(&[crate::config::GLOBALS], false, &words) else {
        panic!("these are flags");
    };
    let globals = Globals::new(&parsed).unwrap();
    Session::new(
        "docker".to_owned(),
        "test".to_owned(),
        globals,
        Config::default(),
    )
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
