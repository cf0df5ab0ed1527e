//! What a pull, push or load tells while it works, in Docker's words.

use serde_json::Value;
use tokio::sync::mpsc;

/// Where progress goes; a full or closed channel never stops the work.
pub type ProgressSender = mpsc::Sender<Progress>;

/// One message of Docker's JSON progress stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// What it is about: a layer's short digest, or a tag.
    pub id: Option<String>,
    /// The status text; empty when `stream` is set.
    pub status: String,
    /// `progressDetail`: `None` leaves it out, both zero is an empty object.
    pub detail: Option<ProgressDetail>,
    /// `stream`: plain text, as `load` prints it.
    pub stream: Option<String>,
    /// `aux`: more for programs.
    pub aux: Option<Value>,
}

/// How far something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProgressDetail {
    /// Bytes done.
    pub current: u64,
    /// Bytes in all; 0 when unknown.
    pub total: u64,
}

impl Progress {
    /// A line without anything more.
    #[must_use]
    pub fn line(status: impl Into<String>) -> Self {
        Self {
            status: status.into(),
            ..Self::default()
        }
    }

    /// A status of one thing.
    #[must_use]
    pub fn of(id: impl Into<String>, status: impl Into<String>) -> Self {
        Self {
            id: Some(id.into()),
            status: status.into(),
            detail: Some(ProgressDetail::default()),
            ..Self::default()
        }
    }

    /// How far one thing is.
    #[must_use]
    pub fn at(id: impl Into<String>, status: impl Into<String>, current: u64, total: u64) -> Self {
        Self {
            detail: Some(ProgressDetail { current, total }),
            ..Self::of(id, status)
        }
    }

    /// Plain text.
    #[must_use]
    pub fn stream(text: impl Into<String>) -> Self {
        Self {
            stream: Some(text.into()),
            ..Self::default()
        }
    }
}
