//! One container in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use dhow_metadata::Database;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};

use crate::Result;
use crate::container::{ContainerRecord, Exit};
use crate::supervisor::Task;
use dhow_shim::AttachRequest;

/// One container: its record, its lock, and what is alive of it.
///
/// Whoever changes a container's life holds `lifecycle`; whoever only looks takes [`Container::record`], which never
/// waits for that.
pub(crate) struct Container {
    pub(crate) id: String,
    /// Serialises start, stop, exit, removal and the like.
    pub(crate) lifecycle: tokio::sync::Mutex<()>,
    record: RwLock<Arc<ContainerRecord>>,
    /// Serialises changes to the record, so that none is lost.
    saving: Mutex<()>,
    live: Mutex<Live>,
    exits: watch::Sender<Exits>,
}

/// What is alive of a container.
#[derive(Default)]
pub(crate) struct Live {
    /// Its supervisor, while there is one.
    pub(crate) task: Option<Task>,
    /// Clients that wait to be attached at the next start.
    pub(crate) pending: Vec<Pending>,
    /// Dropped to call the next restart off.
    pub(crate) restart: Option<oneshot::Sender<()>>,
    /// It is being restarted by the user: not to be removed at its end, whatever it wishes.
    pub(crate) keep: bool,
    /// How often in a row it was restarted quickly.
    pub(crate) quick_restarts: u32,
    /// Dropped when the container ends; ends the health check.
    pub(crate) monitor: Option<oneshot::Sender<()>>,
}

/// A client that waits to be attached at the next start.
pub(crate) struct Pending {
    pub(crate) request: AttachRequest,
    pub(crate) reply: oneshot::Sender<UnixStream>,
}

/// How a container's runs have ended, for those who wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exits {
    /// How many runs have ended since the engine started.
    pub(crate) count: u64,
    /// How the last one ended.
    pub(crate) last: Exit,
    /// The container is gone.
    pub(crate) removed: bool,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Container {
    pub(crate) fn new(record: ContainerRecord) -> Self {
        let last = Exit {
            code: record.state.exit_code,
            error: None,
        };
        let (exits, _) = watch::channel(Exits {
            last,
            ..Exits::default()
        });
        Self {
            id: record.id.clone(),
            lifecycle: tokio::sync::Mutex::default(),
            record: RwLock::new(Arc::new(record)),
            saving: Mutex::default(),
            live: Mutex::default(),
            exits,
        }
    }

    /// The record as it is now.
    pub(crate) fn record(&self) -> Arc<ContainerRecord> {
        self.record
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the record and writes it to the database; on an error nothing is changed.
    pub(crate) fn save(
        &self,
        db: &Database,
        change: impl FnOnce(&mut ContainerRecord),
    ) -> Result<Arc<ContainerRecord>> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = ContainerRecord::clone(&self.record());
        change(&mut record);
        db.put(&self.id, &record)?;
        Ok(self.publish(record))
    }

    /// As [`Container::save`], for what has happened whether or not it can be written: when it can't, the record is
    /// changed in memory, and written with its next change. What is lost should the engine end before that, the
    /// supervisor's records tell.
    pub(crate) fn note(
        &self,
        db: &Database,
        change: impl FnOnce(&mut ContainerRecord),
    ) -> Arc<ContainerRecord> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = ContainerRecord::clone(&self.record());
        change(&mut record);
        if let Err(error) = db.put(&self.id, &record) {
            tracing::error!("record of {}: {}", self.id, dhow_errdefs::chain(&error));
        }
        self.publish(record)
    }

    /// Changes the record in memory only.
    pub(crate) fn change(&self, change: impl FnOnce(&mut ContainerRecord)) -> Arc<ContainerRecord> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = ContainerRecord::clone(&self.record());
        change(&mut record);
        self.publish(record)
    }

    fn publish(&self, record: ContainerRecord) -> Arc<ContainerRecord> {
        let record = Arc::new(record);
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = record.clone();
        record
    }

    /// What is alive; never held across an await.
    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The supervisor, while there is one.
    pub(crate) fn task(&self) -> Option<Task> {
        self.live().task.clone()
    }

    /// Sees how runs end from now on.
    pub(crate) fn exits(&self) -> watch::Receiver<Exits> {
        self.exits.subscribe()
    }

    /// Tells those who wait that a run has ended.
    pub(crate) fn ended(&self, exit: Exit) {
        self.exits.send_modify(|exits| {
            exits.count += 1;
            exits.last = exit;
        });
    }

    /// Tells those who wait that the container is gone.
    pub(crate) fn removed(&self) {
        self.exits.send_modify(|exits| exits.removed = true);
    }
}
