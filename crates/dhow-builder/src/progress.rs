//! What a build tells while it goes on; the terms are those of BuildKit's status stream.

use dhow_oci::Digest;
use jiff::Timestamp;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A vertex was found, began, or ended. Each time it is told as a whole.
    Vertex(VertexStatus),
    /// A task within a vertex went on: `transferring context: 12 kB`, a layer's download.
    Task(TaskStatus),
    /// A command printed something.
    Log {
        /// The vertex.
        vertex: Digest,
        /// Standard output (1) or error (2).
        stream: u8,
        /// What.
        bytes: Vec<u8>,
        /// When.
        time: Timestamp,
    },
    /// Something that is probably not meant: a lint rule's finding.
    Warning(Warning),
}

/// The state of a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexStatus {
    /// What it is known by in this build.
    pub digest: Digest,
    /// Those of its inputs.
    pub inputs: Vec<Digest>,
    /// What people are told.
    pub name: String,
    /// Where it stands in the Dockerfile; none for what no instruction asks for.
    pub lines: Option<dhow_dockerfile::Lines>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// Whether its result was in the cache.
    pub cached: bool,
    /// Why it failed; empty if it did not.
    pub error: String,
}

/// The state of a task within a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStatus {
    /// The vertex.
    pub vertex: Digest,
    /// What it is known by in its vertex, and what people are told.
    pub id: String,
    /// How far it is: bytes, or whatever is counted.
    pub current: u64,
    /// How far it goes; 0 if nobody knows.
    pub total: u64,
    /// When this was so.
    pub time: Timestamp,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The vertex it is about.
    pub vertex: Digest,
    /// BuildKit's level; 1 for lint rules.
    pub level: i64,
    /// One line, the rule's name first.
    pub short: String,
    /// What the rule means.
    pub detail: Vec<String>,
    /// Where to read more.
    pub url: String,
    /// The file.
    pub file: String,
    /// The file's content.
    pub source: Vec<u8>,
    /// The lines, counted from 1.
    pub lines: Vec<dhow_dockerfile::Lines>,
}

/// Takes a build's progress; called often, from several threads, quickly.
pub trait Listener: Send + Sync + 'static {
    /// Something happened.
    fn tell(&self, progress: Progress);
}
