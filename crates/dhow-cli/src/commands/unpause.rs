//! `unpause`: lets frozen containers go on.

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    also: "container unpause, unpause",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Containers(&["paused"]),
    ..Command::new(
        "unpause",
        "Unpause all processes within one or more containers",
        "CONTAINER [CONTAINER...]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    session
        .each(&flags.arguments, async |name| {
            client
                .done(Request::post(format!(
                    "/containers/{}/unpause",
                    escape(name)
                )))
                .await?;
            Ok(name.to_owned())
        })
        .await
}
