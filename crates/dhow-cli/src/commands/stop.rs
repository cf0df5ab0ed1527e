//! `stop`: asks containers to end, then makes them.

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container stop, stop",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Containers(&["running", "paused", "restarting"]),
    flags: &[&[
        Flag::text("signal", "Signal to send to the container").short('s'),
        Flag::int("timeout", "Seconds to wait before killing the container").short('t'),
    ]],
    ..Command::new(
        "stop",
        "Stop one or more running containers",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    session
        .each(&flags.arguments, async |name| {
            let request = Request::post(format!("/containers/{}/stop", escape(name)))
                .query_if(flags.changed("signal"), "signal", flags.text("signal"))
                .query_if(flags.changed("timeout"), "t", flags.text("timeout"));
            client.done(request).await?;
            Ok(name.to_owned())
        })
        .await
}
