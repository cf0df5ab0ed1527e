//! The steps that run now.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// The longest id: it is part of paths and of a socket's address.
const LONGEST_ID: usize = 64;

/// The steps that run now.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepSet {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: Mutex<HashSet<String>>,
    left: Notify,
    ending: CancellationToken,
}

/// A step that runs; it has ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    set: StepSet,
    id: String,
}

impl StepSet {
    /// Notes that a step begins.
    ///
    /// # Errors
    /// The id is taken or no id, or the engine is ending.
    pub(crate) fn enter(&self, id: &str) -> Result<Guard> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(fits) {
            return Err(Error::Refused(format!("{id:?} can't be a step's id")));
        }
        if self.shared.ending.is_cancelled() {
            return Err(Error::Refused("the engine is ending".into()));
        }
        if !self.running().insert(id.to_owned()) {
            return Err(Error::Conflict(format!("step {id} runs already")));
        }
        Ok(Guard {
            set: self.clone(),
            id: id.to_owned(),
        })
    }

    /// Cancelled when all steps have to end.
    pub(crate) fn ending(&self) -> CancellationToken {
        self.shared.ending.clone()
    }

    /// Kills all steps and waits until nothing of them is left.
    pub(crate) async fn end(&self) {
        self.shared.ending.cancel();
        self.until(HashSet::is_empty).await;
    }

    /// Waits until nothing of that step is left.
    pub(crate) async fn settled(&self, id: &str) {
        self.until(|running| !running.contains(id)).await;
    }

    async fn until(&self, done: impl Fn(&HashSet<String>) -> bool) {
        loop {
            let left = self.shared.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if done(&self.running()) {
                return;
            }
            left.await;
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.shared
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.set.running().remove(&self.id);
        self.set.shared.left.notify_waiters();
    }
}
