//! The multiplexed form of a container's output: frames of an 8-byte header (stream, three zeros, big-endian
//! length) and the data.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::{Error, Result};

/// Which of the container's streams a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// What goes to standard output.
    Stdout,
    /// What goes to standard error.
    Stderr,
}

/// Takes frames apart, however the bytes arrive; data is handed on before its frame is complete.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: BytesMut,
    current: Option<(Target, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Show(Stream),
    /// An error of the engine itself, shown when complete.
    SystemError,
}

const HEADER: usize = 8;

impl Decoder {
    /// Adds what arrived.
    pub fn feed(&mut self, data: &[u8]) {
        self.pending.extend_from_slice(data);
    }

    /// The next piece of output.
    ///
    /// # Errors
    /// If the bytes are no frames, or a frame carries an error of the engine.
    pub fn next_piece(&mut self) -> Result<Option<(Stream, Bytes)>> {
        loop {
            let Some((target, left)) = self.current else {
                if self.pending.len() < HEADER {
                    return Ok(None);
                }
                let target = match self.pending[0] {
                    0 | 1 => Target::Show(Stream::Stdout),
                    2 => Target::Show(Stream::Stderr),
                    3 => Target::SystemError,
                    other => {
                        return Err(Error::text(format!("unrecognized stream: {other}")));
                    }
                };
                self.pending.advance(4);
                let length = usize::try_from(self.pending.get_u32()).unwrap_or(usize::MAX);
                self.current = (length > 0).then_some((target, length));
                continue;
            };
            if self.pending.is_empty() {
                return Ok(None);
            }
            match target {
                Target::Show(stream) => {
                    let data = self.pending.split_to(left.min(self.pending.len())).freeze();
                    let left = left - data.len();
                    self.current = (left > 0).then_some((target, left));
                    return Ok(Some((stream, data)));
                }
                Target::SystemError if self.pending.len() < left => return Ok(None),
                Target::SystemError => {
                    let text = self.pending.split_to(left);
                    self.current = None;
                    return Err(Error::text(format!(
                        "error from daemon in stream: {}",
                        String::from_utf8_lossy(&text)
                    )));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn frame(stream: u8, data: &[u8]) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(data);
        frame
    }

    #[test]
    fn frames_are_joined_however_they_arrive() {
        let mut bytes = frame(1, b"hello ");
        bytes.extend(frame(2, b"oops"));
        bytes.extend(frame(1, b""));
        bytes.extend(frame(1, b"world"));
        for step in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(step) {
                decoder.feed(piece);
                while let Some((stream, data)) = decoder.next_piece().unwrap() {
                    match stream {
                        Stream::Stdout => out.extend_from_slice(&data),
                        Stream::Stderr => err.extend_from_slice(&data),
                    }
                }
            }
            assert_eq!(
                (out.as_slice(), err.as_slice()),
                (&b"hello world"[..], &b"oops"[..])
            );
        }
    }

    #[test]
    fn the_engines_own_errors_and_garbage_are_errors() {
        let mut decoder = Decoder::default();
        decoder.feed(&frame(3, b"log driver failed"));
        assert_eq!(
            decoder.next_piece().unwrap_err().to_string(),
            "error from daemon in stream: log driver failed"
        );
        let mut decoder = Decoder::default();
        decoder.feed(b"plain text without frames");
        assert_eq!(
            decoder.next_piece().unwrap_err().to_string(),
            "unrecognized stream: 112"
        );
    }
}
