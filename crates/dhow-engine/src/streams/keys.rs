//! Detach keys: a sequence in a client's input that ends its attachment.

use dhow_container::spec::Invalid;

/// The sequence when none is given: Ctrl-P Ctrl-Q.
const DEFAULT: &[u8] = &[16, 17];

/// Reads `ctrl-p,ctrl-q` or `a,b`; nothing means the default, an empty text no keys at all.
///
/// # Errors
/// A key is neither a character nor `ctrl-` with one of `a`-`z`, `@`, `[`, `\`, `]`, `^`, `_`.
pub(crate) fn keys(text: Option<&str>) -> Result<Vec<u8>, Invalid> {
    match text {
        None | Some("") => Ok(DEFAULT.to_vec()),
        Some(text) => text.split(',').map(|key| byte(text, key)).collect(),
    }
}

fn byte(text: &str, key: &str) -> Result<u8, Invalid> {
    let fail = || Invalid(format!("Invalid detach keys ({text}) provided"));
    if let &[byte] = key.as_bytes() {
        return Ok(byte);
    }
    let &[letter] = key.strip_prefix("ctrl-").ok_or_else(fail)?.as_bytes() else {
        return Err(fail());
    };
    match letter {
        b'a'..=b'z' => Ok(letter - b'a' + 1),
        b'@' => Ok(0),
        b'[' => Ok(27),
        b'\\' => Ok(28),
        b']' => Ok(29),
        b'^' => Ok(30),
        b'_' => Ok(31),
        _ => Err(fail()),
    }
}

/// Looks for the keys in input that comes in pieces.
#[derive(Debug)]
pub(crate) struct Scanner {
    keys: Vec<u8>,
    /// How many of the keys were just read, and are held back.
    matched: usize,
}

/// What is to be done with a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// The bytes to pass on, those held back before included.
    pub(crate) pass: Vec<u8>,
    /// The keys were read.
    pub(crate) detach: bool,
}

impl Scanner {
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Whether input can be passed on without being looked at.
    pub(crate) fn is_idle(&self, input: &[u8]) -> bool {
        self.matched == 0 && self.keys.first().is_none_or(|first| !input.contains(first))
    }

    pub(crate) fn scan(&mut self, input: &[u8]) -> Scanned {
        let mut pass = Vec::with_capacity(input.len() + self.matched);
        for &byte in input {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return Scanned { pass, detach: true };
                }
                continue;
            }
            pass.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            if self.keys.first() == Some(&byte) {
                self.matched = 1;
            } else {
                pass.push(byte);
            }
        }
        Scanned {
            pass,
            detach: false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn keys_are_read() {
        assert_eq!(keys(None).unwrap(), [16, 17]);
        assert_eq!(keys(Some("ctrl-x,a")).unwrap(), [24, b'a']);
        assert_eq!(keys(Some("ctrl-[")).unwrap(), [27]);
        let error = keys(Some("ctrl-pq")).unwrap_err();
        assert_eq!(error.to_string(), "Invalid detach keys (ctrl-pq) provided");
    }

    #[test]
    fn keys_are_found_across_pieces_and_held_back_until_then() {
        let mut scanner = Scanner::new(vec![16, 17]);
        assert!(scanner.is_idle(b"ls\n"));
        assert_eq!(
            scanner.scan(b"ab\x10"),
            Scanned {
                pass: b"ab".to_vec(),
                detach: false
            }
        );
        assert_eq!(
            scanner.scan(b"c"),
            Scanned {
                pass: b"\x10c".to_vec(),
                detach: false
            }
        );
        assert_eq!(
            scanner.scan(b"\x10\x10"),
            Scanned {
                pass: b"\x10".to_vec(),
                detach: false
            }
        );
        assert_eq!(
            scanner.scan(b"\x11x"),
            Scanned {
                pass: Vec::new(),
                detach: true
            }
        );
    }
}
