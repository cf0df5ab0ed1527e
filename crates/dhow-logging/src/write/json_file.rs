//! The driver `json-file`: one JSON object a line, exactly as Docker writes them. `local`, and the copies of what other
//! drivers send, are kept in the same format.

use std::time::SystemTime;

use super::Writer;
use super::escape::{push_escaped, push_escaped_line};
use super::file_options::FileOptions;
use super::rotate::RotatingFile;
use crate::entry::{Entry, LINE_LIMIT};
use crate::time::Text;
use crate::{Error, LogConfig, Stream};

/// Lines are collected up to this many bytes before they are written.
const BATCH: usize = 192 * 1024;
/// What the batch buffer keeps when there is nothing to do.
const IDLE: usize = 4 * 1024;

/// The driver `json-file`.
///
/// Lines are escaped straight from the caller's chunk into one buffer, which is written when it is full and when there
/// is nothing more to be read; the time is formatted once a chunk.
#[derive(Debug)]
pub struct JsonFile {
    file: RotatingFile,
    batch: Vec<u8>,
    /// `"attrs":{...},` or nothing.
    attributes: Vec<u8>,
    streams: [Line; 2],
    failed: Option<Error>,
}

/// What is known of a stream's unfinished line.
#[derive(Debug, Default)]
struct Line {
    /// Its bytes so far.
    carry: Vec<u8>,
    /// The time of its first part, if parts of it were stored already.
    since: Option<Text>,
}

impl JsonFile {
    /// Opens the log file `config` names, and continues it.
    ///
    /// # Errors
    /// When an option has no usable value or the file can't be opened.
    pub fn open(config: &LogConfig) -> Result<Self, Error> {
        let options = FileOptions::of(config)?;
        Ok(Self {
            file: RotatingFile::open(&config.path, options)?,
            batch: Vec::new(),
            attributes: attributes_json(config),
            streams: [Line::default(), Line::default()],
            failed: None,
        })
    }

    /// Stores one line, or a part of one when it is not `complete`.
    fn entry(&mut self, stream: Stream, line: &[u8], complete: bool, now: &Text) {
        self.make_room();
        self.batch.extend_from_slice(PREFIX);
        push_escaped(&mut self.batch, line);
        if complete {
            self.batch.extend_from_slice(b"\\n");
        }
        let known = self.line(stream).since;
        let suffix = self.suffix(stream, known.as_ref().unwrap_or(now));
        self.batch.extend_from_slice(&suffix);
        self.line(stream).since = if complete {
            None
        } else {
            Some(known.unwrap_or(*now))
        };
    }

    /// `","stream":"stdout",...,"time":"..."}` and a newline.
    fn suffix(&self, stream: Stream, time: &Text) -> Vec<u8> {
        let mut suffix = Vec::with_capacity(80 + self.attributes.len());
        suffix.extend_from_slice(b"\",\"stream\":\"");
        suffix.extend_from_slice(stream.name().as_bytes());
        suffix.extend_from_slice(b"\",");
        suffix.extend_from_slice(&self.attributes);
        suffix.extend_from_slice(b"\"time\":\"");
        suffix.extend_from_slice(time.as_bytes());
        suffix.extend_from_slice(b"\"}\n");
        suffix
    }

    /// Before an entry: writes the batch when it is long, and rotates when the file is full.
    fn make_room(&mut self) {
        let full = self.file.is_full(self.batch.len());
        if full || self.batch.len() >= BATCH {
            self.write_batch();
        }
        if full && self.file.is_full(0) {
            let rotated = self.file.rotate();
            self.note(rotated);
        }
    }

