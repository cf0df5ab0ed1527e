//! A web server of a few lines that answers as a test wants, lies and breakdowns included.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use dhow_oci::Digest;
use serde_json::{Value, json};

/// A request as it came in; header names are lower-case.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Send only so many bytes of the body, then hang up.
    pub cut: Option<usize>,
    /// Wait before the body.
    pub pause: Duration,
}

impl Response {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: vec![],
            body: vec![],
            cut: None,
            pause: Duration::ZERO,
        }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::new(200)
        }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }
}

type Handler = dyn Fn(&Request) -> Response + Send + Sync;

/// A running server; stops when dropped.
pub struct Server {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, stop) = (
            Arc::<Mutex<Vec<Request>>>::default(),
            Arc::new(AtomicBool::new(false)),
        );
        let handler: Arc<Handler> = Arc::new(handler);
        let (seen, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream.unwrap(), &*handler, &seen));
            }
        });
        Self {
            port,
            requests,
            stop,
            thread: Some(thread),
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What was asked so far, TLS attempts left out.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many requests of `method` had a path that contains `part`.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.requests()
            .iter()
            .filter(|r| r.method == method && r.path.contains(part))
            .count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The accepting thread sees the flag with the next connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, handler: &Handler, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    // A TLS client hello is no request: answer as a plain server does.
    if reader
        .fill_buf()
        .is_ok_and(|bytes| bytes.first() == Some(&0x16))
    {
        let _ = (&stream).write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        return;
    }
    let Some(request) = read_request(&mut reader) else {
        return;
    };
    seen.lock().unwrap().push(request.clone());
    let response = handler(&request);
    let _ = write_response(&stream, &request, &response);
    // Closing with something unread would reset the connection under what was sent.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = std::io::copy(&mut reader, &mut std::io::sink());
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers
        .get("content-length")
        .map_or(0, |v| v.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}

fn write_response(
    mut stream: &TcpStream,
    request: &Request,
    response: &Response,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", response.status);
    if !response
        .headers
        .iter()
        .any(|(name, _)| name == "content-length")
    {
        head.push_str(&format!("content-length: {}\r\n", response.body.len()));
    }
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    std::thread::sleep(response.pause);
    let length = response
        .cut
        .unwrap_or(response.body.len())
        .min(response.body.len());
    stream.write_all(&response.body[..length])
}

/// Documents and blobs of a repository, served as a registry does.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    pub tags: BTreeMap<String, Digest>,
    pub manifests: BTreeMap<Digest, (String, Vec<u8>)>,
    pub blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Repository {
    pub fn blob(&mut self, bytes: impl Into<Vec<u8>>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, bytes);
        digest
    }

    pub fn manifest(&mut self, tag: &str, document: &Value) -> Digest {
        let bytes = document.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let kind = document["mediaType"].as_str().unwrap().to_owned();
        self.manifests.insert(digest, (kind, bytes));
        if !tag.is_empty() {
            self.tags.insert(tag.into(), digest);
        }
        digest
    }

    /// Answers what a registry with this one repository would.
    pub fn answer(&self, request: &Request) -> Response {
        let path = request.path.split('?').next().unwrap();
        let name = path.rsplit('/').next().unwrap();
        if path == "/v2/" {
            return Response::ok("{}");
        }
        if path.contains("/manifests/") {
            let digest = name.parse().ok().or_else(|| self.tags.get(name).copied());
            return match digest.and_then(|digest| Some((digest, self.manifests.get(&digest)?))) {
                Some((digest, (kind, bytes))) => Response::ok(bytes.clone())
                    .header("content-type", kind)
                    .header("docker-content-digest", digest),
                None => missing("MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        let Some(bytes) = name
            .parse::<Digest>()
            .ok()
            .and_then(|digest| self.blobs.get(&digest))
        else {
            return missing("BLOB_UNKNOWN", "blob unknown to registry");
        };
        match request
            .header("range")
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
        {
            Some((from, to)) => {
                let from: usize = from.parse().unwrap();
                let end = to.parse().map_or(bytes.len(), |to: usize| to + 1);
                let range = format!("bytes {from}-{}/{}", end - 1, bytes.len());
                Response {
                    status: 206,
                    ..Response::ok(&bytes[from..end])
                }
                .header("content-range", range)
            }
            None => Response::ok(bytes.clone()),
        }
    }
}

pub fn missing(code: &str, message: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": message }] });
    Response {
        status: 404,
        ..Response::ok(body.to_string())
    }
}
