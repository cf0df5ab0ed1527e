//! A small blocking HTTP/1.1 client for the engine's unix socket, with one kept-alive connection.

use serde_json::Value;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// A client of one engine.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    connection: Option<BufReader<UnixStream>>,
}

/// An answer, its body read to the end.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of header `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// None at all.
    Empty,
    /// A JSON value.
    Json(&'a Value),
    /// Bytes with their content type.
    Bytes(&'a str, &'a [u8]),
}

impl Client {
    /// A client for the engine that listens on `socket`.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            connection: None,
        }
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// What connecting, writing or reading failed with, or `InvalidData` for an answer that is not HTTP.
    pub fn request(&mut self, method: &str, path: &str, body: Body<'_>) -> Result<Response> {
        self.request_with(method, path, &[], body)
    }

    /// As [`Client::request`], with more header fields.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn request_with(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<Response> {
        let mut connection = self.connect()?;
        send(connection.get_mut(), method, path, fields, body)?;
        let (status, headers) = read_head(&mut connection)?;
        let no_body = method == "HEAD" || matches!(status, 101 | 204 | 304);
        let body = if no_body {
            Vec::new()
        } else {
            read_body(&mut connection, &headers)?
        };
        let response = Response {
            status,
            headers,
            body,
        };
        if response.header("connection") != Some("close") && status != 101 {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// `GET path`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn get(&mut self, path: &str) -> Result<Response> {
        self.request("GET", path, Body::Empty)
    }

    /// `POST path` with an optional JSON body.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn post(&mut self, path: &str, body: Option<&Value>) -> Result<Response> {
        self.request("POST", path, body.map_or(Body::Empty, Body::Json))
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn delete(&mut self, path: &str) -> Result<Response> {
        self.request("DELETE", path, Body::Empty)
    }

    /// Sends a request that asks for an upgrade and returns the raw stream behind the answer's head.
    ///
    /// # Errors
    /// As [`Client::request`]; an answer other than 101 or 200 is `Other` with its status.
    pub fn hijack(&mut self, path: &str, body: &Value) -> Result<BufReader<UnixStream>> {
        let mut connection = BufReader::new(UnixStream::connect(&self.socket)?);
        let text = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        connection.get_mut().write_all(head.as_bytes())?;
        let (status, _) = read_head(&mut connection)?;
        if matches!(status, 101 | 200) {
            Ok(connection)
        } else {
            Err(Error::other(format!("status {status}")))
        }
    }

    /// Sends a request and returns the status and the open connection, to read a stream as it comes (chunk framing
    /// included).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn stream(&mut self, method: &str, path: &str) -> Result<(u16, BufReader<UnixStream>)> {
        let mut connection = BufReader::new(UnixStream::connect(&self.socket)?);
        send(connection.get_mut(), method, path, &[], Body::Empty)?;
        let (status, _) = read_head(&mut connection)?;
        Ok((status, connection))
    }

    fn connect(&mut self) -> Result<BufReader<UnixStream>> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Ok(BufReader::with_capacity(
                64 << 10,
                UnixStream::connect(&self.socket)?,
            )),
        }
    }
}

fn send(
    stream: &mut UnixStream,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: Body<'_>,
) -> Result<()> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: engine\r\n").into_bytes();
    for (name, value) in fields {
        write!(request, "{name}: {value}\r\n")?;
    }
    let json;
    let (kind, bytes): (&str, &[u8]) = match body {
        Body::Empty => ("", &[]),
        Body::Json(value) => {
            json = value.to_string();
            ("application/json", json.as_bytes())
        }
        Body::Bytes(kind, bytes) => (kind, bytes),
    };
    if !kind.is_empty() {
        write!(request, "Content-Type: {kind}\r\n")?;
    }
    if method != "GET" && method != "HEAD" {
        write!(request, "Content-Length: {}\r\n", bytes.len())?;
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(bytes);
    stream.write_all(&request)
}

fn read_head(connection: &mut BufReader<UnixStream>) -> Result<(u16, Vec<(String, String)>)> {
    let first = line(connection)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status =
        status.ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("not HTTP: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let text = line(connection)?;
        if text.is_empty() {
            return Ok((status, headers));
        }
        if let Some((name, value)) = text.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

fn read_body(
    connection: &mut BufReader<UnixStream>,
    headers: &[(String, String)],
) -> Result<Vec<u8>> {
    let header = |name: &str| {
        headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    };
    let mut body = Vec::new();
    if header("transfer-encoding") == Some("chunked") {
        loop {
            let text = line(connection)?;
            let size = u64::from_str_radix(&text, 16)
                .map_err(|_| Error::new(ErrorKind::InvalidData, text))?;
            connection.by_ref().take(size).read_to_end(&mut body)?;
            line(connection)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => connection.by_ref().take(length).read_to_end(&mut body)?,
        None => connection.read_to_end(&mut body)?,
    };
    Ok(body)
}

fn line(connection: &mut BufReader<UnixStream>) -> Result<String> {
    let mut text = String::new();
    if connection.read_line(&mut text)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(text.trim_end().to_owned())
}
