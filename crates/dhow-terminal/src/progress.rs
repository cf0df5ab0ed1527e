//! The rendering of progress messages (pull, push, load): one line per layer on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{self, Write};

use std::time::Instant;

use serde::Deserialize;

use crate::harmless::harmless;
use crate::totals::Totals;
use crate::units::human_size;

/// One message of the stream, in the JSON form the Engine API sends (`JSONMessage`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Message {
    /// What the message is about: a layer's short digest. Messages with the same id share a line.
    pub id: String,
    /// What is happening: `Downloading`, `Pull complete`.
    pub status: String,
    /// Verbatim output (builds, loads); printed without a line end of its own.
    pub stream: String,
    /// Where the event comes from.
    pub from: String,
    /// A preformatted bar, sent by old engines beside [`Message::detail`].
    pub progress: String,
    /// How far it is.
    #[serde(rename = "progressDetail")]
    pub detail: Option<Detail>,
    /// The error that ended the operation.
    #[serde(rename = "errorDetail")]
    pub failure: Option<Failure>,
    /// The deprecated form of [`Message::failure`].
    pub error: Option<String>,
    /// Data for programs; never shown.
    pub aux: Option<serde_json::Value>,
}

/// How far a message's subject is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// Units done.
    pub current: i64,
    /// Units there are, or 0.
    pub total: i64,
    /// When it began, in seconds since 1970, or 0.
    pub start: i64,
    /// Whether to leave the numbers out.
    pub hidecounts: bool,
    /// What is counted; empty for bytes.
    pub units: String,
}

/// The error that ended an operation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The HTTP status it would have been.
    pub code: i64,
    /// What went wrong.
    pub message: String,
}

/// Renders messages one after the other.
#[derive(Debug)]
pub struct Progress<W: Write> {
    out: W,
    /// Columns of the terminal; `None` where the output is none.
    columns: Option<u16>,
    /// The line each id has, counted from the first of the present block.
    lines: HashMap<String, usize>,
    totals: Totals,
    /// Whether the sums stand below the block.
    summed: bool,
}

impl<W: Write> Progress<W> {
    /// Renders to `out`, as to a terminal of that many columns or, without, as plain lines.
    pub fn new(out: W, columns: Option<u16>) -> Self {
        Self {
            out,
            columns,
            lines: HashMap::new(),
            totals: Totals::default(),
            summed: false,
        }
    }

    /// Shows one message; ones that carry only an error or data are not shown.
    ///
    /// # Errors
    /// If the output cannot be written to.
    pub fn show(&mut self, message: &Message) -> io::Result<()> {
        if message.aux.is_some() || message.failure.is_some() {
            return Ok(());
        }
        let moving = message.detail.is_some() || !message.progress.is_empty();
        if message.id.is_empty() || !moving {
            // Anything printed outside the block moves it out of reach.
            self.lines.clear();
            self.clear_sums()?;
            self.line(message)?;
            return self.out.flush();
        }
        let known = self.lines.len();
        let line = *self.lines.entry(message.id.clone()).or_insert(known);
        let up = self.lines.len() - line;
        if self.columns.is_some() {
            if line == known {
                self.out.write_all(b"\n")?;
            }
            write!(self.out, "\x1b[{up}A")?;
        }
        self.line(message)?;
        if let Some(columns) = self.columns {
            write!(self.out, "\x1b[{up}B")?;
            self.sums(message, columns)?;
        }
        self.out.flush()
    }

    /// What it all comes to, on the line below the block.
    fn sums(&mut self, message: &Message, columns: u16) -> io::Result<()> {
        let now = Instant::now();
        self.totals.note(message, now);
        let Some(mut text) = self.totals.text(now) else {
            return self.clear_sums();
        };
        text.truncate(usize::from(columns).saturating_sub(1));
        self.summed = true;
        write!(self.out, "\x1b[2K\r{text}\r")
    }

    fn clear_sums(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.summed) {
            true => self.out.write_all(b"\x1b[2K\r"),
            false => Ok(()),
        }
    }

    fn line(&mut self, message: &Message) -> io::Result<()> {
        let bar = message
            .detail
            .as_ref()
            .map(|detail| bar(detail, self.columns.unwrap_or(200)));
        let terminal = self.columns.is_some();
        let mut end = "";
        if terminal && message.stream.is_empty() && bar.is_some() {
            self.out.write_all(b"\x1b[2K\r")?;
            end = "\r";
        } else if bar.as_ref().is_some_and(|bar| !bar.is_empty()) {
            return Ok(());
        }
        if !message.id.is_empty() {
            write!(self.out, "{}: ", harmless(&message.id))?;
        }
        if !message.from.is_empty() {
            write!(self.out, "(from {}) ", harmless(&message.from))?;
        }
        let status = harmless(&message.status);
        match bar {
            Some(bar) if terminal => write!(self.out, "{status} {bar}{end}"),
            _ if !message.progress.is_empty() => {
                write!(self.out, "{status} {}{end}", harmless(&message.progress))
            }
            _ if !message.stream.is_empty() => write!(self.out, "{}{end}", message.stream),
            _ => writeln!(self.out, "{status}{end}"),
        }
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        // An output that is gone needs no clearing up.
        let _ = self.clear_sums().and_then(|()| self.out.flush());
    }
}

