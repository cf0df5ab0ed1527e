//! Progress as a tree on a terminal, drawn anew in place: the steps, how long they take, what those that run do and say.

use std::fmt::Write;
use std::time::Instant;

use dhow_terminal::window_size;
use jiff::Timestamp;

use super::trace::{Step, Trace};

/// The lines of a running step's output that are shown.
const OUTPUT: usize = 5;
/// The steps that the summary names.
const NAMED: usize = 3;
/// A step that took less is not worth being named.
const WORTH: f64 = 0.05;
/// The window where nobody knows.
const WINDOW: (u16, u16) = (24, 80);

/// What is on the terminal.
pub(super) struct Tree {
    began: Instant,
    colored: bool,
    /// The width of each line that was drawn.
    drawn: Vec<usize>,
}

/// A line: what it says on the left and on the right, and how.
struct Line {
    left: String,
    right: String,
    style: &'static str,
    /// Whether it may be left out where there is no room.
    settled: bool,
}

const PLAIN: &str = "";
const DIM: &str = "\x1b[2m";
const BLUE: &str = "\x1b[34m";
const RED: &str = "\x1b[31m";

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            colored: super::colored(),
            drawn: Vec::new(),
        }
    }

    /// What brings the terminal up to date.
    pub(super) fn draw(&mut self, trace: &Trace) -> String {
        let (rows, columns) = window_size(std::io::stderr()).unwrap_or(WINDOW);
        let mut lines = self.lines(trace, false);
        let room = usize::from(rows).saturating_sub(2).max(3);
        while lines.len() > room {
            // What has ended goes first, from the top; the title stays.
            let place = lines.iter().position(|line| line.settled).unwrap_or(1);
            lines.remove(place);
        }
        self.replace(&lines, usize::from(columns))
    }

    /// The end: all steps, and where the time went.
    pub(super) fn last(&mut self, trace: &Trace, done: bool) -> String {
        let (_, columns) = window_size(std::io::stderr()).unwrap_or(WINDOW);
        let lines = self.lines(trace, true);
        let mut text = self.replace(&lines, usize::from(columns));
        self.drawn.clear();
        if done {
            text += &summary(trace, self.began.elapsed().as_secs_f64());
        }
        text
    }

    fn lines(&self, trace: &Trace, over: bool) -> Vec<Line> {
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let shown = trace.steps.iter().filter(|step| step.started.is_some());
        let steps: Vec<&Step> = shown.collect();
        let ended = steps.iter().filter(|step| step.completed.is_some()).count();
        let state = match (over, steps.iter().any(|step| !step.error.is_empty())) {
            (_, true) => "FAILED",
            (true, false) => "FINISHED",
            (false, false) => "",
        };
        let time = self.began.elapsed().as_secs_f64();
        let mut lines = vec![Line {
            left: format!(
                "[+] Building {time:.1}s ({ended}/{}) {state}",
                trace.steps.len()
            ),
            right: String::new(),
            style: PLAIN,
            settled: false,
        }];
        for step in steps {
            step_lines(step, now, over, &mut lines);
        }
        lines
    }

    /// Draws lines in place of those that are there.
    fn replace(&mut self, lines: &[Line], columns: usize) -> String {
        let columns = columns.max(20);
        // A window that became narrower has broken the lines that are there.
        let rows: usize = self
            .drawn
            .iter()
            .map(|width| width.saturating_sub(1) / columns + 1)
            .sum();
        self.drawn.clear();
        // The terminal shows all of it at once, where it knows how.
        let mut text = String::from("\x1b[?2026h\r");
        if rows > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "\x1b[{rows}A");
        }
        for line in lines {
            let (shown, width) = line.fit(columns - 1);
            match self.colored && !line.style.is_empty() {
                true => text.extend([line.style, &shown, "\x1b[0m"]),
                false => text += &shown,
            }
            text += "\x1b[K\n";
            self.drawn.push(width);
        }
        text + "\x1b[J\x1b[?2026l"
    }
}

