//! Which stopped containers are kept as they are: the last few that were changed. The others are packed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Container;
use super::outline::Pools;

/// How many stopped containers are kept unpacked.
const ROOM: usize = 64;

/// The stopped containers that were changed last.
#[derive(Default)]
pub(crate) struct Shelf {
    queue: Mutex<VecDeque<Weak<Container>>>,
    pools: Pools,
}

impl Shelf {
    /// Puts a container on the shelf that is not there yet; the one that is there for longest is packed for it.
    pub(super) fn put(&self, container: Weak<Container>) {
        let fallen = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push_back(container);
            if queue.len() > ROOM {
                queue.pop_front()
            } else {
                None
            }
        };
        if let Some(container) = fallen.as_ref().and_then(Weak::upgrade) {
            container.pack(&self.pools);
        }
    }
}

/// A container's place: the shelf, and itself.
pub(super) struct Place {
    pub(super) shelf: Arc<Shelf>,
    pub(super) container: Weak<Container>,
}
