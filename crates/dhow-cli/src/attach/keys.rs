//! The key sequence that detaches from a container.

use bytes::Bytes;

use crate::error::{Error, Result};

/// What is typed to detach where nothing else is set.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// Reads a sequence like `ctrl-p,ctrl-q` or `a,ctrl-]`; an empty one is the default.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    text.split(',')
        .map(key)
        .collect::<Option<_>>()
        .ok_or_else(|| {
            Error::text(format!(
                "invalid detach keys ({text}): Unknown character: '{}'",
                culprit(text)
            ))
        })
}

fn key(name: &str) -> Option<u8> {
    match name.as_bytes() {
        [letter] => Some(*letter),
        [b'c', b't', b'r', b'l', b'-', key] => match key {
            b'a'..=b'z' => Some(key - b'a' + 1),
            b'@' => Some(0),
            b'[' => Some(27),
            b'\\' => Some(28),
            b']' => Some(29),
            b'^' => Some(30),
            b'_' => Some(31),
            _ => None,
        },
        _ if name == "DEL" => Some(127),
        _ => None,
    }
}

fn culprit(text: &str) -> &str {
    text.split(',')
        .find(|name| key(name).is_none())
        .unwrap_or(text)
}

/// Watches input for the sequence.
#[derive(Debug)]
pub(crate) struct Detacher {
    keys: Vec<u8>,
    /// How many of the keys the last bytes were; they are held back.
    matched: usize,
}

/// What to do with input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send these bytes.
    Pass(Bytes),
    /// Send these bytes, then detach.
    Detach(Bytes),
}

impl Detacher {
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    pub(crate) fn feed(&mut self, data: &[u8]) -> Step {
        let mut out = Vec::with_capacity(data.len());
        for &byte in data {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return Step::Detach(out.into());
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            if self.keys.first() == Some(&byte) {
                self.matched = 1;
            } else {
                out.push(byte);
            }
        }
        Step::Pass(out.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sequences_are_read() {
        assert_eq!(parse("").unwrap(), [16, 17]);
        assert_eq!(parse("ctrl-a,x,ctrl-]").unwrap(), [1, b'x', 29]);
        assert_eq!(
            parse("a,foo").unwrap_err().to_string(),
            "invalid detach keys (a,foo): Unknown character: 'foo'"
        );
    }

    #[test]
    fn only_the_whole_sequence_detaches() {
        let pass = |bytes: &'static [u8]| Step::Pass(Bytes::from_static(bytes));
        let mut detacher = Detacher::new(vec![16, 17]);
        assert_eq!(detacher.feed(b"ab\x10"), pass(b"ab"));
        assert_eq!(detacher.feed(b"c"), pass(b"\x10c"));
        assert_eq!(detacher.feed(b"\x10\x10"), pass(b"\x10"));
        assert_eq!(detacher.feed(b"\x11rest"), Step::Detach(Bytes::new()));
    }
}
