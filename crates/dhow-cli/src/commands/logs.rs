//! `logs`: shows a container's output.

use std::io;

use jiff::Timestamp;
use serde_json::Value;

use super::runner;
use crate::attach::{failed, write};
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::frames::{Decoder, Stream};
use dhow_client::request::escape;
use dhow_options::flags::{Flag, Parsed};
use dhow_options::time::timestamp;

pub(crate) const COMMAND: Command = Command {
    also: "container logs, logs",
    arguments: Arguments::Exactly(1),
    completes: Completes::Containers(&[]),
    flags: &[&[
        Flag::switch("details", "Show extra details provided to logs"),
        Flag::switch("follow", "Follow log output").short('f'),
        Flag::text(
            "since",
            "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
        Flag::text(
            "tail",
            "Number of lines to show from the end of the logs (default \"all\")",
        )
        .short('n')
        .default("all"),
        Flag::switch("timestamps", "Show timestamps").short('t'),
        Flag::text(
            "until",
            "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
    ]],
    ..Command::new(
        "logs",
        "Fetch the logs of a container",
        "[OPTIONS] CONTAINER",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let name = escape(flags.argument(0));
    let container: Value = client
        .json(Request::get(format!("/containers/{name}/json")))
        .await?;
    let tty = container["Config"]["Tty"] == Value::Bool(true);
    let id = container["Id"].as_str().unwrap_or(&name);
    let moment = |flag: &str| {
        timestamp(flags.text(flag), Timestamp::now())
            .map_err(|error| Error::text(format!("invalid value for {flag:?}: {error}")))
    };
    let (since, until) = (moment("since")?, moment("until")?);
    let request = Request::get(format!("/containers/{id}/logs"))
        .query_if(flags.switch("details"), "details", "1")
        .query_if(flags.switch("follow"), "follow", "1")
        .query_if(!since.is_empty(), "since", since)
        .query("stderr", "1")
        .query("stdout", "1")
        .query("tail", flags.text("tail"))
        .query_if(flags.switch("timestamps"), "timestamps", "1")
        .query_if(!until.is_empty(), "until", until);
    let mut response = client.send(request).await?;
    let mut decoder = Decoder::default();
    while let Some(chunk) = response.chunk().await? {
        if tty {
            write(Stream::Stdout, &chunk).map_err(|error: io::Error| failed(&error))?;
            continue;
        }
        decoder.feed(&chunk);
        while let Some((stream, data)) = decoder.next_piece()? {
            write(stream, &data).map_err(|error| failed(&error))?;
        }
    }
    Ok(())
}
