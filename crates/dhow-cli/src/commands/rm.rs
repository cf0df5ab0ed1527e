//! `rm`: removes containers.

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::{Session, all_or};
use dhow_client::Request;
use dhow_client::request::escape_path;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    aliases: &["remove"],
    also: "container rm, container remove, rm",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Containers(&["created", "exited", "dead"]),
    flags: &[&[
        Flag::switch(
            "force",
            "Force the removal of a running container (uses SIGKILL)",
        )
        .short('f'),
        Flag::switch("link", "Remove the specified link").short('l'),
        Flag::switch(
            "volumes",
            "Remove anonymous volumes associated with the container",
        )
        .short('v'),
    ]],
    ..Command::new(
        "rm",
        "Remove one or more containers",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let force = flags.switch("force");
    let mut failures = Vec::new();
    for name in &flags.arguments {
        let bare = name.trim_matches('/');
        if bare.is_empty() {
            failures.push("container name cannot be empty".to_owned());
            continue;
        }
        let request = Request::delete(format!("/containers/{}", escape_path(bare)))
            .query_if(force, "force", "1")
            .query_if(flags.switch("link"), "link", "1")
            .query_if(flags.switch("volumes"), "v", "1");
        match client.done(request).await {
            Ok(()) => session.println(name)?,
            // Forced: it is gone, which is what was wanted.
            Err(error) if force && error.is_not_found() => session.warn(&error.to_string()),
            Err(error) if error.is_no_daemon() => return Err(error.into()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    all_or(failures)
}
