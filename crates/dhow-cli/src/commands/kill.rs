//! `kill`: sends containers a signal.

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container kill, kill",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Containers(&["running", "paused", "restarting"]),
    flags: &[&[Flag::text("signal", "Signal to send to the container").short('s')]],
    ..Command::new(
        "kill",
        "Kill one or more running containers",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    session
        .each(&flags.arguments, async |name| {
            let request = Request::post(format!("/containers/{}/kill", escape(name))).query_if(
                flags.changed("signal"),
                "signal",
                flags.text("signal"),
            );
            client.done(request).await?;
            Ok(name.to_owned())
        })
        .await
}
