//! Vertices that are no part of the graph: what is fetched and looked up before there is one.

use std::sync::Arc;

use dhow_oci::Digest;
use jiff::Timestamp;

use crate::error::Error;
use crate::progress::{Listener, Progress, TaskStatus, VertexStatus};

/// Tells of one such vertex.
pub(crate) struct Telling {
    listener: Arc<dyn Listener>,
    status: VertexStatus,
}

impl Telling {
    /// Begins a vertex of the build `build`.
    pub(crate) fn begin(listener: &Arc<dyn Listener>, build: &str, name: &str) -> Self {
        let telling = Self {
            listener: Arc::clone(listener),
            status: VertexStatus {
                digest: digest(build, name),
                inputs: Vec::new(),
                name: name.to_owned(),
                lines: None,
                started: Some(Timestamp::now()),
                completed: None,
                cached: false,
                error: String::new(),
            },
        };
        telling.tell();
        telling
    }

    fn tell(&self) {
        self.listener.tell(Progress::Vertex(self.status.clone()));
    }

    /// Tells of a task that is over: so many bytes transferred.
    pub(crate) fn transferred(&self, id: &str, bytes: u64) {
        let now = Timestamp::now();
        self.listener.tell(Progress::Task(TaskStatus {
            vertex: self.status.digest,
            id: id.to_owned(),
            current: bytes,
            total: 0,
            time: now,
            started: self.status.started,
            completed: Some(now),
        }));
    }

    /// Tells of a task that is over.
    pub(crate) fn task(&self, id: impl Into<String>, started: Timestamp) {
        let now = Timestamp::now();
        self.listener.tell(Progress::Task(TaskStatus {
            vertex: self.status.digest,
            id: id.into(),
            current: 0,
            total: 0,
            time: now,
            started: Some(started),
            completed: Some(now),
        }));
    }

    /// Ends it.
    pub(crate) fn end<T>(mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.status.completed = Some(Timestamp::now());
        if let Err(error) = &result {
            self.status.error = error.to_string();
        }
        self.tell();
        result
    }
}

/// What a vertex outside of the graph is known by in its build.
pub(crate) fn digest(build: &str, name: &str) -> Digest {
    Digest::of(format!("{build}\0{name}").as_bytes())
}
