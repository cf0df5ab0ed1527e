//! What the client of a build is told: the classic text or BuildKit's traces, as lines of JSON.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use base64::Engine as _;
use dhow_api::progress::{ErrorDetail, JsonMessage};
use dhow_builder::progress::Listener;
use dhow_builder::request::Outcome;
use dhow_builder::{Error, Progress};
use dhow_errdefs::{Classify, chain};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Builds, Order, Sessions, Transcript};
use crate::error::ApiError;

/// How much may wait for a client that reads slowly before what commands print is left out.
const BACKLOG: usize = 8 * 1024 * 1024;
/// What is said in the place of that.
const CLIPPED: &str = "[output clipped: the client reads too slowly]\n";

/// What the client is told, as far as it has not read it.
pub(crate) struct Telling {
    state: Mutex<State>,
    more: Notify,
    form: Form,
}

enum Form {
    Classic { quiet: bool },
    Traces(Arc<dyn Sessions>),
}

#[derive(Default)]
struct State {
    transcript: Option<Transcript>,
    /// Lines that were not read yet.
    told: VecDeque<Bytes>,
    /// Their bytes.
    waiting: usize,
    clipped: bool,
    /// Text that is told only when the build fails (`q=1`).
    kept: String,
    any: bool,
    over: bool,
    early: Option<ApiError>,
}

/// Ends what is told when it is dropped, whatever became of the build.
pub(crate) struct End(pub(crate) Arc<Telling>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.locked().over = true;
        self.0.more.notify_one();
    }
}

impl Telling {
    pub(crate) fn new(builds: &Builds, order: &Order, transcript: Option<Transcript>) -> Self {
        let form = match order.traces {
            true => Form::Traces(builds.sessions.clone()),
            false => Form::Classic { quiet: order.quiet },
        };
        let telling = Self {
            state: Mutex::default(),
            more: Notify::new(),
            form,
        };
        let mut state = telling.locked();
        state.transcript = transcript.filter(|_| !order.traces);
        telling.text(&mut state);
        drop(state);
        telling
    }

    /// The next line; none at the end.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        loop {
            let more = self.more.notified();
            {
                let mut state = self.locked();
                if let Some(line) = state.told.pop_front() {
                    state.waiting -= line.len();
                    return Some(line);
                }
                if state.over {
                    return None;
                }
            }
            more.await;
        }
    }

    /// What went wrong before anything was told.
    pub(crate) fn early(&self) -> Option<ApiError> {
        self.locked().early.take()
    }

    /// The build has succeeded.
    pub(crate) fn succeed(&self, order: &Order, outcome: &Outcome, unused: &[String]) {
        let mut state = self.locked();
        let id = outcome.image.as_ref().map(|image| image.digest);
        if let Form::Traces(_) = self.form {
            if let Some(id) = id {
                let aux = json!({ "ID": id.to_string() });
                self.line(&mut state, &aux_message("moby.image.id", aux));
            }
            return;
        }
        if let Some(transcript) = &mut state.transcript {
            transcript.finish();
        }
        self.text(&mut state);
        if !unused.is_empty() {
            let names = unused.join(" ");
            let text = format!("[Warning] One or more build-args [{names}] were not consumed\n");
            self.say(&mut state, text);
        }
        let Some(id) = id else { return };
        if order.quiet {
            return self.line(&mut state, &stream_message(format!("{id}\n")));
        }
        let aux = json!({ "ID": id.to_string() });
        self.line(&mut state, &aux_message("", aux));
        self.say(&mut state, format!("Successfully built {}\n", id.short()));
        for name in &order.tags {
            let text = format!("Successfully tagged {}\n", name.familiar());
            self.say(&mut state, text);
        }
    }

    /// The build has failed.
    pub(crate) fn fail(&self, error: &Error) {
        let mut state = self.locked();
        let (code, message) = match self.form {
            Form::Classic { .. } => classic(error),
            Form::Traces(_) => (0, chain(error).to_string()),
        };
        let kept = std::mem::take(&mut state.kept);
        if !kept.is_empty() {
            self.line(&mut state, &stream_message(kept));
        }
        if !state.any {
            state.early = Some(ApiError::new(error.kind(), message));
            return;
        }
        let detail = ErrorDetail {
            code: i64::from(code),
            message: message.clone(),
        };
        let last = JsonMessage {
            error: message,
            error_detail: Some(detail),
            ..JsonMessage::default()
        };
        self.line(&mut state, &last);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what the transcript has for now.
    fn text(&self, state: &mut State) {
        let told = state.transcript.as_mut().map(Transcript::told);
        for text in told.into_iter().flatten() {
            self.say(state, text);
        }
    }

    fn say(&self, state: &mut State, text: String) {
        if let Form::Classic { quiet: true } = self.form {
            if state.kept.len() + text.len() <= BACKLOG {
                state.kept.push_str(&text);
            }
            return;
        }
        self.line(state, &stream_message(text));
    }

    fn line(&self, state: &mut State, message: &JsonMessage) {
        // A message is strings and numbers, which always are JSON.
        let mut line = serde_json::to_vec(message).unwrap_or_default();
        line.extend(b"\r\n");
        state.any = true;
        state.waiting += line.len();
        state.told.push_back(line.into());
        self.more.notify_one();
    }
}

