//! What is known of a build's steps.

use std::collections::{BTreeSet, HashMap, VecDeque};

use dhow_session::Timestamp;
use dhow_session::messages::{StatusResponse, Vertex, VertexLog, VertexStatus};
use dhow_terminal::harmless;

/// The lines of a step's output that are remembered.
const REMEMBERED: usize = 8;
/// The longest line that is.
const LONGEST: usize = 8 << 10;

/// The steps, in the order in which they were heard of.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) steps: Vec<Step>,
    places: HashMap<String, usize>,
    /// Those of which there is something new.
    pub(super) touched: BTreeSet<usize>,
}

/// One step; times are in nanoseconds.
#[derive(Default)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) started: Option<i64>,
    pub(super) completed: Option<i64>,
    pub(super) cached: bool,
    pub(super) error: String,
    pub(super) tasks: Vec<Task>,
    /// The last lines, each after its time.
    pub(super) last: VecDeque<String>,
    /// What was printed and not shown yet.
    pub(super) output: Vec<Piece>,
    /// What a line began with that has not ended.
    partial: Option<String>,
    /// Warnings that were not shown yet.
    pub(super) warnings: Vec<String>,
}

/// A part of the output: a line's time stands before its beginning.
pub(super) struct Piece {
    pub(super) begins: bool,
    pub(super) text: String,
    pub(super) ends: bool,
}

/// A task of a step.
#[derive(Default)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) current: i64,
    pub(super) total: i64,
    pub(super) time: i64,
    pub(super) started: Option<i64>,
    pub(super) completed: Option<i64>,
    /// Whether there is something new.
    pub(super) fresh: bool,
}

/// Nanoseconds since 1970.
pub(super) fn nanoseconds(time: &Timestamp) -> i64 {
    let seconds = time.seconds.saturating_mul(1_000_000_000);
    seconds.saturating_add(i64::from(time.nanos))
}

/// A span in seconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "milliseconds of builds are far from the precision's end"
)]
pub(super) fn seconds(from: i64, to: i64) -> f64 {
    to.saturating_sub(from).max(0) as f64 / 1e9
}

impl Step {
    pub(super) fn is_running(&self) -> bool {
        self.started.is_some() && self.completed.is_none()
    }

    /// How long it took, or has taken until `now`.
    pub(super) fn time(&self, now: i64) -> f64 {
        match (self.started, self.completed) {
            (Some(started), completed) => seconds(started, completed.unwrap_or(now)),
            (None, _) => 0.0,
        }
    }

    /// Whether it ended because others did.
    pub(super) fn is_cancelled(&self) -> bool {
        self.error.ends_with("context canceled")
    }

    fn print(&mut self, log: &VertexLog) {
        let time = log.timestamp.as_ref().map_or(0, nanoseconds);
        let since = seconds(self.started.unwrap_or(time), time);
        let digits = match since {
            s if s < 10.0 => 3,
            s if s < 100.0 => 2,
            _ => 1,
        };
        let text = String::from_utf8_lossy(&log.msg);
        for piece in text.split_inclusive('\n') {
            let ends = piece.ends_with('\n');
            let piece = piece.strip_suffix('\n').unwrap_or(piece);
            let begins = self.partial.is_none();
            let line = match begins {
                true => format!("{since:.digits$} {piece}"),
                false => piece.to_owned(),
            };
            let mut whole = self.partial.take().unwrap_or_default();
            if whole.len() < LONGEST {
                whole += &line;
            }
            self.output.push(Piece {
                begins,
                text: line,
                ends,
            });
            match ends {
                true => self.remember(whole),
                false => self.partial = Some(whole),
            }
        }
    }

    fn remember(&mut self, line: String) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

impl Trace {
    /// Takes in what happened.
    pub(super) fn take(&mut self, status: &StatusResponse) {
        for vertex in &status.vertexes {
            self.vertex(vertex);
        }
        for task in &status.statuses {
            self.task(task);
        }
        for warning in &status.warnings {
            if let Some(step) = self.step(&warning.vertex) {
                let text = String::from_utf8_lossy(&warning.short).into_owned();
                step.warnings.push(text);
            }
        }
        for log in &status.logs {
            if let Some(step) = self.step(&log.vertex) {
                step.print(log);
            }
        }
    }

    fn step(&mut self, digest: &str) -> Option<&mut Step> {
        let place = *self.places.get(digest)?;
        self.touched.insert(place);
        self.steps.get_mut(place)
    }

    fn vertex(&mut self, vertex: &Vertex) {
        if !self.places.contains_key(&vertex.digest) {
            self.places.insert(vertex.digest.clone(), self.steps.len());
            self.steps.push(Step::default());
        }
        let Some(step) = self.step(&vertex.digest) else {
            return;
        };
        step.name = harmless(&vertex.name).replace('\n', " ");
        step.started = vertex.started.as_ref().map(nanoseconds);
        step.completed = vertex.completed.as_ref().map(nanoseconds);
        step.cached = vertex.cached;
        step.error = vertex.error.clone();
        let open = step.partial.take_if(|_| step.completed.is_some());
        if let Some(line) = open {
            step.remember(line);
        }
        if step.started.is_none() {
            // What is only planned is not shown.
            if let Some(place) = self.places.get(&vertex.digest) {
                self.touched.remove(place);
            }
        }
    }

    fn task(&mut self, status: &VertexStatus) {
        let Some(step) = self.step(&status.vertex) else {
            return;
        };
        let known = step.tasks.iter().position(|task| task.id == status.id);
        let place = known.unwrap_or_else(|| {
            step.tasks.push(Task {
                id: harmless(&status.id).into_owned(),
                ..Task::default()
            });
            step.tasks.len() - 1
        });
        let Some(task) = step.tasks.get_mut(place) else {
            return;
        };
        task.current = status.current;
        task.total = status.total;
        task.time = status.timestamp.as_ref().map_or(0, nanoseconds);
        task.started = status.started.as_ref().map(nanoseconds);
        task.completed = status.completed.as_ref().map(nanoseconds);
        task.fresh = true;
    }

    /// The last lines of the steps that failed.
    pub(super) fn failures(&self) -> String {
        let mut text = String::new();
        let failed = self.steps.iter();
        for step in failed.filter(|step| !step.error.is_empty() && !step.is_cancelled()) {
            text += &format!("------\n > {}:\n", step.name);
            for line in &step.last {
                text += line;
                text.push('\n');
            }
            text += "------\n";
        }
        text
    }
}

/// A number of bytes as BuildKit writes it: `12B`, `1.50kB`.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count}B");
    }
    let mut value = count as f64 / 1000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1000.0 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1000.0, Some(next));
    }
    format!("{value:.2}{}", unit.unwrap_or(&""))
}

impl Task {
    /// `transferring context: 1.50kB / 3.00kB 0.1s done`
    pub(super) fn line(&self, now: i64) -> String {
        let mut line = self.id.clone();
        if self.total != 0 {
            line += &format!(" {} / {}", bytes(self.current), bytes(self.total));
        } else if self.current != 0 {
            line += &format!(" {}", bytes(self.current));
        }
        if let Some(started) = self.started {
            let time = seconds(started, self.completed.unwrap_or(now));
            if time > 0.01 {
                line += &format!(" {time:.1}s");
            }
        }
        if self.completed.is_some() {
            line += " done";
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_buildkit_does() {
        for (count, text) in [
            (2, "2B"),
            (999, "999B"),
            (1500, "1.50kB"),
            (10_490_000, "10.49MB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
