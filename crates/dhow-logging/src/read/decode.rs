//! From a line of a log file to what is sent, without anything in between.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ReadOptions;
use crate::Stream;
use crate::time::{Instant, parse, push_fixed};

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// It was appended, or was not wanted, or made no sense.
    Next,
    /// It is younger than wanted; so are those after it.
    Past,
}

/// The conditions of [`ReadOptions`], prepared for comparing.
#[derive(Debug)]
pub(crate) struct Decoder {
    options: ReadOptions,
    since: Option<Instant>,
    until: Option<Instant>,
}

/// An entry's fields, still as they stand in the file.
struct Entry<'a> {
    stream: Stream,
    time: &'a [u8],
    /// The inside of the JSON string.
    log: &'a [u8],
}

/// An entry whose line is not of the usual form.
#[derive(Deserialize)]
struct AnyEntry {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    time: String,
}

impl Decoder {
    pub(crate) fn new(options: ReadOptions) -> Self {
        let (since, until) = (
            options.since.map(Instant::from),
            options.until.map(Instant::from),
        );
        Self {
            options,
            since,
            until,
        }
    }

    /// Appends the entry in `line` (without its newline) to `out`, if it is wanted.
    pub(crate) fn push(&self, out: &mut Vec<u8>, line: &[u8]) -> Decoded {
        let start = out.len();
        if let Some(entry) = split(line) {
            if let Some(unwanted) = self.unwanted(entry.stream, entry.time) {
                return unwanted;
            }
            self.push_head(out, entry.stream, entry.time, &BTreeMap::new());
            if push_unescaped(out, entry.log) {
                self.patch_length(out, start);
                return Decoded::Next;
            }
            out.truncate(start);
        }
        self.push_any(out, line)
    }

    fn push_any(&self, out: &mut Vec<u8>, line: &[u8]) -> Decoded {
        let Ok(entry) = serde_json::from_slice::<AnyEntry>(line) else {
            return Decoded::Next;
        };
        let stream = match entry.stream.as_str() {
            "stdout" => Stream::Stdout,
            "stderr" => Stream::Stderr,
            _ => return Decoded::Next,
        };
        if let Some(unwanted) = self.unwanted(stream, entry.time.as_bytes()) {
            return unwanted;
        }
        let start = out.len();
        self.push_head(out, stream, entry.time.as_bytes(), &entry.attrs);
        out.extend_from_slice(entry.log.as_bytes());
        self.patch_length(out, start);
        Decoded::Next
    }

    fn unwanted(&self, stream: Stream, time: &[u8]) -> Option<Decoded> {
        if self.since.is_some() || self.until.is_some() {
            let Some(time) = parse(time) else {
                return Some(Decoded::Next);
            };
            if self.since.is_some_and(|since| time < since) {
                return Some(Decoded::Next);
            }
            if self.until.is_some_and(|until| time > until) {
                return Some(Decoded::Past);
            }
        }
        let wanted = match stream {
            Stream::Stdout => self.options.stdout,
            Stream::Stderr => self.options.stderr,
        };
        (!wanted).then_some(Decoded::Next)
    }

    fn push_head(
        &self,
        out: &mut Vec<u8>,
        stream: Stream,
        time: &[u8],
        attributes: &BTreeMap<String, String>,
    ) {
        if self.options.framed {
            out.extend_from_slice(&[stream.number(), 0, 0, 0, 0, 0, 0, 0]);
        }
        if self.options.timestamps {
            push_fixed(out, time);
            out.push(b' ');
        }
        if self.options.details {
            for (number, (key, value)) in attributes.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                push_query_escaped(out, key);
                out.push(b'=');
                push_query_escaped(out, value);
            }
            out.push(b' ');
        }
    }

    fn patch_length(&self, out: &mut [u8], start: usize) {
        if self.options.framed {
            let length = u32::try_from(out.len() - start - 8).unwrap_or(u32::MAX);
            out[start + 4..start + 8].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// Takes a line of the usual form apart, from its end: `{"log":"...","stream":"...","time":"..."}`.
fn split(line: &[u8]) -> Option<Entry<'_>> {
    let rest = line.strip_prefix(b"{\"log\":\"")?.strip_suffix(b"\"}")?;
    let window = rest.len().saturating_sub(40);
    let quote = window + memchr::memrchr(b'"', &rest[window..])?;
    let (rest, time) = (&rest[..quote], &rest[quote + 1..]);
    let rest = rest.strip_suffix(b"\",\"time\":")?;
    let (rest, stream) = match rest.strip_suffix(b"\",\"stream\":\"stdout") {
        Some(log) => (log, Stream::Stdout),
        None => (
            rest.strip_suffix(b"\",\"stream\":\"stderr")?,
            Stream::Stderr,
        ),
    };
    Some(Entry {
        stream,
        time,
        log: rest,
    })
}

/// Appends what the inside of a JSON string stands for; false if it can't be, or not quickly.
fn push_unescaped(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        let Some(at) = memchr::memchr2(b'\\', b'"', rest) else {
            out.extend_from_slice(rest);
            return true;
        };
        out.extend_from_slice(&rest[..at]);
        let Some(taken) = push_escape(out, &rest[at..]) else {
            return false;
        };
        rest = &rest[at + taken..];
    }
}