impl Listener for Telling {
    fn tell(&self, progress: Progress) {
        let mut state = self.locked();
        if matches!(progress, Progress::Log { .. }) && state.waiting > BACKLOG {
            if !std::mem::replace(&mut state.clipped, true) {
                self.say(&mut state, CLIPPED.to_owned());
            }
            return;
        }
        match &self.form {
            Form::Classic { .. } => {
                if let Some(transcript) = &mut state.transcript {
                    transcript.take(&progress);
                    self.text(&mut state);
                } else if let Some(text) = plain(&progress) {
                    self.say(&mut state, text);
                }
            }
            Form::Traces(sessions) => {
                let Some(trace) = sessions.trace(&progress) else {
                    return;
                };
                let text = base64::engine::general_purpose::STANDARD.encode(trace);
                self.line(&mut state, &aux_message("moby.buildkit.trace", text.into()));
            }
        }
    }
}

/// What is told of a build whose Dockerfile nobody here has seen: it came from an address.
fn plain(progress: &Progress) -> Option<String> {
    match progress {
        Progress::Vertex(status) if status.completed.is_some() && status.error.is_empty() => {
            let cached = if status.cached { " (cached)" } else { "" };
            Some(format!("{}{cached}\n", status.name))
        }
        Progress::Log { bytes, .. } => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

fn stream_message(text: String) -> JsonMessage {
    JsonMessage {
        stream: text,
        ..JsonMessage::default()
    }
}

fn aux_message(id: &str, aux: Value) -> JsonMessage {
    JsonMessage {
        id: id.to_owned(),
        aux: Some(aux),
        ..JsonMessage::default()
    }
}

/// What the classic builder says of an error, and the exit code with it.
fn classic(error: &Error) -> (i32, String) {
    match error {
        Error::Step { cause, name, .. } => match cause.as_ref() {
            Error::NotFound { text, .. } => (0, not_found(name, text)),
            other => classic(other),
        },
        Error::Exit { command, code } => {
            let text = format!("The command '{command}' returned a non-zero code: {code}");
            (*code, text)
        }
        Error::Start { reason, .. } => (0, reason.to_string()),
        other => (0, chain(other).to_string()),
    }
}

/// A file that is not in the context, in the classic builder's words; BuildKit's are `"/file": not found`.
fn not_found(vertex: &str, text: &str) -> String {
    let instruction = ["COPY", "ADD"].into_iter().find(|name| {
        let words = vertex.split(' ');
        words.into_iter().any(|word| word == *name)
    });
    let path = text
        .strip_suffix("\": not found")
        .and_then(|text| text.rsplit_once("\"/"))
        .map(|(_, path)| path);
    match (instruction, path) {
        (Some(instruction), Some(path)) => format!(
            "{instruction} failed: file not found in build context or excluded by .dockerignore: stat {path}: \
             file does not exist"
        ),
        _ => text.to_owned(),
    }
}
