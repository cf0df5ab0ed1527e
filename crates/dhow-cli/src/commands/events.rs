//! `events`: what happens in the engine, as it happens.

use dhow_terminal::template::Template;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::runner;
use crate::command::Command;
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::{Documents, Filters, Request};
use dhow_format::{document, times};
use dhow_options::filters;
use dhow_options::flags::{Flag, Kind, Parsed};
use dhow_options::time::timestamp;

pub(crate) const COMMAND: Command = Command {
    also: "system events, events",
    flags: &[&[
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Filter output based on conditions provided",
        )
        .short('f')
        .checked(filters::check),
        Flag::text(
            "format",
            "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag::text("since", "Show all events created since timestamp"),
        Flag::text("until", "Stream events until this timestamp"),
    ]],
    ..Command::new(
        "events",
        "Get real time events from the server",
        "[OPTIONS]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let format = match flags.text("format") {
        "json" => "{{json .}}",
        format => format,
    };
    let template = match format {
        "" => None,
        format => Some(Template::parse("", format).map_err(|error| Error::Exit {
            code: 64,
            text: format!("Error parsing format: {error}"),
        })?),
    };
    if let Some(template) = &template {
        template
            .execute(&document::value(&blank(), "*events.Message"))
            .map_err(|error| Error::Exit {
                code: 64,
                text: format!("Error parsing format: {error}"),
            })?;
    }
    let moment = |flag: &str| timestamp(flags.text(flag), Timestamp::now()).map_err(Error::text);
    let (since, until) = (moment("since")?, moment("until")?);
    let request = Request::get("/events")
        .filters(&Filters::new(&flags.list("filter")))
        .query_if(!since.is_empty(), "since", since)
        .query_if(!until.is_empty(), "until", until);
    let mut events = Documents::<Value>::new(session.client()?.send(request).await?);
    while let Some(event) = events.next().await? {
        let line = match &template {
            None => line(&event),
            Some(template) => template
                .execute(&document::value(&event, "events.Message"))
                .map_err(|error| Error::text(error.to_string()))?,
        };
        session.println(&line)?;
    }
    Ok(())
}

/// An event that says nothing, on which templates are tried out before any event comes.
fn blank() -> Value {
    json!({
        "Status": "", "ID": "", "From": "", "Type": "", "Action": "", "Scope": "", "Time": 0, "TimeNano": 0,
        "Actor": {"ID": "", "Attributes": {}},
    })
}

/// `TIME TYPE ACTION ID (attribute=value, …)`.
fn line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nanoseconds = event["timeNano"].as_i64().unwrap_or(0);
    let time = if nanoseconds != 0 {
        let fraction = i32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
        times::fixed(nanoseconds / 1_000_000_000, fraction)
    } else {
        times::fixed(event["time"].as_i64().unwrap_or(0), 0)
    };
    let actor = &event["Actor"];
    let mut attributes: Vec<String> = actor["Attributes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    attributes.sort();
    let mut line = format!(
        "{time} {} {} {}",
        text(&event["Type"]),
        text(&event["Action"]),
        text(&actor["ID"])
    );
    if !attributes.is_empty() {
        line += &format!(" ({})", attributes.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = json!({
            "Type": "container", "Action": "die", "time": 5, "timeNano": 5_000_000_001_i64,
            "Actor": {"ID": "abc", "Attributes": {"name": "x", "image": "i"}},
        });
        let line = line(&event);
        assert!(
            line.ends_with(" container die abc (image=i, name=x)"),
            "{line}"
        );
        assert!(line.contains(":05.000000001"), "{line}");
    }
}
