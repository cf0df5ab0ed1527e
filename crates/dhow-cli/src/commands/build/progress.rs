//! How a build goes on, as it is shown.

mod plain;
mod raw;
mod trace;
mod tree;

use std::io::Write;

use dhow_client::settings::variable;
use dhow_dockerfile::{Lines, excerpt};
use dhow_options::flags::Parsed;
use dhow_session::messages::{StatusResponse, VertexWarning};
use dhow_terminal::{harmless, is_terminal};

use crate::error::{Error, Result};
use plain::Plain;
use trace::Trace;
use tree::Tree;

/// What shows the progress. All of it goes to standard error.
pub(super) struct Display {
    trace: Trace,
    warnings: Vec<VertexWarning>,
    manner: Manner,
}

enum Manner {
    Plain(Plain),
    Tree(Tree),
    Raw,
    /// Nothing but why it failed.
    Quiet,
}

impl Display {
    /// The display that the flags, the environment and the terminal ask for.
    pub(super) fn choose(flags: &Parsed) -> Result<Self> {
        let given = match flags.changed("progress") {
            true => flags.text("progress").to_owned(),
            false => variable("BUILDKIT_PROGRESS").unwrap_or_else(|| "auto".to_owned()),
        };
        let mode = if flags.switch("quiet") {
            "quiet"
        } else {
            &given
        };
        let terminal = is_terminal(std::io::stderr());
        let manner = match mode {
            "quiet" | "none" => Manner::Quiet,
            "rawjson" => Manner::Raw,
            "plain" => Manner::Plain(Plain::default()),
            "auto" | "" if !terminal => Manner::Plain(Plain::default()),
            "tty" if !terminal => {
                return Err(Error::text(
                    "ERROR: failed to get console: provided file is not a console",
                ));
            }
            "auto" | "" | "tty" => Manner::Tree(Tree::new()),
            other => return Err(Error::text(format!("ERROR: invalid progress mode {other}"))),
        };
        if let Manner::Plain(_) = &manner {
            write("#0 building with \"default\" instance using docker driver\n");
        }
        Ok(Self {
            trace: Trace::default(),
            warnings: Vec::new(),
            manner,
        })
    }

    /// Something happened.
    pub(super) fn take(&mut self, status: &StatusResponse) {
        self.warnings.extend(status.warnings.iter().cloned());
        self.trace.take(status);
        match &mut self.manner {
            Manner::Raw => write(&raw::lines(status)),
            // What happens at about the same time is shown together.
            Manner::Plain(_) | Manner::Tree(_) | Manner::Quiet => {}
        }
    }

    /// Some time has passed.
    pub(super) fn tick(&mut self) {
        match &mut self.manner {
            Manner::Tree(tree) => write(&tree.draw(&self.trace)),
            Manner::Plain(plain) => write(&plain.show(&mut self.trace)),
            Manner::Raw | Manner::Quiet => {}
        }
    }

    /// It is over; `done` unless it failed.
    pub(super) fn end(&mut self, done: bool) {
        match &mut self.manner {
            Manner::Tree(tree) => {
                write(&tree.last(&self.trace, done));
                write(&self.trace.failures());
            }
            Manner::Plain(plain) => {
                write(&plain.show(&mut self.trace));
                write(&plain.finish(&self.trace));
                write(&self.trace.failures());
            }
            Manner::Quiet if !done => write(&self.trace.failures()),
            Manner::Raw | Manner::Quiet => {}
        }
    }

    /// The warnings, after all else.
    pub(super) fn warnings(&self, debug: bool) {
        if self.warnings.is_empty() || matches!(self.manner, Manner::Raw | Manner::Quiet) {
            return;
        }
        let count = match self.warnings.len() {
            1 => "1 warning".to_owned(),
            many => format!("{many} warnings"),
        };
        let hint = match debug {
            true => "",
            false => " (use docker --debug to expand)",
        };
        let title = format!("{count} found{hint}:");
        let title = match colored() {
            true => format!("\x1b[33m{title}\x1b[0m"),
            false => title,
        };
        let mut text = format!("\n {title}\n");
        for warning in &self.warnings {
            text += &one_warning(warning, debug);
        }
        write(&text);
    }
}

fn one_warning(warning: &VertexWarning, debug: bool) -> String {
    let line = |bytes: &[u8]| harmless(&String::from_utf8_lossy(bytes)).into_owned();
    let mut text = format!(" - {}\n", line(&warning.short));
    if !debug {
        return text;
    }
    for detail in &warning.detail {
        text += &format!("{}\n", line(detail));
    }
    if !warning.url.is_empty() {
        text += &format!("More info: {}\n", harmless(&warning.url));
    }
    if let Some(info) = &warning.info {
        let source = String::from_utf8_lossy(&info.data);
        let at = |position: Option<i32>| position.and_then(|line| u32::try_from(line).ok());
        for range in &warning.ranges {
            let first = at(range.start.as_ref().map(|p| p.line)).unwrap_or(0);
            let last = at(range.end.as_ref().map(|p| p.line)).unwrap_or(first);
            text += &excerpt(&info.filename, &source, Lines { first, last });
        }
    }
    text + "\n"
}

/// Whether colours are wanted and can be shown.
fn colored() -> bool {
    is_terminal(std::io::stderr()) && variable("NO_COLOR").is_none()
}

/// Nowhere is left to report that reports cannot be written.
fn write(text: &str) {
    if !text.is_empty() {
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
