//! What a build tells, kept for those who ask for it: several may, each from the beginning.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bollard_buildkit_proto::moby::buildkit::v1 as control;
use bollard_buildkit_proto::pb;
use dhow_builder::Progress;
use dhow_builder::progress::{Listener, TaskStatus, VertexStatus, Warning};
use dhow_oci::Digest;
use prost::Message;
use tokio::sync::watch;

use crate::time::stamp;

/// The bytes of a step's output that are passed on.
const OUTPUT: usize = 2 << 20;
/// What stands in place of the rest.
const CLIPPED: &[u8] = b"\n[output clipped, log limit 2MiB reached]\n";
/// What one message has of it at most.
const BATCH: usize = 1 << 20;

/// What a build has told so far.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    /// Changes when there is more.
    told: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Each encoded message has one thing, so that a reader can put together as many as there are.
    events: Vec<Vec<u8>>,
    ended: bool,
    outputs: HashMap<Digest, usize>,
    steps: HashMap<Digest, Step>,
    warnings: i32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Step {
    completed: bool,
    cached: bool,
}

/// How many steps there were.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) total: i32,
    pub(crate) completed: i32,
    pub(crate) cached: i32,
    pub(crate) warnings: i32,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            told: watch::Sender::new(()),
        }
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more will come.
    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.told.send_replace(());
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }

    /// What came after the first `seen` things, as one message; how many were seen then; whether there is no more to come.
    pub(crate) fn after(&self, seen: usize) -> (control::StatusResponse, usize, bool) {
        let state = self.state();
        let mut status = control::StatusResponse::default();
        let mut seen = seen;
        let mut size = 0;
        for event in state.events.iter().skip(seen) {
            if size > BATCH {
                break;
            }
            size += event.len();
            seen += 1;
            // Encoded here, so it decodes.
            let _ = status.merge(event.as_slice());
        }
        let over = state.ended && seen == state.events.len();
        (status, seen, over)
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.state();
        let count = |picks: fn(&Step) -> bool| {
            let picked = state.steps.values().filter(|step| picks(step)).count();
            i32::try_from(picked).unwrap_or(i32::MAX)
        };
        Counts {
            total: count(|_| true),
            completed: count(|step| step.completed),
            cached: count(|step| step.cached),
            warnings: state.warnings,
        }
    }

    /// All of it as BuildKit keeps it: messages, each after its length in four bytes.
    pub(crate) fn record(&self) -> Vec<u8> {
        let mut record = Vec::new();
        let mut seen = 0;
        loop {
            let (status, after, _) = self.after(seen);
            if after == seen {
                return record;
            }
            seen = after;
            let bytes = status.encode_to_vec();
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            record.extend(length.to_be_bytes());
            record.extend(bytes);
        }
    }
}

/// The messages of a record.
pub(crate) fn messages(mut record: &[u8]) -> Vec<control::StatusResponse> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = record.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((message, rest)) = rest.split_at_checked(length) else {
            break;
        };
        messages.extend(control::StatusResponse::decode(message).ok());
        record = rest;
    }
    messages
}

impl Listener for Board {
    fn tell(&self, progress: Progress) {
        let mut state = self.state();
        let progress = match state.bound(progress) {
            Some(progress) => progress,
            None => return,
        };
        state.events.push(status_of(&progress).encode_to_vec());
        drop(state);
        self.told.send_replace(());
    }
}

impl State {
    /// Keeps count, and cuts off what is too much.
    fn bound(&mut self, mut progress: Progress) -> Option<Progress> {
        match &mut progress {
            Progress::Vertex(vertex) => {
                let step = self.steps.entry(vertex.digest).or_default();
                step.completed = vertex.completed.is_some();
                step.cached = vertex.cached;
            }
            Progress::Warning(_) => self.warnings += 1,
            Progress::Log { vertex, bytes, .. } => {
                let sent = self.outputs.entry(*vertex).or_default();
                if *sent >= OUTPUT {
                    return None;
                }
                if *sent + bytes.len() > OUTPUT {
                    bytes.truncate(OUTPUT - *sent);
                    bytes.extend_from_slice(CLIPPED);
                }
                *sent += bytes.len();
            }
            Progress::Task(_) => {}
        }
        Some(progress)
    }
}

/// One thing as the message that tells it.
pub(crate) fn status_of(progress: &Progress) -> control::StatusResponse {
    let mut status = control::StatusResponse::default();
    match progress {
        Progress::Vertex(vertex) => status.vertexes.push(vertex_of(vertex)),
        Progress::Task(task) => status.statuses.push(task_of(task)),
        Progress::Log {
            vertex,
            stream,
            bytes,
            time,
        } => status.logs.push(control::VertexLog {
            vertex: vertex.to_string(),
            timestamp: Some(stamp(*time)),
            stream: i64::from(*stream),
            msg: bytes.clone(),
        }),
        Progress::Warning(warning) => status.warnings.push(warning_of(warning)),
    }
    status
}

fn vertex_of(vertex: &VertexStatus) -> control::Vertex {
    let unique: HashSet<_> = vertex.inputs.iter().collect();
    let mut inputs: Vec<_> = vertex.inputs.iter().map(ToString::to_string).collect();
    if unique.len() != inputs.len() {
        inputs.sort();
        inputs.dedup();
    }
    control::Vertex {
        digest: vertex.digest.to_string(),
        inputs,
        name: vertex.name.clone(),
        cached: vertex.cached,
        started: vertex.started.map(stamp),
        completed: vertex.completed.map(stamp),
        error: vertex.error.clone(),
        progress_group: None,
    }
}

fn task_of(task: &TaskStatus) -> control::VertexStatus {
    control::VertexStatus {
        id: task.id.clone(),
        vertex: task.vertex.to_string(),
        name: String::new(),
        current: i64::try_from(task.current).unwrap_or(i64::MAX),
        total: i64::try_from(task.total).unwrap_or(i64::MAX),
        timestamp: Some(stamp(task.time)),
        started: task.started.map(stamp),
        completed: task.completed.map(stamp),
    }
}

fn warning_of(warning: &Warning) -> control::VertexWarning {
    let bytes = |text: &String| text.clone().into_bytes();
    control::VertexWarning {
        vertex: warning.vertex.to_string(),
        level: warning.level,
        short: bytes(&warning.short),
        detail: warning.detail.iter().map(bytes).collect(),
        url: warning.url.clone(),
        info: Some(pb::SourceInfo {
            filename: warning.file.clone(),
            data: warning.source.clone(),
            definition: None,
            language: "Dockerfile".into(),
        }),
        ranges: warning.lines.iter().map(range_of).collect(),
    }
}

/// Lines of a Dockerfile.
pub(crate) fn range_of(lines: &dhow_dockerfile::Lines) -> pb::Range {
    let at = |line: u32| pb::Position {
        line: i32::try_from(line).unwrap_or(i32::MAX),
        character: 0,
    };
    pb::Range {
        start: Some(at(lines.first)),
        end: Some(at(lines.last)),
    }
}
