//! Telling how far a layer is, not more often than anyone can read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use dhow_oci::Digest;

use crate::{Progress, ProgressSender};

const BETWEEN: Duration = Duration::from_millis(100);

/// The progress of one layer, told to one client; clones tell of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    shared: Arc<Shared>,
    /// Everybody who waits for that layer.
    audience: Audience,
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

/// The meters of one layer: one works, all are told.
type Listeners = Mutex<Vec<Weak<Shared>>>;
type Audience = Arc<Listeners>;

/// Who waits for which layer.
#[derive(Debug, Default)]
pub(crate) struct Audiences(Mutex<HashMap<Digest, Weak<Listeners>>>);

impl Audiences {
    /// Lets `meter` hear how far the layer `digest` is, whoever is at work on it.
    pub(crate) fn join(&self, digest: &Digest, meter: &Meter) -> Meter {
        let mut all = lock(&self.0);
        let audience = all.get(digest).and_then(Weak::upgrade);
        let audience = audience.unwrap_or_else(|| {
            all.retain(|_, audience| audience.strong_count() > 0);
            let audience = Audience::default();
            all.insert(*digest, Arc::downgrade(&audience));
            audience
        });
        let mut listeners = lock(&audience);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(&meter.shared));
        drop(listeners);
        Meter {
            shared: Arc::clone(&meter.shared),
            audience,
        }
    }
}

impl Meter {
    pub(crate) fn new(sender: &ProgressSender, id: String, total: u64) -> Self {
        let shared = Arc::new(Shared {
            sender: sender.clone(),
            id,
            total,
            told: Mutex::default(),
            complete: AtomicBool::new(false),
        });
        Self {
            audience: Arc::new(Mutex::new(vec![Arc::downgrade(&shared)])),
            shared,
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

    /// The registry wants to be asked later.
    pub(crate) fn retrying(&self, after: Duration) {
        let seconds = after.as_secs().max(1);
        let plural = if seconds == 1 { "" } else { "s" };
        for listener in self.listeners() {
            let status = format!("Retrying in {seconds} second{plural}");
            // A reader that is behind misses it.
            let _ = listener
                .sender
                .try_send(Progress::of(listener.id.clone(), status));
        }
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
        {
            let mut told = lock(&self.shared.told);
            if told.is_some_and(|told| told.elapsed() < BETWEEN) && current != self.shared.total {
                return;
            }
            *told = Some(Instant::now());
        }
        for listener in self.listeners() {
            let progress = Progress::at(
                listener.id.clone(),
                status,
                current.min(listener.total),
                listener.total,
            );
            // A reader that is behind misses some.
            let _ = listener.sender.try_send(progress);
        }
    }

    fn listeners(&self) -> Vec<Arc<Shared>> {
        lock(&self.audience)
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
