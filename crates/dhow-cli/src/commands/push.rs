//! `push`: uploads an image.

use super::{content_trust, messages, runner, tagged};
use crate::command::{Arguments, Command, Completes, Section};
use crate::error::Result;
use crate::session::Session;
use dhow_client::Request;
use dhow_client::credentials;
use dhow_client::request::escape_path;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "image push, push",
    arguments: Arguments::Exactly(1),
    completes: Completes::OneImage,
    flags: &[&[
        Flag::switch("all-tags", "Push all tags of an image to the repository").short('a'),
        content_trust("Skip image signing (default true)"),
        Flag::text(
            "platform",
            "Push a platform-specific manifest as a single-platform image to the registry.\nImage index won't be pushed, meaning that other manifests, including attestations won't be preserved.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
        ),
        Flag::switch("quiet", "Suppress verbose output").short('q'),
    ]],
    section: Section::Other,
    ..Command::new(
        "push",
        "Upload an image to a registry",
        "[OPTIONS] NAME[:TAG]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let quiet = flags.switch("quiet");
    let reference = tagged(session, flags)?;
    let tag = reference.tag().unwrap_or_default();
    let platform = super::platform_json(flags.text("platform"))?;
    let request = Request::post(format!("/images/{}/push", escape_path(&reference.name())))
        .query_if(!tag.is_empty(), "tag", tag)
        .query_if(!platform.is_empty(), "platform", platform)
        .header(
            "X-Registry-Auth",
            credentials::header(&session.config, &reference)?,
        );
    let response = session.client()?.send(request).await?;
    let show = if quiet {
        messages::Show::Nothing
    } else {
        messages::Show::Stdout
    };
    messages::show(response, show).await?;
    if quiet {
        session.println(&reference.canonical())?;
    }
    Ok(())
}