fn push_escape(out: &mut Vec<u8>, text: &[u8]) -> Option<usize> {
    if text[0] != b'\\' {
        return None;
    }
    let byte = match text.get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        byte @ (b'"' | b'\\' | b'/') => *byte,
        b'u' => {
            let code = text.get(2..6)?.iter().try_fold(0, |code, digit| {
                char::from(*digit)
                    .to_digit(16)
                    .map(|digit| code * 16 + digit)
            })?;
            // Surrogates come in pairs; they are left to the real JSON reader.
            let mut buffer = [0; 4];
            out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
            return Some(6);
        }
        _ => return None,
    };
    out.push(byte);
    Some(2)
}

/// As Go's `url.QueryEscape`.
fn push_query_escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const TIME: &str = "2026-03-01T10:00:00.5Z";

    fn decode(line: &str, options: ReadOptions) -> String {
        let mut out = Vec::new();
        Decoder::new(ReadOptions {
            framed: false,
            ..options
        })
        .push(&mut out, line.as_bytes());
        String::from_utf8(out).unwrap()
    }

    fn line(log: &str) -> String {
        format!("{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"{TIME}\"}}")
    }

    #[test]
    fn decodes_what_a_log_may_contain() {
        for (line, expected) in [
            (line("plain\\n"), "plain\n"),
            (line(""), ""),
            (line("q\\\"b\\\\u\\u003c\\u20ac\\t"), "q\"b\\u<€\t"),
            (line("\\ud83d\\ude00"), "😀"),
            (
                line("fake\\\",\\\"stream\\\":\\\"stdout"),
                "fake\",\"stream\":\"stdout",
            ),
            (line("ends in backslash\\\\"), "ends in backslash\\"),
            (line("bad \\x"), ""),
            (line("torn")[..20].to_string(), ""),
            (
                format!("{{\"time\":\"{TIME}\",\"stream\":\"stderr\",\"log\":\"other order\"}}"),
                "other order",
            ),
            (
                format!(
                    "{{\"log\":\"a\",\"stream\":\"stdout\",\"attrs\":{{\"k\":\"v\"}},\"time\":\"{TIME}\"}}"
                ),
                "a",
            ),
            (format!("{{\"stream\":\"stdout\",\"time\":\"{TIME}\"}}"), ""),
            (String::new(), ""),
            ("\0\0\0".into(), ""),
        ] {
            assert_eq!(decode(&line, ReadOptions::default()), expected, "{line}");
        }
    }

    #[test]
    fn times_and_details_stand_before_the_text() {
        let with = |timestamps, details| ReadOptions {
            timestamps,
            details,
            ..ReadOptions::default()
        };
        let attrs = format!(
            "{{\"log\":\"a\",\"stream\":\"stdout\",\"attrs\":{{\"k 1\":\"v&\",\"b\":\"2\"}},\"time\":\"{TIME}\"}}"
        );
        assert_eq!(
            decode(&attrs, with(true, true)),
            "2026-03-01T10:00:00.500000000Z b=2,k+1=v%26 a"
        );
        assert_eq!(
            decode(&line("a"), with(true, false)),
            "2026-03-01T10:00:00.500000000Z a"
        );
        assert_eq!(decode(&line("a"), with(false, true)), " a");
    }

    #[test]
    fn conditions() {
        let time = |text: &str| Some(text.parse().unwrap());
        let line = line("x");
        for (options, expected) in [
            (
                ReadOptions {
                    since: time(TIME),
                    until: time(TIME),
                    ..ReadOptions::default()
                },
                "x",
            ),
            (
                ReadOptions {
                    since: time("2026-03-01T10:00:00.6Z"),
                    ..ReadOptions::default()
                },
                "",
            ),
            (
                ReadOptions {
                    until: time("2026-03-01T10:00:00.4Z"),
                    ..ReadOptions::default()
                },
                "",
            ),
            (
                ReadOptions {
                    stdout: false,
                    ..ReadOptions::default()
                },
                "",
            ),
        ] {
            assert_eq!(decode(&line, options.clone()), expected, "{options:?}");
        }
    }

    #[test]
    fn frames_have_docker_headers() {
        let mut out = Vec::new();
        Decoder::new(ReadOptions::default()).push(&mut out, line("abc\\n").as_bytes());
        assert_eq!(out, b"\x01\0\0\0\0\0\0\x04abc\n");
    }
}
