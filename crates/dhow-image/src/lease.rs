//! Leases: content that running work depends on and garbage collection must leave alone.
//!
//! Whoever is about to rely on a blob or a layer takes a lease on its digest *before* looking whether it is there.
//! Garbage collection removes one digest at a time, and never one that is leased now or was leased at
//! any time since the collection began: between reading the records and removing, work may have finished and left its
//! content to a record the collection hasn't seen. Who wants a lease on what is just being removed waits for that.
//!
//! Work that learns the digests only as it goes (loading an archive) takes a *hold*: nothing at all is removed then,
//! and the work collects what it left behind itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use dhow_oci::Digest;

/// All leases of a store.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    state: Mutex<State>,
    /// Told when something has been removed.
    removed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<Digest, usize>,
    collections: usize,
    holds: usize,
    /// A hold ended while a collection runs.
    held: bool,
    /// Leases ended while a collection runs.
    ended: HashSet<Digest>,
    removing: HashSet<Digest>,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Protects `digests` until the lease is dropped.
    pub(crate) fn take(self: &Arc<Self>, digests: impl IntoIterator<Item = Digest>) -> Lease {
        let mut lease = Lease {
            leases: Arc::clone(self),
            digests: Vec::new(),
        };
        lease.extend(digests);
        lease
    }

    /// Protects everything until the hold is dropped.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        let state = self.lock();
        let mut state = self
            .removed
            .wait_while(state, |state| !state.removing.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state.holds += 1;
        drop(state);
        Hold {
            leases: Arc::clone(self),
        }
    }

    /// Whether work under way depends on `digest`, or may.
    pub(crate) fn protects(&self, digest: &Digest) -> bool {
        let state = self.lock();
        state.holds > 0 || state.counts.contains_key(digest)
    }

    /// Marks the beginning of a collection.
    pub(crate) fn collect(self: &Arc<Self>) -> Collection {
        self.lock().collections += 1;
        Collection {
            leases: Arc::clone(self),
        }
    }
}

/// Protection of some digests; ends when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Arc<Leases>,
    digests: Vec<Digest>,
}

impl Lease {
    /// Protects more.
    pub(crate) fn extend(&mut self, digests: impl IntoIterator<Item = Digest>) {
        let digests: Vec<Digest> = digests.into_iter().collect();
        let leases = &self.leases;
        let mut state = leases
            .removed
            .wait_while(leases.lock(), |state| {
                digests.iter().any(|d| state.removing.contains(d))
            })
            .unwrap_or_else(PoisonError::into_inner);
        for digest in &digests {
            *state.counts.entry(*digest).or_default() += 1;
        }
        drop(state);
        self.digests.extend(digests);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.leases.lock();
        let collecting = state.collections > 0;
        for digest in &self.digests {
            if let Some(count) = state.counts.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    state.counts.remove(digest);
                }
            }
            if collecting {
                state.ended.insert(*digest);
            }
        }
    }
}

/// Protection of everything; ends when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    leases: Arc<Leases>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.leases.lock();
        state.holds -= 1;
        state.held |= state.collections > 0;
    }
}

/// A garbage collection under way.
#[derive(Debug)]
pub(crate) struct Collection {
    leases: Arc<Leases>,
}

impl Collection {
    /// Runs `remove` for `digest` unless it is protected; nobody gets a lease on it meanwhile.
    pub(crate) fn unless_leased<T>(
        &self,
        digest: &Digest,
        remove: impl FnOnce() -> T,
    ) -> Option<T> {
        {
            let mut state = self.leases.lock();
            let all = state.holds > 0 || state.held;
            let taken = state.counts.contains_key(digest) || state.ended.contains(digest);
            if all || taken || !state.removing.insert(*digest) {
                return None;
            }
        }
        let removing = Removing {
            leases: &self.leases,
            digest: *digest,
        };
        let result = remove();
        drop(removing);
        Some(result)
    }
}

/// One removal under way; ends even if it panics, or those who wait for it would for ever.
struct Removing<'a> {
    leases: &'a Leases,
    digest: Digest,
}

impl Drop for Removing<'_> {
    fn drop(&mut self) {
        self.leases.lock().removing.remove(&self.digest);
        self.leases.removed.notify_all();
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        let mut state = self.leases.lock();
        state.collections -= 1;
        if state.collections == 0 {
            state.ended.clear();
            state.held = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leased_is_kept_even_if_the_lease_ends_during_the_collection() {
        let leases = Arc::new(Leases::default());
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let lease = leases.take([a]);
        let collection = leases.collect();
        assert!(collection.unless_leased(&a, || ()).is_none());
        assert!(collection.unless_leased(&b, || ()).is_some());
        drop(lease);
        assert!(collection.unless_leased(&a, || ()).is_none());
        drop(collection);
        assert!(leases.collect().unless_leased(&a, || ()).is_some());
    }

    #[test]
    fn a_hold_keeps_everything() {
        let leases = Arc::new(Leases::default());
        let a = Digest::of(b"a");
        let hold = leases.hold();
        let collection = leases.collect();
        assert!(collection.unless_leased(&a, || ()).is_none());
        drop(hold);
        assert!(collection.unless_leased(&a, || ()).is_none());
        drop(collection);
        assert!(leases.collect().unless_leased(&a, || ()).is_some());
    }

    #[test]
    fn a_lease_waits_for_the_removal_under_way_only() {
        let leases = Arc::new(Leases::default());
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let gone = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            leases.collect().unless_leased(&a, || {
                drop(leases.take([b]));
                scope.spawn(|| {
                    let _lease = leases.take([a]);
                    assert!(gone.load(std::sync::atomic::Ordering::SeqCst));
                });
                std::thread::yield_now();
                gone.store(true, std::sync::atomic::Ordering::SeqCst);
            });
        });
    }

    #[test]
    fn two_leases_on_one_digest_end_with_the_second() {
        let leases = Arc::new(Leases::default());
        let a = Digest::of(b"a");
        let (first, second) = (leases.take([a]), leases.take([a]));
        drop(first);
        assert!(leases.collect().unless_leased(&a, || ()).is_none());
        drop(second);
        assert!(leases.collect().unless_leased(&a, || ()).is_some());
    }
}
