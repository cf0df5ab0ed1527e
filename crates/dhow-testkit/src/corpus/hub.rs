//! A registry in the test's own process that has images to pull.

use std::collections::BTreeMap;
use std::io::{BufReader, Result, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Blob, Image};
use crate::network::{Head, Listening};

type Images = Mutex<BTreeMap<String, Image>>;

/// Offers images as `HOST/NAME`, whatever the tag.
#[derive(Debug)]
pub struct Hub {
    listening: Listening,
    images: Arc<Images>,
}

impl Hub {
    /// Starts in the network namespace of process `pid`, or in this one.
    #[must_use]
    pub fn start(pid: Option<u32>) -> Self {
        let images = Arc::<Images>::default();
        let offered = Arc::clone(&images);
        let listening = Listening::start(pid, move |stream| {
            // A client that hangs up is none of the hub's business.
            let _ = serve(stream, &offered);
        });
        Self { listening, images }
    }

    /// `localhost:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.listening.port())
    }

    /// Offers `image` as `name`; its reference, without a tag.
    #[must_use]
    pub fn offer(&self, name: &str, image: &Image) -> String {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        images.insert(name.to_owned(), image.clone());
        format!("{}/{name}", self.host())
    }
}

fn serve(stream: TcpStream, images: &Images) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(head) = Head::read(&mut reader)? {
        let found = find(head.word(1), images);
        let (status, blob) = match &found {
            _ if head.word(1) == "/v2/" => ("200 OK", None),
            Some((_, blob)) => ("200 OK", Some(blob)),
            None => ("404 Not Found", None),
        };
        let body = blob.map_or(&[][..], |blob| &blob.bytes);
        let range = head.field("range").strip_prefix("bytes=");
        let range = range.and_then(|range| within(range, body.len()));
        let (from, to) = range.unwrap_or((0, body.len()));
        let status = if range.is_some() {
            "206 Partial Content"
        } else {
            status
        };
        let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", to - from);
        if range.is_some() {
            text += &format!("Content-Range: bytes {from}-{}/{}\r\n", to - 1, body.len());
        }
        if let Some((digest, blob)) = &found {
            let kind = &blob.media_type;
            text += &format!("Content-Type: {kind}\r\nDocker-Content-Digest: {digest}\r\n");
        }
        stream.write_all(format!("{text}\r\n").as_bytes())?;
        if head.word(0) != "HEAD" {
            stream.write_all(&body[from..to])?;
        }
    }
    Ok(())
}

/// What is at `/v2/NAME/manifests/TAG` or `/v2/NAME/blobs/DIGEST`.
fn find(path: &str, images: &Images) -> Option<(String, Blob)> {
    let path = path.split('?').next()?.strip_prefix("/v2/")?;
    let (rest, last) = path.rsplit_once('/')?;
    let (name, _) = rest.rsplit_once('/')?;
    let images = images.lock().unwrap_or_else(PoisonError::into_inner);
    let image = images.get(name)?;
    let digest = if last.starts_with("sha256:") {
        last
    } else {
        &image.top
    };
    Some((digest.to_owned(), image.blobs.get(digest)?.clone()))
}

/// Start and end of a range of a whole of `length` bytes.
fn within(range: &str, length: usize) -> Option<(usize, usize)> {
    let (from, to) = range.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = to
        .parse()
        .map_or(length, |last: usize| (last + 1).min(length));
    (from < to).then_some((from, to))
}
