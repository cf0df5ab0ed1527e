//! An engine that says what a test wants, for clients' tests.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// What the engine was asked: `METHOD PATH`, and the number of the connection it came over.
pub type Asked = Arc<Mutex<Vec<(usize, String)>>>;

/// What happens to a connection that has switched protocols.
pub type RawFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What makes an answer, headers and all, of a request's first line.
type Answer = fn(&str) -> String;

/// Runs `test`, which gets the address, beside an engine that answers each request with what `answer` makes of its
/// first line. An answer that switches protocols hands its connection to `raw`.
pub fn with_engine<T>(
    answer: Answer,
    raw: fn(UnixStream) -> RawFuture,
    test: impl AsyncFnOnce(&str, &Asked) -> T,
) -> T {
    let folder = tempfile::tempdir().expect("make a folder");
    let socket = folder.path().join("engine.sock");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("start an event loop");
    let asked = Asked::default();
    runtime.block_on(async {
        let listener = UnixListener::bind(&socket).expect("listen");
        let host = format!("unix://{}", socket.display());
        tokio::select! {
            () = serve(&listener, answer, raw, &asked) => unreachable!("it serves for ever"),
            outcome = test(&host, &asked) => outcome,
        }
    })
}

async fn serve(
    listener: &UnixListener,
    answer: Answer,
    raw: fn(UnixStream) -> RawFuture,
    asked: &Asked,
) {
    let mut connections = tokio::task::JoinSet::new();
    let mut count = 0;
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        count += 1;
        connections.spawn(connection(stream, count, answer, raw, Arc::clone(asked)));
    }
}

async fn connection(
    stream: UnixStream,
    number: usize,
    answer: Answer,
    raw: fn(UnixStream) -> RawFuture,
    asked: Asked,
) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = next_request(&mut stream).await {
        asked
            .lock()
            .expect("no test panics while it looks")
            .push((number, request.clone()));
        let text = answer(&request);
        if stream.get_mut().write_all(text.as_bytes()).await.is_err() {
            return;
        }
        if text.starts_with("HTTP/1.1 101") {
            return raw(stream.into_inner()).await;
        }
    }
}

/// The first line of the next request, without its version; its body is read too.
async fn next_request(stream: &mut BufReader<UnixStream>) -> Option<String> {
    let mut first = String::new();
    if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
        return None;
    }
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(first.trim().trim_end_matches(" HTTP/1.1").to_owned())
}

/// Drops a connection that has switched protocols.
#[must_use]
pub fn no_raw(_: UnixStream) -> RawFuture {
    Box::pin(async {})
}

/// A whole answer of an engine that speaks API 1.41.
#[must_use]
pub fn reply(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What every script answers: the ping, and an error to all that it does not know.
#[must_use]
pub fn common(request: &str) -> String {
    match request {
        "HEAD /_ping" => "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\n".into(),
        _ => reply("404 Not Found", "{\"message\":\"page not found\"}"),
    }
}
