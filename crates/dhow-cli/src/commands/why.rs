//! `why`: why a container ended, restarts or is unhealthy. Dhow's own; it asks nothing of an engine that others don't.

use std::time::Duration;

use dhow_terminal::units::{bytes_size, human_duration};
use jiff::Timestamp;
use serde_json::Value;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::Session;
use dhow_client::frames::Decoder;
use dhow_client::request::escape;
use dhow_client::{Client, Filters, Request};
use dhow_options::flags::Parsed;

/// How many of its last lines are shown.
const LINES: &str = "5";

/// How many of the last things that happened to it are shown.
const EVENTS: usize = 8;

pub(crate) const COMMAND: Command = Command {
    arguments: Arguments::Exactly(1),
    completes: Completes::Containers(&[]),
    ..Command::new(
        "why",
        "Tell why a container ended, restarts or is unhealthy",
        "CONTAINER",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let path = format!("/containers/{}", escape(flags.argument(0)));
    let container: Value = client.json(Request::get(format!("{path}/json"))).await?;
    let now = Timestamp::now();
    let mut text = verdict(&container, now);
    let events = events(client, &container, now).await?;
    if !events.is_empty() {
        text += "what happened last:\n";
        text += &events;
    }
    let lines = last_lines(client, &path, &container).await?;
    if !lines.is_empty() {
        text += "its last lines:\n";
        for line in lines.lines() {
            text += &format!("  {}\n", visible(line));
        }
    }
    session.print(&text)
}

/// What its state says, a finding a line.
fn verdict(container: &Value, now: Timestamp) -> String {
    let state = &container["State"];
    let host = &container["HostConfig"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&container["Name"]);
    let name = name.trim_start_matches('/');
    let status = text(&state["Status"]);
    let code = state["ExitCode"].as_i64().unwrap_or_default();
    let ended = ago(&state["FinishedAt"], now);
    let mut lines = vec![match status.as_str() {
        "running" | "paused" => {
            format!("{name} is {status} since {}", ago(&state["StartedAt"], now))
        }
        "restarting" => format!("{name} restarts: it ended with {} {ended}", code_text(code)),
        "created" => format!("{name} was never started"),
        "removing" | "dead" => format!("{name} is {status}"),
        _ => format!("{name} ended with {} {ended}", code_text(code)),
    }];
    if state["OOMKilled"] == Value::Bool(true) {
        let limit = host["Memory"].as_f64().filter(|limit| *limit > 0.0);
        lines.push(match limit {
            Some(limit) => format!(
                "it ran out of memory: its limit is {} (raise it with `update --memory`)",
                bytes_size(limit)
            ),
            None => "a process in it was killed because the machine ran out of memory".to_owned(),
        });
    }
    let error = text(&state["Error"]);
    if !error.is_empty() {
        lines.push(format!("the engine says: {}", visible(&error)));
    }
    lines.extend(health(&state["Health"]));
    lines.extend(restarts(container));
    lines.extend(next_start(state, now));
    lines.join("\n") + "\n"
}

/// What an exit code usually means.
fn code_text(code: i64) -> String {
    let meaning = match code {
        0 => "success",
        125 => "the engine could not start it",
        126 => "its command can't be executed",
        127 => "its command was not found",
        134 => "SIGABRT: it gave up",
        137 => "SIGKILL: it was killed",
        139 => "SIGSEGV: it crashed",
        143 => "SIGTERM: it was asked to end",
        129..=192 => return format!("{code} (signal {})", code - 128),
        _ => return code.to_string(),
    };
    format!("{code} ({meaning})")
}

fn health(health: &Value) -> Option<String> {
    let status = health["Status"]
        .as_str()
        .filter(|status| *status != "none")?;
    let mut line = format!("its health is {status}");
    let last = health["Log"].as_array().and_then(|log| log.last());
    if let Some(probe) = last.filter(|_| status != "healthy") {
        let output = probe["Output"].as_str().unwrap_or_default().trim();
        line += &format!(
            ": {} failures in a row, the last with {}",
            health["FailingStreak"], probe["ExitCode"]
        );
        if !output.is_empty() {
            line += &format!(
                ": {}",
                visible(output.lines().next_back().unwrap_or_default())
            );
        }
    }
    Some(line)
}

fn restarts(container: &Value) -> Option<String> {
    let policy = &container["HostConfig"]["RestartPolicy"];
    let name = policy["Name"]
        .as_str()
        .filter(|name| !matches!(*name, "" | "no"))?;
    let count = container["RestartCount"].as_u64().unwrap_or_default();
    let mut line = format!("its restart policy is {name}");
    let most = policy["MaximumRetryCount"].as_u64().unwrap_or_default();
    if most > 0 {
        line += &format!(" ({most} times at most)");
    }
    line += &match count {
        0 => "; it was not restarted".to_owned(),
        1 => "; it was restarted once".to_owned(),
        count => format!("; it was restarted {count} times"),
    };
    Some(line)
}

/// When a container between two runs is started again.
fn next_start(state: &Value, now: Timestamp) -> Option<String> {
    let next: Timestamp = state["NextStartAt"].as_str()?.parse().ok()?;
    let left = Duration::try_from(next.duration_since(now)).unwrap_or_default();
    Some(format!(
        "it is started again in {:.1} seconds",
        left.as_secs_f64()
    ))
}

/// The last things that happened to it, as far as the engine remembers.
async fn events(client: &Client, container: &Value, now: Timestamp) -> Result<String> {
    let id = container["Id"].as_str().unwrap_or_default();
    let filters = [format!("container={id}")];
    let created = container["Created"]
        .as_str()
        .and_then(|text| text.parse().ok());
    let created = created.map_or(1, Timestamp::as_second);
    let request = Request::get("/events")
        .filters(&Filters::new(&filters))
        .query("since", created.to_string())
        .query(
            "until",
            format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()),
        );
    let bytes = client.bytes(request).await?;
    let stream = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
    let mut lines: Vec<String> = stream
        .flatten()
        .filter_map(|event| told(&event, now))
        .collect();
    lines.drain(..lines.len().saturating_sub(EVENTS));
    Ok(lines.concat())
}

