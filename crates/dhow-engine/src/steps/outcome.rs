//! What a step prints, and how it ends.

use std::sync::Arc;

use dhow_shim::{ExitRecord, ShimEvent};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::StepOutput;

/// The output's buffer: a pipe's worth.
const BUFFER: usize = 64 * 1024;
/// The length of a frame's head: stream, three zeros, length.
const HEAD: usize = 8;

/// Hands the frames of an attached supervisor on until they end.
///
/// A supervisor that ends early ends them too; how the step ended says whether that was so.
pub(super) async fn forward(mut stream: impl AsyncRead + Unpin, output: Arc<dyn StepOutput>) {
    let mut buffer = vec![0; BUFFER];
    let mut frames = Frames::default();
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => frames.take(&buffer[..length], output.as_ref()),
        }
    }
}

/// Frames as they come, cut anywhere.
#[derive(Debug, Default)]
struct Frames {
    head: Vec<u8>,
    stream: u8,
    /// How much of the frame is still to come.
    left: usize,
}

impl Frames {
    fn take(&mut self, mut bytes: &[u8], output: &dyn StepOutput) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
                output.write(self.stream, piece);
                self.left -= piece.len();
                bytes = rest;
                continue;
            }
            let (piece, rest) = bytes.split_at((HEAD - self.head.len()).min(bytes.len()));
            self.head.extend_from_slice(piece);
            bytes = rest;
            if let [stream, _, _, _, a, b, c, d] = self.head[..] {
                self.stream = stream;
                self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(0);
                self.head.clear();
            }
        }
    }
}

/// Waits for the end of the supervisor; gives how the command ended, if that was told.
pub(super) async fn ended(mut events: mpsc::Receiver<ShimEvent>) -> Option<ExitRecord> {
    let mut exit = None;
    while let Some(event) = events.recv().await {
        if let ShimEvent::Exited(record) = event {
            exit = Some(record);
        }
    }
    exit
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<(u8, String)>>);

    impl StepOutput for Lines {
        fn write(&self, stream: u8, bytes: &[u8]) {
            let mut list = self.0.lock().unwrap();
            let text = String::from_utf8_lossy(bytes).into_owned();
            match list.last_mut() {
                Some((last, before)) if *last == stream => before.push_str(&text),
                _ => list.push((stream, text)),
            }
        }
    }

    #[test]
    fn frames_arrive_whatever_the_cuts() {
        let mut bytes = Vec::new();
        for (stream, text) in [(1_u8, "one\n"), (2, "two"), (2, ""), (1, "three")] {
            bytes.extend([stream, 0, 0, 0]);
            bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        let expected = [(1, "one\n"), (2, "two"), (1, "three")].map(|(s, t)| (s, t.to_owned()));
        for step in 1..bytes.len() {
            let (mut frames, lines) = (Frames::default(), Lines::default());
            for part in bytes.chunks(step) {
                frames.take(part, &lines);
            }
            assert_eq!(*lines.0.lock().unwrap(), expected, "cut every {step}");
        }
    }
}
