//! `pull`: downloads an image.

use dhow_oci::Reference;

pub(crate) use super::messages::Show;
use super::{content_trust, messages, runner, tagged};
use crate::command::{Arguments, Command, Completes, Section};
use crate::error::Result;
use crate::session::Session;
use dhow_client::Request;
use dhow_client::credentials;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "image pull, pull",
    arguments: Arguments::Exactly(1),
    completes: Completes::OneImage,
    flags: &[&[
        Flag::switch("all-tags", "Download all tagged images in the repository").short('a'),
        content_trust("Skip image verification (default true)"),
        Flag::text(
            "platform",
            "Set platform if server is multi-platform capable",
        ),
        Flag::switch("quiet", "Suppress verbose output").short('q'),
    ]],
    section: Section::Other,
    ..Command::new(
        "pull",
        "Download an image from a registry",
        "[OPTIONS] NAME[:TAG|@DIGEST]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let quiet = flags.switch("quiet");
    let reference = tagged(session, flags)?;
    let show = if quiet { Show::Nothing } else { Show::Stdout };
    pull(session, &reference, flags.text("platform"), show).await?;
    session.println(&reference.canonical())
}

/// Pulls one image (all tags, where the reference has none) and shows how it goes.
pub(crate) async fn pull(
    session: &Session,
    reference: &Reference,
    platform: &str,
    show: Show,
) -> Result<()> {
    let digest = reference.digest().map(ToString::to_string);
    let tag = digest.as_deref().or(reference.tag()).unwrap_or_default();
    let request = Request::post("/images/create")
        .query("fromImage", reference.name())
        .query_if(!platform.is_empty(), "platform", platform)
        .query_if(!tag.is_empty(), "tag", tag)
        .header(
            "X-Registry-Auth",
            credentials::header(&session.config, reference)?,
        );
    let response = session.client()?.send(request).await?;
    messages::show(response, show).await
}
