//! One container in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use dhow_metadata::Database;
use jiff::Timestamp;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};

use super::exits::{Exits, Teller};
use super::outline::{Outline, Pools};
use super::packed::Packed;
use super::shelf::{Place, Shelf};
use crate::Result;
use crate::container::{ContainerRecord, Exit};
use crate::supervisor::Task;
use dhow_shim::AttachRequest;

/// One container: its record, its lock, and what is alive of it.
///
/// Whoever changes a container's life holds `lifecycle`; whoever only looks takes [`Container::record`], which never
/// waits for that, or [`Container::outline`] when looking at many.
pub(crate) struct Container {
    pub(crate) id: String,
    /// Serialises start, stop, exit, removal and the like.
    pub(crate) lifecycle: tokio::sync::Mutex<()>,
    kept: RwLock<Kept>,
    /// Serialises changes to the record, so that none is lost.
    saving: Mutex<()>,
    live: Mutex<Live>,
    exits: Teller,
    /// Where stopped containers are kept for a while; none outside of a set.
    place: OnceLock<Place>,
    /// It is kept there.
    placed: AtomicBool,
}

/// The record, in one of two forms.
enum Kept {
    /// As it is, and in short if somebody has asked for that.
    Whole(Arc<ContainerRecord>, Option<Arc<Outline>>),
    /// In little room.
    Packed(Packed, Arc<Outline>),
}

/// What is alive of a container.
#[derive(Default)]
pub(crate) struct Live {
    /// Its supervisor, while there is one.
    pub(crate) task: Option<Task>,
    /// Clients that wait to be attached at the next start.
    pub(crate) pending: Vec<Pending>,
    /// When the next restart is, and what is dropped to call it off.
    pub(crate) restart: Option<(Timestamp, oneshot::Sender<()>)>,
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
        let exits = Exits {
            last,
            ..Exits::default()
        };
        Self {
            id: record.id.clone(),
            lifecycle: tokio::sync::Mutex::default(),
            kept: RwLock::new(Kept::Whole(Arc::new(record), None)),
            saving: Mutex::default(),
            live: Mutex::default(),
            exits: Teller::new(exits),
            place: OnceLock::new(),
            placed: AtomicBool::new(false),
        }
    }

    /// Gives it a place to be kept in when it is stopped.
    pub(super) fn settle(self: &Arc<Self>, shelf: &Arc<Shelf>) {
        let place = Place {
            shelf: shelf.clone(),
            container: Arc::downgrade(self),
        };
        // Who is put into a set twice stays where it is.
        let _ = self.place.set(place);
        self.rest();
    }

    /// The record as it is now. One that is packed is unpacked, and stays so for a while: whoever looks at many takes
    /// [`Container::outline`].
    pub(crate) fn record(&self) -> Arc<ContainerRecord> {
        if let Kept::Whole(record, _) = &*self.kept.read().unwrap_or_else(PoisonError::into_inner) {
            return record.clone();
        }
        let record = {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            match &*kept {
                Kept::Whole(record, _) => record.clone(),
                Kept::Packed(packed, outline) => {
                    let record = packed.unpack().map(Arc::new);
                    let record = record.expect("what was packed here can be unpacked");
                    *kept = Kept::Whole(record.clone(), Some(outline.clone()));
                    record
                }
            }
        };
        self.rest();
        record
    }

    /// The record in short, as it is now; cheap for any number of containers.
    pub(crate) fn outline(&self) -> Arc<Outline> {
        let record = match &*self.kept.read().unwrap_or_else(PoisonError::into_inner) {
            Kept::Whole(_, Some(outline)) | Kept::Packed(_, outline) => return outline.clone(),
            Kept::Whole(record, None) => record.clone(),
        };
        let outline = Arc::new(Outline::of(&record, None));
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let Kept::Whole(now, known) = &mut *kept
            && Arc::ptr_eq(now, &record)
        {
            *known = Some(outline.clone());
        }
        outline
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
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) =
            Kept::Whole(record.clone(), None);
        self.rest();
        record
    }

    /// Puts it on the shelf if it is stopped and not there.
    fn rest(&self) {
        let Some(place) = self.place.get() else {
            return;
        };
        let rests = match &*self.kept.read().unwrap_or_else(PoisonError::into_inner) {
            Kept::Whole(record, _) => !record.state.status.is_running(),
            Kept::Packed(..) => false,
        };
        if rests && !self.placed.swap(true, Ordering::Relaxed) {
            place.shelf.put(place.container.clone());
        }
    }

    /// Packs the record, unless the container runs or is being changed.
    pub(super) fn pack(&self, pools: &Pools) {
        self.placed.store(false, Ordering::Relaxed);
        let Ok(_saving) = self.saving.try_lock() else {
            return;
        };
        let record = match &*self.kept.read().unwrap_or_else(PoisonError::into_inner) {
            Kept::Whole(record, _) if !record.state.status.is_running() => record.clone(),
            _ => return,
        };
        let outline = Arc::new(Outline::of(&record, Some(pools)));
        let Some(packed) = Packed::new(&record) else {
            return;
        };
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Kept::Packed(packed, outline);
        self.exits.hush();
    }

    /// What is alive; never held across an await.
    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it is started again, if it is to be.
    pub(crate) fn next_start(&self) -> Option<Timestamp> {
        self.live().restart.as_ref().map(|(at, _)| *at)
    }

    /// The supervisor, while there is one.
    pub(crate) fn task(&self) -> Option<Task> {
        self.live().task.clone()
    }

    /// Sees how runs end from now on.
    pub(crate) fn exits(&self) -> watch::Receiver<Exits> {
        self.exits.listen()
    }

    /// Tells those who wait that a run has ended.
    pub(crate) fn ended(&self, exit: Exit) {
        self.exits.tell(|exits| {
            exits.count += 1;
            exits.last = exit;
        });
    }

    /// Tells those who wait that the container is gone.
    pub(crate) fn removed(&self) {
        self.exits.tell(|exits| exits.removed = true);
    }
}