impl Line {
    /// The line in so many columns, and how many it takes.
    fn fit(&self, columns: usize) -> (String, usize) {
        let right = self.right.chars().count();
        let room = columns.saturating_sub(right + 1);
        let left = self.left.chars().count();
        let mut text: String = match left > room {
            true => {
                let kept = self.left.chars().take(room.saturating_sub(1));
                kept.chain(['…']).collect()
            }
            false => self.left.clone(),
        };
        if right > 0 {
            let gap = columns.saturating_sub(text.chars().count() + right);
            text.extend(std::iter::repeat_n(' ', gap));
            text += &self.right;
        }
        let width = text.chars().count();
        (text, width)
    }
}

fn step_lines(step: &Step, now: i64, over: bool, lines: &mut Vec<Line>) {
    let (sign, style) = match step {
        step if !step.error.is_empty() => ("✗", RED),
        step if step.completed.is_some() => ("✓", BLUE),
        _ => ("•", PLAIN),
    };
    let right = match step {
        step if step.is_cancelled() => "CANCELED".to_owned(),
        step if !step.error.is_empty() => "ERROR".to_owned(),
        step if step.cached => "CACHED".to_owned(),
        step => format!("{:.1}s", step.time(now)),
    };
    lines.push(Line {
        left: format!(" {sign} {}", step.name),
        right,
        style,
        settled: step.completed.is_some(),
    });
    if !step.is_running() || over {
        return;
    }
    let mut below = |left: String| {
        lines.push(Line {
            left,
            right: String::new(),
            style: DIM,
            settled: false,
        });
    };
    for task in step.tasks.iter().filter(|task| task.completed.is_none()) {
        below(format!("   ├ {}", task.line(now)));
    }
    let skipped = step.last.len().saturating_sub(OUTPUT);
    for line in step.last.iter().skip(skipped) {
        below(format!("   │ {}", visible(line)));
    }
}

/// What a line of output looks like in the end: without orders to a terminal, and what was written over.
fn visible(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut shown = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' if characters.peek() == Some(&'[') => {
                characters.next();
                // Up to the letter that says which order it is.
                for next in characters.by_ref() {
                    if ('@'..='~').contains(&next) {
                        break;
                    }
                }
            }
            '\t' => shown.push(' '),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    dhow_terminal::harmless(&shown).into_owned()
}

/// Where the time went: the longest steps, and what was there already.
fn summary(trace: &Trace, time: f64) -> String {
    let ended = trace.steps.iter().filter(|step| step.completed.is_some());
    let steps: Vec<&Step> = ended.collect();
    let cached = steps.iter().filter(|step| step.cached).count();
    let mut longest: Vec<(f64, &str)> = steps
        .iter()
        .map(|step| (step.time(0), step.name.as_str()))
        .filter(|(time, _)| *time >= WORTH)
        .collect();
    longest.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut text = format!(
        "Built in {time:.1}s: {cached} of {} steps from the cache\n",
        steps.len()
    );
    for (time, name) in longest.into_iter().take(NAMED) {
        let name: String = name.chars().take(60).collect();
        let _ = writeln!(text, "  {time:>6.1}s  {name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_their_window() {
        let line = Line {
            left: " ✓ a long name of a step".into(),
            right: "1.0s".into(),
            style: PLAIN,
            settled: true,
        };
        assert_eq!(line.fit(20).0, " ✓ a long name… 1.0s");
        assert_eq!(line.fit(40).1, 40);
    }

    #[test]
    fn output_gives_no_orders() {
        for (line, shown) in [
            ("\x1b[32mgreen\x1b[0m", "green"),
            ("10%\r20%\r", "20%"),
            ("a\tb\x07", "a b"),
        ] {
            assert_eq!(visible(line), shown);
        }
    }
}