/// An event that explains something, in a line.
fn told(event: &Value, now: Timestamp) -> Option<String> {
    let action = event["Action"].as_str()?;
    let attributes = &event["Actor"]["Attributes"];
    let of = |name: &str| attributes[name].as_str().unwrap_or("?").to_owned();
    let what = match action {
        "kill" if attributes["reason"] == "unhealthy" => format!(
            "its restart policy had it sent signal {} because it was unhealthy",
            of("signal")
        ),
        "kill" => format!("a client, or its stop, sent it signal {}", of("signal")),
        "die" => format!("it ended with {}", of("exitCode")),
        "oom" => "a process in it ran out of memory".to_owned(),
        "start" => "it was started".to_owned(),
        "stop" => "a client stopped it".to_owned(),
        "restart" => "a client restarted it".to_owned(),
        "pause" | "unpause" | "update" => format!("a client asked for {action}"),
        health if health.starts_with("health_status: ") => {
            format!("its health became {}", &health["health_status: ".len()..])
        }
        _ => return None,
    };
    let nanoseconds = event["timeNano"].as_i64().unwrap_or_default();
    let when = Timestamp::from_nanosecond(nanoseconds.into()).ok()?;
    Some(format!("  {:>24}  {what}\n", since(when, now)))
}

async fn last_lines(client: &Client, path: &str, container: &Value) -> Result<String> {
    let request = Request::get(format!("{path}/logs"))
        .query("stdout", "1")
        .query("stderr", "1")
        .query("tail", LINES);
    // A driver that keeps nothing has nothing to show.
    let Ok(bytes) = client.bytes(request).await else {
        return Ok(String::new());
    };
    if container["Config"]["Tty"] == Value::Bool(true) {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut decoder = Decoder::default();
    decoder.feed(&bytes);
    let mut text = Vec::new();
    while let Some((_, data)) = decoder.next_piece()? {
        text.extend_from_slice(&data);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// How long ago the time in an inspection is.
fn ago(time: &Value, now: Timestamp) -> String {
    let when = time.as_str().and_then(|text| text.parse().ok());
    when.map_or_else(String::new, |when| since(when, now))
}

fn since(when: Timestamp, now: Timestamp) -> String {
    let passed = Duration::try_from(now.duration_since(when)).unwrap_or_default();
    format!("{} ago", human_duration(passed).to_lowercase())
}

/// The text without what would move the terminal's cursor.
fn visible(text: &str) -> String {
    let shown = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    text.trim_end().chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_state_is_told_in_sentences() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let container = json!({
            "Name": "/web", "RestartCount": 2,
            "State": {
                "Status": "exited", "ExitCode": 137, "OOMKilled": true, "Error": "",
                "FinishedAt": "2026-01-01T00:00:00Z",
                "Health": {"Status": "unhealthy", "FailingStreak": 3, "Log": [{"ExitCode": 1, "Output": "a\nno\x1b[2J\n"}]},
            },
            "HostConfig": {"Memory": 67_108_864, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5}},
        });
        assert_eq!(
            verdict(&container, now),
            "web ended with 137 (SIGKILL: it was killed) about a minute ago\n\
             it ran out of memory: its limit is 64MiB (raise it with `update --memory`)\n\
             its health is unhealthy: 3 failures in a row, the last with 1: no\u{fffd}[2J\n\
             its restart policy is on-failure (5 times at most); it was restarted 2 times\n"
        );
    }

    #[test]
    fn codes_have_meanings() {
        assert_eq!(code_text(127), "127 (its command was not found)");
        assert_eq!(code_text(130), "130 (signal 2)");
        assert_eq!(code_text(3), "3");
    }

    #[test]
    fn events_that_explain_nothing_are_left_out() {
        let now = Timestamp::UNIX_EPOCH;
        let event = |action: &str| json!({"Action": action, "Actor": {"Attributes": {"exitCode": "3"}}, "timeNano": 0});
        assert_eq!(told(&event("exec_create: sh"), now), None);
        assert!(
            told(&event("die"), now)
                .unwrap()
                .contains("it ended with 3")
        );
    }
}
