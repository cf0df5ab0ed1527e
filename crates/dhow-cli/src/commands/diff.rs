//! `diff`: what changed in a container's file system.

use dhow_api::container::Change;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    also: "container diff, diff",
    arguments: Arguments::Exactly(1),
    completes: Completes::Containers(&[]),
    ..Command::new(
        "diff",
        "Inspect changes to files or directories on a container's filesystem",
        "CONTAINER",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let name = flags.argument(0);
    if name.is_empty() {
        return Err(Error::text("Container name cannot be empty"));
    }
    let request = Request::get(format!("/containers/{}/changes", escape(name)));
    let changes: Option<Vec<Change>> = session.client()?.json(request).await?;
    let mut text = String::new();
    for change in changes.unwrap_or_default() {
        let kind = match change.kind {
            0 => 'C',
            1 => 'A',
            _ => 'D',
        };
        text += &format!("{kind} {}\n", change.path);
    }
    session.print(&text)
}
