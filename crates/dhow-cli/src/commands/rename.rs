//! `rename`: gives a container another name.

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    also: "container rename, rename",
    arguments: Arguments::Exactly(2),
    completes: Completes::OneContainer(&[]),
    ..Command::new(
        "rename",
        "Rename a container",
        "CONTAINER NEW_NAME",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let (old, new) = (flags.argument(0).trim(), flags.argument(1).trim());
    if old.is_empty() || new.is_empty() {
        return Err(Error::text("Error: Neither old nor new names may be empty"));
    }
    let request = Request::post(format!("/containers/{}/rename", escape(old))).query("name", new);
    session
        .client()?
        .done(request)
        .await
        .map_err(|error| match error {
            error @ dhow_client::Error::Daemon { .. } => Error::text(format!(
                "{error}\nError: failed to rename container named {old}"
            )),
            other => other.into(),
        })
}
