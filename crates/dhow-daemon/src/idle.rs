//! Giving memory back when nobody is connected.
//!
//! A daemon waits for days between two requests. What the last ones needed (heap that was freed, pages of the program
//! that were run once) is given back to the kernel when it has been quiet for a while; it comes back when touched.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// How long nobody must be connected.
const QUIET: Duration = Duration::from_secs(5);

/// Counts who is connected; clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Idle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    connected: AtomicUsize,
    changed: Notify,
}

/// Somebody who is connected, until this is dropped.
#[derive(Debug)]
pub(crate) struct Connected(Idle);

impl Idle {
    /// Notes that somebody is connected.
    pub(crate) fn connected(&self) -> Connected {
        self.0.connected.fetch_add(1, Ordering::Relaxed);
        self.0.changed.notify_one();
        Connected(self.clone())
    }

    /// Runs `rest` whenever it has been quiet for a while, for ever.
    pub(crate) async fn watch(self, rest: impl Fn()) {
        loop {
            let changed = self.0.changed.notified();
            if self.0.connected.load(Ordering::Relaxed) > 0 {
                changed.await;
                continue;
            }
            if tokio::time::timeout(QUIET, changed).await.is_err() {
                rest();
                self.0.changed.notified().await;
            }
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.0.connected.fetch_sub(1, Ordering::Relaxed);
        self.0.0.changed.notify_one();
    }
}

/// Gives back what only the past needed.
pub(crate) fn give_back() {
    dhow_sys::memory::trim_heap();
    // Without /proc there is nothing to read the program's mappings from; it stays a little larger.
    let _ = dhow_sys::memory::release_code();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rest_comes_once_after_each_busy_time() {
        let idle = Idle::default();
        let rests = Arc::new(AtomicU32::new(0));
        let count = rests.clone();
        tokio::spawn(idle.clone().watch(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        let after = async |seconds| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            rests.load(Ordering::Relaxed)
        };
        assert_eq!(after(60).await, 1);
        let first = idle.connected();
        assert_eq!(after(60).await, 1);
        let second = idle.connected();
        drop(first);
        assert_eq!(after(60).await, 1);
        drop(second);
        assert_eq!(after(2).await, 1);
        assert_eq!(after(60).await, 2);
    }
}
