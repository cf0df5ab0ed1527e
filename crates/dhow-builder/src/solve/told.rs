//! A vertex as those who watch see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dhow_oci::Digest;
use jiff::Timestamp;

use super::Node;
use crate::progress::{Listener, Progress, TaskStatus, VertexStatus};

/// Tells that a vertex is part of the build.
pub(super) fn announce(listener: &dyn Listener, node: &Node) {
    if !node.vertex.name.is_empty() {
        listener.tell(Progress::Vertex(status(node)));
    }
}

fn status(node: &Node) -> VertexStatus {
    VertexStatus {
        digest: node.digest,
        inputs: node.inputs.clone(),
        name: node.vertex.name.clone(),
        lines: node.vertex.lines,
        started: None,
        completed: None,
        cached: false,
        error: String::new(),
    }
}

/// A vertex that has begun. Dropped before its end it was cancelled, which is told too.
pub(crate) struct Told {
    listener: Arc<dyn Listener>,
    status: VertexStatus,
    ended: AtomicBool,
}

impl Told {
    /// Tells that a vertex of the graph begins.
    pub(super) fn begin(listener: &Arc<dyn Listener>, node: &Node) -> Self {
        Self::start(listener, status(node))
    }

    /// Tells that something that is no vertex of the graph begins.
    pub(crate) fn begin_alone(listener: &Arc<dyn Listener>, digest: Digest, name: &str) -> Self {
        Self::start(
            listener,
            VertexStatus {
                digest,
                inputs: Vec::new(),
                name: name.to_owned(),
                lines: None,
                started: None,
                completed: None,
                cached: false,
                error: String::new(),
            },
        )
    }

    fn start(listener: &Arc<dyn Listener>, mut status: VertexStatus) -> Self {
        status.started = Some(Timestamp::now());
        let told = Self {
            listener: Arc::clone(listener),
            status,
            ended: AtomicBool::new(false),
        };
        told.tell(told.status.clone());
        told
    }

    fn tell(&self, status: VertexStatus) {
        if !status.name.is_empty() {
            self.listener.tell(Progress::Vertex(status));
        }
    }

    /// It has a result.
    pub(crate) fn end(&self, cached: bool) {
        self.finish(VertexStatus {
            cached,
            ..self.status.clone()
        });
    }

    /// It failed.
    pub(crate) fn fail(&self, error: &str) {
        self.finish(VertexStatus {
            error: error.to_owned(),
            ..self.status.clone()
        });
    }

    fn finish(&self, status: VertexStatus) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.tell(VertexStatus {
                completed: Some(Timestamp::now()),
                ..status
            });
        }
    }

    /// It printed something.
    pub(crate) fn log(&self, stream: u8, bytes: &[u8]) {
        self.listener.tell(Progress::Log {
            vertex: self.status.digest,
            stream,
            bytes: bytes.to_vec(),
            time: Timestamp::now(),
        });
    }

    /// A part of it is so far.
    pub(crate) fn task(&self, task: Task<'_>) {
        let now = Timestamp::now();
        self.listener.tell(Progress::Task(TaskStatus {
            vertex: self.status.digest,
            id: task.id.to_owned(),
            current: task.current,
            total: task.total,
            time: now,
            started: Some(task.started),
            completed: task.done.then_some(now),
        }));
    }
}

/// How far a part of a vertex is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) id: &'a str,
    pub(crate) current: u64,
    pub(crate) total: u64,
    pub(crate) started: Timestamp,
    pub(crate) done: bool,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.fail("context canceled");
    }
}
