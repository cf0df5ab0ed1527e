//! Telling how far a layer is, not more often than anyone can read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Progress, ProgressSender};

const BETWEEN: Duration = Duration::from_millis(100);

/// The progress of one layer; clones tell of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sender: ProgressSender,
    id: String,
    total: u64,
    told: Mutex<Option<Instant>>,
    /// All bytes are here; what remains is unpacking.
    complete: AtomicBool,
}

impl Meter {
    pub(crate) fn new(sender: &ProgressSender, id: String, total: u64) -> Self {
        let shared = Shared {
            sender: sender.clone(),
            id,
            total,
            told: Mutex::default(),
            complete: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A status that everybody must see.
    pub(crate) async fn status(&self, status: &str) {
        // Nobody listening is no reason to stop.
        let _ = self
            .shared
            .sender
            .send(Progress::of(self.shared.id.clone(), status))
            .await;
    }

    /// Bytes that came in.
    pub(crate) fn downloading(&self, current: u64) {
        self.sometimes("Downloading", current);
    }

    /// Bytes that went out.
    pub(crate) fn pushing(&self, current: u64) {
        self.sometimes("Pushing", current);
    }

    /// All bytes came in.
    pub(crate) fn complete(&self) {
        self.shared.complete.store(true, Ordering::Relaxed);
    }

    /// Bytes that were unpacked; told only when nothing comes in any more.
    pub(crate) fn unpacking(&self, current: u64) {
        if self.shared.complete.load(Ordering::Relaxed) {
            self.sometimes("Extracting", current);
        }
    }

    fn sometimes(&self, status: &str, current: u64) {
        let mut told = self
            .shared
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| told.elapsed() < BETWEEN) && current != self.shared.total {
            return;
        }
        *told = Some(Instant::now());
        let progress = Progress::at(self.shared.id.clone(), status, current, self.shared.total);
        // A reader that is behind misses some.
        let _ = self.shared.sender.try_send(progress);
    }
}
