//! The execs in memory. They don't outlive the engine, as in Docker.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{CreateExec, ExecDetails};
use crate::{Error, Result};

/// How many ended execs of a container are kept for those who ask for their exit codes.
const KEPT: usize = 64;

/// All execs.
#[derive(Debug, Default)]
pub(crate) struct ExecSet {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    execs: HashMap<String, Entry>,
    /// The ids by container, oldest first.
    by_container: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Entry {
    details: ExecDetails,
    started: bool,
    /// Whether its process is there, or was.
    ready: watch::Sender<bool>,
    /// Whether it has ended.
    ended: watch::Sender<bool>,
}

impl ExecSet {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an exec that has not been started, and forgets the oldest ended ones.
    pub(crate) fn insert(&self, id: String, container_id: String, request: CreateExec) {
        let mut inner = self.lock();
        let Inner {
            execs,
            by_container,
        } = &mut *inner;
        let list = by_container.entry(container_id.clone()).or_default();
        let ended = |id: &String| execs.get(id).is_none_or(|entry| *entry.ended.borrow());
        let surplus = list
            .iter()
            .filter(|id| ended(id))
            .count()
            .saturating_sub(KEPT);
        let gone: Vec<String> = list
            .iter()
            .filter(|id| ended(id))
            .take(surplus)
            .cloned()
            .collect();
        list.retain(|id| !gone.contains(id));
        list.push(id.clone());
        for id in gone {
            execs.remove(&id);
        }
        let details = ExecDetails {
            id: id.clone(),
            container_id,
            request,
            running: false,
            exit_code: None,
            pid: 0,
            can_remove: false,
        };
        let (ended, _) = watch::channel(false);
        let (ready, _) = watch::channel(false);
        execs.insert(
            id,
            Entry {
                details,
                started: false,
                ready,
                ended,
            },
        );
    }

    /// What is known of an exec.
    pub(crate) fn get(&self, id: &str) -> Result<ExecDetails> {
        let inner = self.lock();
        inner
            .execs
            .get(id)
            .map(|entry| entry.details.clone())
            .ok_or_else(|| missing(id))
    }

    /// Notes that an exec is being started; only the first one may.
    pub(crate) fn begin(&self, id: &str) -> Result<ExecDetails> {
        let mut inner = self.lock();
        let entry = inner.execs.get_mut(id).ok_or_else(|| missing(id))?;
        if entry.details.running {
            return Err(Error::Conflict(format!(
                "exec command {id} is already running"
            )));
        }
        if entry.started {
            return Err(Error::Conflict(format!(
                "exec command {id} has already run"
            )));
        }
        entry.started = true;
        entry.details.running = true;
        Ok(entry.details.clone())
    }

    /// Notes that an exec runs.
    pub(crate) fn started(&self, id: &str, pid: u32) {
        if let Some(entry) = self.lock().execs.get_mut(id) {
            entry.details.pid = pid;
            entry.ready.send_replace(true);
        }
    }

    /// Notes how an exec has ended; gives what is known of it if that is news.
    pub(crate) fn end(&self, id: &str, code: i32) -> Option<ExecDetails> {
        let mut inner = self.lock();
        let entry = inner.execs.get_mut(id)?;
        if !entry.details.running {
            return None;
        }
        entry.details.running = false;
        entry.details.exit_code = Some(code);
        entry.ready.send_replace(true);
        entry.ended.send_replace(true);
        Some(entry.details.clone())
    }

    /// Waits until an exec's process is there, or was.
    ///
    /// # Errors
    /// There is no such exec, or it is forgotten meanwhile.
    pub(crate) async fn ready(&self, id: &str) -> Result<()> {
        let receiver = self
            .lock()
            .execs
            .get(id)
            .map(|entry| entry.ready.subscribe());
        let mut receiver = receiver.ok_or_else(|| missing(id))?;
        let waited = receiver.wait_for(|ready| *ready).await;
        waited.map(drop).map_err(|_| missing(id))
    }

    /// Waits until an exec has ended, and gives its exit code; −1 when it is forgotten meanwhile.
    pub(crate) async fn ended(&self, id: &str) -> i32 {
        let receiver = self
            .lock()
            .execs
            .get(id)
            .map(|entry| entry.ended.subscribe());
        if let Some(mut receiver) = receiver {
            // An error means that it was forgotten.
            let _ = receiver.wait_for(|ended| *ended).await;
        }
        self.get(id)
            .ok()
            .and_then(|details| details.exit_code)
            .unwrap_or(-1)
    }

    /// The execs of a container that have not ended.
    pub(crate) fn of(&self, container_id: &str) -> Vec<String> {
        let inner = self.lock();
        let ids = inner.by_container.get(container_id).into_iter().flatten();
        ids.filter(|id| {
            inner
                .execs
                .get(*id)
                .is_some_and(|entry| !*entry.ended.borrow())
        })
        .cloned()
        .collect()
    }

    /// Forgets an exec.
    pub(crate) fn forget(&self, id: &str) {
        let mut inner = self.lock();
        if let Some(entry) = inner.execs.remove(id)
            && let Some(list) = inner.by_container.get_mut(&entry.details.container_id)
        {
            list.retain(|other| other != id);
        }
    }

    /// Forgets all execs of a container.
    pub(crate) fn forget_all(&self, container_id: &str) {
        let mut inner = self.lock();
        for id in inner
            .by_container
            .remove(container_id)
            .into_iter()
            .flatten()
        {
            inner.execs.remove(&id);
        }
    }
}

fn missing(id: &str) -> Error {
    Error::NoSuchExec(id.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_exec_starts_once_and_ends_once() {
        let set = ExecSet::default();
        set.insert("e".into(), "c".into(), CreateExec::default());
        set.begin("e").unwrap();
        assert_eq!(
            set.begin("e").unwrap_err().to_string(),
            "exec command e is already running"
        );
        set.started("e", 7);
        assert!(set.end("e", 3).is_some() && set.end("e", 4).is_none());
        assert_eq!(
            set.begin("e").unwrap_err().to_string(),
            "exec command e has already run"
        );
        assert_eq!(set.get("e").unwrap().exit_code, Some(3));
        set.forget_all("c");
        assert_eq!(
            set.get("e").unwrap_err().to_string(),
            "No such exec instance: e"
        );
    }

    #[test]
    fn old_execs_are_forgotten() {
        let set = ExecSet::default();
        for number in 0..200 {
            let id = number.to_string();
            set.insert(id.clone(), "c".into(), CreateExec::default());
            set.begin(&id).unwrap();
            set.end(&id, 0);
        }
        assert!(set.lock().execs.len() <= KEPT + 1);
        assert!(set.get("199").is_ok() && set.get("0").is_err());
    }
}