/// `[=====>    ]  12MB/34MB`, as much of it as `columns` leave room for.
fn bar(detail: &Detail, columns: u16) -> String {
    if detail.current <= 0 && detail.total <= 0 {
        return String::new();
    }
    if detail.total <= 0 {
        return if detail.units.is_empty() {
            format!("{:>8}", size(detail.current))
        } else {
            format!("{} {}", detail.current, detail.units)
        };
    }
    let done = half_percent(detail.current, detail.total);
    let mut text = String::new();
    if columns > 110 {
        text = format!("[{}>{}] ", "=".repeat(done), " ".repeat(50 - done));
    }
    if !detail.hidecounts {
        text += &counts(detail);
    }
    if detail.current > 0
        && detail.start > 0
        && done < 50
        && let Some(left) = time_left(detail).filter(|_| columns > 50)
    {
        text += &format!(" {left}");
    }
    text
}

fn counts(detail: &Detail) -> String {
    let beyond = detail.current > detail.total;
    match (detail.units.as_str(), beyond) {
        ("", false) => format!("{:>8}/{}", size(detail.current), size(detail.total)),
        ("", true) => format!("{:>8}", size(detail.current)),
        (units, false) => format!("{}/{} {units}", detail.current, detail.total),
        (units, true) => format!("{} {units}", detail.current),
    }
}

/// How many of fifty steps are done.
fn half_percent(current: i64, total: i64) -> usize {
    let steps = i128::from(current.max(0)) * 100 / i128::from(total.max(1)) / 2;
    usize::try_from(steps.min(50)).unwrap_or(50)
}

fn time_left(detail: &Detail) -> Option<String> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    let gone = i64::try_from(now.as_secs())
        .ok()?
        .checked_sub(detail.start)?;
    let left = i128::from(gone) * i128::from(detail.total - detail.current);
    let seconds = left / i128::from(detail.current);
    Some(match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    })
}

#[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
fn size(bytes: i64) -> String {
    human_size(bytes as f64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn render(columns: Option<u16>, messages: &[&str]) -> String {
        let mut progress = Progress::new(Vec::new(), columns);
        for message in messages {
            progress
                .show(&serde_json::from_str(message).unwrap())
                .unwrap();
        }
        let out = std::mem::take(&mut progress.out);
        String::from_utf8(out).unwrap()
    }

    const PULL: [&str; 6] = [
        r#"{"status":"Pulling from library/x","id":"latest"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aaaa"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"bbbb"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":12000000,"total":34000000},"id":"aaaa"}"#,
        r#"{"status":"Pull complete","progressDetail":{},"id":"bbbb"}"#,
        r#"{"status":"Digest: sha256:1"}"#,
    ];

    #[test]
    fn plain_output_has_a_line_for_each_change_and_no_bars() {
        assert_eq!(
            render(None, &PULL),
            "latest: Pulling from library/x\naaaa: Pulling fs layer\nbbbb: Pulling fs layer\n\
             bbbb: Pull complete\nDigest: sha256:1\n"
        );
    }

    #[test]
    fn a_terminal_keeps_one_line_for_each_id() {
        assert_eq!(
            render(Some(120), &PULL),
            "latest: Pulling from library/x\n\
             \n\x1b[1A\x1b[2K\raaaa: Pulling fs layer \r\x1b[1B\
             \n\x1b[1A\x1b[2K\rbbbb: Pulling fs layer \r\x1b[1B\
             \x1b[2A\x1b[2K\raaaa: Downloading [=================>                                 ]     12MB/34MB\r\x1b[2B\
             \x1b[1A\x1b[2K\rbbbb: Pull complete \r\x1b[1B\
             Digest: sha256:1\n"
        );
    }

    #[test]
    fn narrow_terminals_get_no_bar_and_wrong_totals_no_total() {
        let detail = |current, total| Detail {
            current,
            total,
            ..Detail::default()
        };
        assert_eq!(bar(&detail(1000, 2000), 80), "     1kB/2kB");
        assert_eq!(bar(&detail(3000, 2000), 80), "     3kB");
        assert_eq!(bar(&detail(3000, 0), 80), "     3kB");
        assert_eq!(bar(&detail(0, 0), 80), "");
        let layers = Detail {
            units: "layers".into(),
            ..detail(1, 2)
        };
        assert_eq!(bar(&layers, 80), "1/2 layers");
    }

    #[test]
    fn errors_and_data_are_not_shown() {
        let hidden = [
            r#"{"errorDetail":{"message":"no"},"error":"no"}"#,
            r#"{"aux":{"ID":"x"}}"#,
        ];
        assert_eq!(render(None, &hidden), "");
    }
}
