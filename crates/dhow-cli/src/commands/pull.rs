//! `pull`: downloads an image.

use dhow_oci::Reference;

pub(crate) use super::messages::Show;
use super::{messages, runner};
use crate::client::Request;
use crate::command::{Arguments, Command, Completes, Section};
use crate::config::credentials;
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    also: "image pull, pull",
    arguments: Arguments::Exactly(1),
    completes: Completes::OneImage,
    flags: &[&[
        Flag::switch("all-tags", "Download all tagged images in the repository").short('a'),
        Flag::switch(
            "disable-content-trust",
            "Skip image verification (default true)",
        )
        .default("true"),
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
    let reference =
        Reference::parse(flags.argument(0)).map_err(|error| Error::text(error.to_string()))?;
    let all = flags.switch("all-tags");
    let bare = reference.tag().is_none() && reference.digest().is_none();
    if all && !bare {
        return Err(Error::text("tag can't be used with --all-tags/-a"));
    }
    let quiet = flags.switch("quiet");
    let reference = if bare && !all {
        let reference = reference.with_default_tag();
        if !quiet {
            session.println(&format!(
                "Using default tag: {}",
                reference.tag().unwrap_or_default()
            ))?;
        }
        reference
    } else {
        reference
    };
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
