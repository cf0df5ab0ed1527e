//! Entries on their way from the thread that reads to the one that delivers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::Stream;
use crate::entry::{Entry, Part};

/// What an entry takes beside its line.
const OVERHEAD: usize = 64;

/// What to do with an entry for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Wait for room.
    Wait,
    /// Throw it away.
    Drop,
}

/// A queue of so many bytes at most; one entry fits always.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
    full: Full,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Owned>,
    bytes: usize,
    dropped: u64,
    ended: bool,
}

/// An entry with its line.
pub(super) struct Owned {
    stream: Stream,
    time: SystemTime,
    line: Box<[u8]>,
    part: Option<Part>,
}

impl Owned {
    pub(super) fn entry(&self) -> Entry<'_> {
        Entry {
            stream: self.stream,
            time: self.time,
            line: &self.line,
            part: self.part,
        }
    }
}

/// What comes next.
pub(super) enum Next {
    /// These entries.
    Entries(VecDeque<Owned>),
    /// Nothing any more.
    End,
}

impl Queue {
    pub(super) fn new(limit: usize, full: Full) -> Self {
        Self {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            limit,
            full,
        }
    }

    /// Adds an entry, or drops it.
    pub(super) fn push(&self, entry: &Entry<'_>) {
        let size = entry.line.len() + OVERHEAD;
        let mut state = self.lock();
        while state.bytes > 0 && state.bytes + size > self.limit {
            if self.full == Full::Drop {
                state.dropped += 1;
                return;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += size;
        state.entries.push_back(Owned {
            stream: entry.stream,
            time: entry.time,
            line: entry.line.into(),
            part: entry.part,
        });
        if state.entries.len() == 1 {
            self.changed.notify_all();
        }
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits for entries, and takes all that are there. They count until [`Queue::taken`].
    pub(super) fn take(&self) -> Next {
        let mut state = self.lock();
        loop {
            if !state.entries.is_empty() {
                return Next::Entries(std::mem::take(&mut state.entries));
            }
            if state.ended {
                return Next::End;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// An entry that was taken is delivered, or lost: there is room for others.
    pub(super) fn taken(&self, entry: &Owned) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(entry.line.len() + OVERHEAD);
        self.changed.notify_all();
    }

    /// How many entries were thrown away so far.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    fn entry(line: &[u8]) -> Entry<'_> {
        Entry {
            stream: Stream::Stdout,
            time: UNIX_EPOCH,
            line,
            part: None,
        }
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_counts_them() {
        let queue = Queue::new(200, Full::Drop);
        for number in 0..10_u8 {
            queue.push(&entry(&[number; 10]));
        }
        assert_eq!(queue.dropped(), 8);
        let Next::Entries(entries) = queue.take() else {
            unreachable!("there are entries");
        };
        assert_eq!(
            entries
                .iter()
                .map(|entry| entry.line[0])
                .collect::<Vec<_>>(),
            [0, 1]
        );
        // What was taken and is not delivered yet counts still.
        queue.push(&entry(b"more of it"));
        assert_eq!(queue.dropped(), 9);
        entries.iter().for_each(|entry| queue.taken(entry));
        queue.push(&entry(&vec![0; 100_000]));
        assert_eq!(queue.dropped(), 9);
    }

    #[test]
    fn a_full_queue_makes_the_one_who_adds_wait() {
        let queue = Arc::new(Queue::new(200, Full::Wait));
        let adding = Arc::clone(&queue);
        let thread = std::thread::spawn(move || {
            for number in 0..100_u8 {
                adding.push(&entry(&[number; 10]));
            }
            adding.end();
        });
        let mut seen = Vec::new();
        while let Next::Entries(entries) = queue.take() {
            assert!(entries.len() <= 2);
            for entry in &entries {
                seen.push(entry.line[0]);
                queue.taken(entry);
            }
        }
        assert!(thread.join().is_ok());
        assert_eq!(seen, (0..100).collect::<Vec<u8>>());
    }
}
