//! Steps under way: the same step of several builds is done by one, and the others wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dhow_oci::Digest;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// All steps under way; clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<Digest, Weak<AsyncMutex<()>>>>>);

impl Flights {
    /// Waits until nobody does the step `key`. Whoever holds what this gives does it; if it was done meanwhile, it is in
    /// the cache, and if it failed or was given up, it is the next one's turn.
    pub(crate) async fn board(&self, key: &Digest) -> OwnedMutexGuard<()> {
        let lock = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(key).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    flights.retain(|_, lock| lock.strong_count() > 0);
                    let lock = Arc::new(AsyncMutex::new(()));
                    flights.insert(*key, Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}
