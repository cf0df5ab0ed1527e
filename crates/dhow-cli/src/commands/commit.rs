//! `commit`: a container's changes as an image.

use dhow_api::image::CommitResponse;
use dhow_oci::Reference;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container commit, commit",
    arguments: Arguments::Between(1, 2),
    completes: Completes::OneContainer(&[]),
    flags: &[&[
        Flag::text(
            "author",
            "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
        )
        .short('a'),
        Flag::list(
            "change",
            "Apply Dockerfile instruction to the created image",
        )
        .short('c'),
        Flag::text("message", "Commit message").short('m'),
        Flag::switch("pause", "Pause container during commit (default true)")
            .short('p')
            .default("true"),
    ]],
    ..Command::new(
        "commit",
        "Create a new image from a container's changes",
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let given = |name: &'static str| (!flags.text(name).is_empty(), name, flags.text(name));
    let mut request = Request::post("/commit");
    let (has_author, _, author) = given("author");
    request = request.query_if(has_author, "author", author);
    for change in flags.list("change") {
        request = request.query("changes", change);
    }
    let (has_message, _, message) = given("message");
    request = request
        .query_if(has_message, "comment", message)
        .query("container", flags.argument(0))
        .query_if(!flags.switch("pause"), "pause", "0");
    if let Some(name) = flags.arguments.get(1).filter(|name| !name.is_empty()) {
        let reference = Reference::parse(name).map_err(|error| Error::text(error.to_string()))?;
        if reference.digest().is_some() {
            return Err(Error::text(
                "refusing to create a tag with a digest reference",
            ));
        }
        let reference = reference.with_default_tag();
        request = request
            .query("repo", reference.name())
            .query("tag", reference.tag().unwrap_or_default());
    }
    let committed: CommitResponse = session.client()?.json(request).await?;
    session.println(&committed.id)
}
