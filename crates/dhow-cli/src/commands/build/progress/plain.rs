//! Progress line by line, as BuildKit's plain mode: `#5 [2/4] RUN …`, `#5 0.123 text`, `#5 DONE 0.1s`.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use super::trace::{Step, Trace};

/// What was shown so far.
#[derive(Default)]
pub(super) struct Plain {
    /// The numbers of the steps that were shown.
    numbers: HashMap<usize, usize>,
    /// The step that the last lines were about, unless it has ended.
    current: Option<usize>,
    /// Those with a line that has not ended.
    open: BTreeSet<usize>,
}

/// Writing to a string cannot fail.
macro_rules! say {
    ($text:expr, $($rest:tt)*) => { let _ = write!($text, $($rest)*); };
}

impl Plain {
    /// What is new, as text.
    pub(super) fn show(&mut self, trace: &mut Trace) -> String {
        let mut text = String::new();
        let touched = std::mem::take(&mut trace.touched);
        let ended = |place: &usize| {
            let step: Option<&Step> = trace.steps.get(*place);
            step.is_some_and(|step| step.completed.is_some())
        };
        let (ended, rest): (Vec<usize>, Vec<usize>) = touched.into_iter().partition(ended);
        let current = self.current;
        // What has ended comes first, and of that what was shown last.
        let first = ended.iter().filter(|place| Some(**place) == current);
        let others = ended.iter().filter(|place| Some(**place) != current);
        let order: Vec<usize> = first.chain(others).copied().collect();
        for place in order {
            self.step(place, trace, &mut text);
        }
        // One of those that go on is followed until it ends or says nothing while others do.
        let next = match self.current.filter(|current| rest.contains(current)) {
            Some(current) => Some(current),
            None => {
                let says = |place: &&usize| {
                    let step = trace.steps.get(**place);
                    step.is_some_and(|step| !step.output.is_empty())
                };
                rest.iter().find(says).or(rest.first()).copied()
            }
        };
        if let Some(next) = next {
            self.step(next, trace, &mut text);
        }
        // The others are not forgotten.
        trace
            .touched
            .extend(rest.iter().filter(|place| Some(**place) != next));
        text
    }

    /// The end: a line that was left open is closed, and a blank one does not follow.
    pub(super) fn finish(&mut self, trace: &Trace) -> String {
        let mut text = String::new();
        if let Some(current) = self.current.take() {
            if self.open.remove(&current) {
                text.push('\n');
            }
            // Given up, so that nobody says how it ended.
            let running = trace.steps.get(current).is_some_and(Step::is_running);
            if let Some(number) = self.numbers.get(&current).filter(|_| running) {
                say!(text, "#{number} CANCELED\n");
            }
        }
        text
    }

    fn step(&mut self, place: usize, trace: &mut Trace, text: &mut String) {
        let Some(step) = trace.steps.get_mut(place) else {
            return;
        };
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(place).or_insert(next);
        if self.current != Some(place) {
            if let Some(old) = self.current {
                if self.open.remove(&old) {
                    text.push('\n');
                }
                let old = self.numbers.get(&old).copied().unwrap_or_default();
                say!(text, "#{old} ...\n");
            }
            say!(text, "\n#{number} {}\n", step.name);
        }
        self.tasks(number, place, step, text);
        self.output(number, place, step, text);
        self.current = Some(place);
        if step.completed.is_some() {
            self.current = None;
            if self.open.remove(&place) {
                text.push('\n');
            }
            self.ended(number, step, text);
        }
    }

    fn tasks(&mut self, number: usize, place: usize, step: &mut Step, text: &mut String) {
        let fresh = step.tasks.iter_mut().filter(|task| task.fresh);
        for task in fresh {
            task.fresh = false;
            if self.open.remove(&place) {
                text.push('\n');
            }
            say!(text, "#{number} {}\n", task.line(task.time));
        }
        for warning in step.warnings.drain(..) {
            say!(text, "#{number} WARN: {warning}\n");
        }
    }

    fn output(&mut self, number: usize, place: usize, step: &mut Step, text: &mut String) {
        for piece in step.output.drain(..) {
            if piece.begins || !self.open.contains(&place) {
                say!(text, "#{number} ");
            }
            *text += &piece.text;
            match piece.ends {
                true => {
                    text.push('\n');
                    self.open.remove(&place);
                }
                false => {
                    self.open.insert(place);
                }
            }
        }
    }

    #[allow(clippy::unused_self, reason = "one of the parts of a step")]
    fn ended(&self, number: usize, step: &Step, text: &mut String) {
        if step.is_cancelled() {
            say!(text, "#{number} CANCELED\n");
        } else if !step.error.is_empty() {
            say!(text, "#{number} ERROR: {}\n", step.error);
        } else if step.cached {
            say!(text, "#{number} CACHED\n");
        } else {
            say!(text, "#{number} DONE {:.1}s\n", step.time(0));
        }
    }
}