    fn write_batch(&mut self) {
        if !self.batch.is_empty() {
            let written = self.file.append(&self.batch);
            self.note(written);
            self.batch.clear();
        }
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    fn line(&mut self, stream: Stream) -> &mut Line {
        &mut self.streams[usize::from(stream.number() - 1)]
    }

    /// Completes the unfinished line with the beginning of `chunk`; returns the rest of the chunk.
    fn carried<'a>(&mut self, stream: Stream, chunk: &'a [u8], now: &Text) -> &'a [u8] {
        let mut carry = std::mem::take(&mut self.line(stream).carry);
        let window = &chunk[..chunk.len().min(LINE_LIMIT - carry.len())];
        let newline = memchr::memchr(b'\n', window);
        let taken = newline.unwrap_or(window.len());
        carry.extend_from_slice(&window[..taken]);
        if newline.is_some() || carry.len() == LINE_LIMIT {
            self.entry(stream, &carry, newline.is_some(), now);
            carry.clear();
        }
        if carry.capacity() > IDLE && carry.is_empty() {
            carry = Vec::new();
        }
        self.line(stream).carry = carry;
        &chunk[taken + usize::from(newline.is_some())..]
    }

    /// Stores the lines of `rest`, which begins at a line's beginning; keeps what is left of the last one.
    fn fresh(&mut self, stream: Stream, mut rest: &[u8], now: &Text) {
        let mut suffix = self.suffix(stream, now);
        suffix.splice(0..0, *b"\\n");
        while !rest.is_empty() {
            let window = &rest[..rest.len().min(LINE_LIMIT)];
            if self.line(stream).since.is_some() {
                rest = self.after_part(stream, window, rest, now);
                continue;
            }
            self.make_room();
            let start = self.batch.len();
            self.batch.extend_from_slice(PREFIX);
            if let Some(newline) = push_escaped_line(&mut self.batch, window) {
                self.batch.extend_from_slice(&suffix);
                rest = &rest[newline + 1..];
                continue;
            }
            self.batch.truncate(start);
            rest = self.after_part(stream, window, rest, now);
        }
    }

    /// The slow way, for a line that is not in `window` as a whole or of which parts were stored.
    fn after_part<'a>(
        &mut self,
        stream: Stream,
        window: &[u8],
        rest: &'a [u8],
        now: &Text,
    ) -> &'a [u8] {
        match memchr::memchr(b'\n', window) {
            Some(newline) => {
                self.entry(stream, &window[..newline], true, now);
                &rest[newline + 1..]
            }
            None if window.len() == LINE_LIMIT => {
                self.entry(stream, window, false, now);
                &rest[LINE_LIMIT..]
            }
            None => {
                self.line(stream).carry.extend_from_slice(window);
                &[]
            }
        }
    }

    /// Stores an entry that was cut already; it waits in memory until [`JsonFile::flush_batch`].
    pub(crate) fn store(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let time = Text::nano(entry.time);
        self.entry(entry.stream, entry.line, entry.is_complete(), &time);
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Writes what waits in memory.
    pub(crate) fn flush_batch(&mut self) -> Result<(), Error> {
        self.write_batch();
        self.failed.take().map_or(Ok(()), Err)
    }
}

const PREFIX: &[u8] = b"{\"log\":\"";

impl Writer for JsonFile {
    fn write(&mut self, stream: Stream, chunk: &[u8], now: SystemTime) -> Result<(), Error> {
        let now = Text::nano(now);
        let mut rest = chunk;
        while !rest.is_empty() && !self.line(stream).carry.is_empty() {
            rest = self.carried(stream, rest, &now);
        }
        self.fresh(stream, rest, &now);
        self.failed.take().map_or(Ok(()), Err)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.flush_batch()
    }

    fn finish(&mut self, stream: Stream, now: SystemTime) -> Result<(), Error> {
        let carry = std::mem::take(&mut self.line(stream).carry);
        if !carry.is_empty() {
            self.entry(stream, &carry, false, &Text::nano(now));
        }
        self.line(stream).since = None;
        self.flush_batch()
    }

    fn release(&mut self) {
        if self.batch.capacity() > IDLE {
            self.batch = Vec::new();
        }
    }
}

/// What an entry of `json-file` has beside the line; those of the other drivers have nothing.
fn attributes_json(config: &LogConfig) -> Vec<u8> {
    if !matches!(config.driver.as_str(), "" | "json-file") {
        return Vec::new();
    }
    let mut attributes = config.attributes.clone();
    if !config.origin.tag.is_empty() {
        attributes.insert("tag".into(), config.origin.tag.clone());
    }
    if attributes.is_empty() {
        return Vec::new();
    }
    let mut json = b"\"attrs\":{".to_vec();
    for (number, (key, value)) in attributes.iter().enumerate() {
        json.extend_from_slice(if number == 0 { b"\"" } else { b",\"" });
        push_escaped(&mut json, key.as_bytes());
        json.extend_from_slice(b"\":\"");
        push_escaped(&mut json, value.as_bytes());
        json.push(b'"');
    }
    json.extend_from_slice(b"},");
    json
}
