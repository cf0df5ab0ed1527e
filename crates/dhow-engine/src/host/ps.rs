//! The processes of a container as `ps` on the host shows them.

use std::process::Stdio;

use tokio::process::Command;

use crate::container::Top;
use crate::{Error, Result};
use dhow_container::spec::Invalid;

/// Refuses columns that would be called PID without being it (`-o x=PID`).
///
/// # Errors
/// There is such a column; the text is Docker's.
pub(crate) fn check(args: &str) -> Result<(), Invalid> {
    for word in args.split_whitespace().flat_map(|word| word.split(',')) {
        if let Some((key, title)) = word.split_once('=')
            && title.trim_start().to_ascii_uppercase().starts_with("PID")
        {
            return Err(Invalid(format!(
                "specifying \"{key}={title}\" is not allowed"
            )));
        }
    }
    Ok(())
}

/// Runs the host's `ps` and picks the rows of these processes; nothing when there is no `ps`.
pub(crate) async fn run(args: &str, pids: &[u32]) -> Result<Option<Top>> {
    let mut command = Command::new("ps");
    command
        .args(args.split_whitespace())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match command.output().await {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(Error::File {
                action: "run",
                path: "ps".into(),
                source,
            });
        }
    };
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Refused(format!(
            "error running ps: {}",
            reason.trim()
        )));
    }
    select(&String::from_utf8_lossy(&output.stdout), pids).map(Some)
}

/// Picks the rows of these processes.
fn select(text: &str, pids: &[u32]) -> Result<Top> {
    let mut lines = text.lines();
    let titles: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let column = titles
        .iter()
        .position(|title| title == "PID")
        .ok_or_else(|| Error::Refused("Couldn't find PID field in ps output".into()))?;
    let mut processes = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pid = words.get(column).and_then(|word| word.parse::<u32>().ok());
        // A line that only goes on for a thread (`ps -m`) has `-` and belongs to the row above.
        let goes_on = words.get(column) == Some(&"-") && !processes.is_empty();
        if goes_on || pid.is_some_and(|pid| pids.contains(&pid)) {
            processes.push(row(&words, titles.len()));
        }
    }
    Ok(Top { titles, processes })
}

/// The words of a line, what is beyond the last column joined to it.
fn row(words: &[&str], columns: usize) -> Vec<String> {
    let (first, last) = words.split_at(words.len().min(columns.saturating_sub(1)));
    let mut row: Vec<String> = first.iter().map(|word| (*word).to_owned()).collect();
    if !last.is_empty() {
        row.push(last.join(" "));
    }
    row
}

/// The columns of `ps -ef`, from `/proc`.
pub(crate) fn own(pids: &[u32]) -> Top {
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    Top {
        titles: titles.iter().map(|title| (*title).to_owned()).collect(),
        processes: pids.iter().filter_map(|pid| process(*pid)).collect(),
    }
}

fn process(pid: u32) -> Option<Vec<String>> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let stat = read("stat")?;
    // The name, in parentheses, may have spaces; the numbers follow its end.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let spent = (number(11) + number(12)) / ticks;
    let uid = read("status")?.lines().find_map(|line| {
        line.strip_prefix("Uid:")?
            .split_whitespace()
            .next()
            .map(str::to_owned)
    })?;
    let command = read("cmdline")
        .unwrap_or_default()
        .trim_end_matches('\0')
        .replace('\0', " ");
    let command = if command.is_empty() {
        format!("[{}]", read("comm").unwrap_or_default().trim())
    } else {
        command
    };
    Some(vec![
        if uid == "0" { "root".into() } else { uid },
        pid.to_string(),
        number(1).to_string(),
        "0".into(),
        started(number(19) / ticks),
        terminal(number(4)),
        format!(
            "{:02}:{:02}:{:02}",
            spent / 3600,
            spent / 60 % 60,
            spent % 60
        ),
        command,
    ])
}

/// The time of day at which a process was started, so many seconds after the boot.
fn started(after_boot: u64) -> String {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.parse::<u64>().ok());
    let seconds = boot.unwrap_or(0).saturating_add(after_boot);
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| {
        time.to_zoned(jiff::tz::TimeZone::system())
            .strftime("%H:%M")
            .to_string()
    })
    .unwrap_or_default()
}

fn terminal(device: u64) -> String {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff);
    match major {
        136 => format!("pts/{minor}"),
        _ => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn rows_are_picked_by_pid() {
        let text = "UID PID PPID C STIME TTY TIME CMD\nroot 7 1 0 01:51 ? 00:00:00 sh -c true x\nroot 8 1 0 01:51 ? 0 y\n";
        let top = select(text, &[7]).unwrap();
        assert_eq!(top.processes.len(), 1);
        assert_eq!(top.processes[0][7], "sh -c true x");
        let error = select("COMMAND\nsh\n", &[7]).unwrap_err();
        assert_eq!(error.to_string(), "Couldn't find PID field in ps output");
    }

    #[test]
    fn disguised_columns_are_refused() {
        assert!(check("-o pid,comm").is_ok());
        assert!(check("-o ppid=PID").is_err());
    }

    #[test]
    fn own_table_has_this_process() {
        let top = own(&[std::process::id()]);
        assert_eq!(top.processes[0][1], std::process::id().to_string());
    }
}
