//! The builds of the past.
//!
//! A record is a document of the database, with BuildKit's message in it as it is sent; what the build told is a file
//! beside it. There are so many at most; the oldest that nobody pinned goes first.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard_buildkit_proto::moby::buildkit::v1 as control;
use control::BuildHistoryRecord;
use dhow_metadata::{Database, Record};
use dhow_oci::Digest;
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::board::Counts;

/// Builds that are kept.
const KEPT: usize = 50;
/// Events that one who listens may be behind.
const BEHIND: usize = 256;
/// What BuildKit calls what a build told.
const LOGS: &str = "application/vnd.buildkit.status.v0";

/// The history; clones are the same.
#[derive(Clone)]
pub(crate) struct History {
    db: Database,
    folder: PathBuf,
    /// Those that go on.
    active: Arc<Mutex<HashMap<String, BuildHistoryRecord>>>,
    events: broadcast::Sender<control::BuildHistoryEvent>,
}

/// One build of the past.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Past {
    /// The time of its beginning, nanoseconds since 1970.
    created: i128,
    pinned: bool,
    /// BuildKit's message, in base64.
    record: String,
    /// The digest of what it told.
    logs: Option<Digest>,
}

impl Record for Past {
    const COLLECTION: &'static str = "builds";
}

/// What is remembered of a build.
pub(crate) struct Ended {
    pub(crate) record: BuildHistoryRecord,
    pub(crate) told: Vec<u8>,
    pub(crate) counts: Counts,
}

impl History {
    pub(crate) fn new(db: Database, folder: PathBuf) -> Self {
        Self {
            db,
            folder,
            active: Arc::default(),
            events: broadcast::Sender::new(BEHIND),
        }
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<control::BuildHistoryEvent> {
        self.events.subscribe()
    }

    fn active(&self) -> MutexGuard<'_, HashMap<String, BuildHistoryRecord>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The builds that go on.
    pub(crate) fn going_on(&self) -> Vec<BuildHistoryRecord> {
        self.active().values().cloned().collect()
    }

    /// Notes that a build began, and tells those who listen.
    pub(crate) fn began(&self, record: &BuildHistoryRecord) {
        self.active().insert(record.r#ref.clone(), record.clone());
        self.tell(control::BuildHistoryEventType::Started, record.clone());
    }

    fn tell(&self, kind: control::BuildHistoryEventType, record: BuildHistoryRecord) {
        // Nobody may listen.
        let _ = self.events.send(control::BuildHistoryEvent {
            r#type: kind.into(),
            record: Some(record),
        });
    }

    /// Remembers a build. Blocking.
    pub(crate) fn ended(&self, ended: Ended) {
        let Ended {
            mut record,
            told,
            counts,
        } = ended;
        record.num_total_steps = counts.total;
        record.num_completed_steps = counts.completed;
        record.num_cached_steps = counts.cached;
        record.num_warnings = counts.warnings;
        let digest = Digest::of(&told);
        record.logs = Some(control::Descriptor {
            media_type: LOGS.into(),
            digest: digest.to_string(),
            size: i64::try_from(told.len()).unwrap_or(i64::MAX),
            ..control::Descriptor::default()
        });
        let kept = std::fs::write(self.folder.join(digest.hex()), &told)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                self.keep(&record, digest)
                    .map_err(|error| error.to_string())
            });
        if let Err(error) = kept {
            tracing::warn!(%error, "a build is not remembered");
        }
        self.active().remove(&record.r#ref);
        self.tell(control::BuildHistoryEventType::Complete, record);
    }

    fn keep(&self, record: &BuildHistoryRecord, logs: Digest) -> Result<(), dhow_metadata::Error> {
        let created = record.created_at.unwrap_or_default();
        let past = Past {
            created: i128::from(created.seconds) * 1_000_000_000 + i128::from(created.nanos),
            pinned: record.pinned,
            record: encode(record),
            logs: Some(logs),
        };
        self.db.put(&record.r#ref, &past)?;
        let mut all: Vec<(String, Past)> = self.db.list()?;
        all.retain(|(_, past)| !past.pinned);
        all.sort_by_key(|(_, past)| std::cmp::Reverse(past.created));
        for (id, past) in all.into_iter().skip(KEPT) {
            self.forget(&id, &past)?;
        }
        Ok(())
    }

    fn forget(&self, id: &str, past: &Past) -> Result<(), dhow_metadata::Error> {
        self.db.delete::<Past>(id)?;
        if let Some(logs) = &past.logs {
            // Two builds may have told the same; then the other one's is gone too, as little as that is.
            let _ = std::fs::remove_file(self.folder.join(logs.hex()));
        }
        Ok(())
    }

    /// All builds, the newest first. Blocking.
    pub(crate) fn list(&self) -> Result<Vec<BuildHistoryRecord>, dhow_metadata::Error> {
        let mut all: Vec<(String, Past)> = self.db.list()?;
        all.sort_by_key(|(_, past)| std::cmp::Reverse(past.created));
        Ok(all.iter().filter_map(|(_, past)| decode(past)).collect())
    }

    /// What a build told. Blocking.
    pub(crate) fn told(&self, id: &str) -> Option<Vec<u8>> {
        let past: Past = self.db.get(id).ok()??;
        self.blob(&past.logs?)
    }

    /// A file of the history. Blocking.
    pub(crate) fn blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join(digest.hex())).ok()
    }

    /// Removes a build from the history; says whether it was there. Blocking.
    pub(crate) fn delete(&self, id: &str) -> Result<bool, dhow_metadata::Error> {
        let Some(past) = self.db.get::<Past>(id)? else {
            return Ok(false);
        };
        self.forget(id, &past)?;
        if let Some(record) = decode(&past) {
            self.tell(control::BuildHistoryEventType::Deleted, record);
        }
        Ok(true)
    }

    /// Keeps a build, or lets it go with the others; says whether it was there. Blocking.
    pub(crate) fn pin(&self, id: &str, pinned: bool) -> Result<bool, dhow_metadata::Error> {
        let Some(mut past) = self.db.get::<Past>(id)? else {
            return Ok(false);
        };
        if let Some(mut record) = decode(&past) {
            record.pinned = pinned;
            past.record = encode(&record);
        }
        past.pinned = pinned;
        self.db.put(id, &past)?;
        Ok(true)
    }
}

fn encode(record: &BuildHistoryRecord) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(record.encode_to_vec())
}

fn decode(past: &Past) -> Option<BuildHistoryRecord> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(&past.record)
        .ok()?;
    BuildHistoryRecord::decode(bytes.as_slice()).ok()
}
