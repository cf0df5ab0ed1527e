//! `push`: uploads an image.

use dhow_oci::Reference;

use super::{messages, runner};
use crate::client::Request;
use crate::client::request::escape_path;
use crate::command::{Arguments, Command, Completes, Section};
use crate::config::credentials;
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command {
    also: "image push, push",
    arguments: Arguments::Exactly(1),
    completes: Completes::OneImage,
    flags: &[&[
        Flag::switch("all-tags", "Push all tags of an image to the repository").short('a'),
        Flag::switch("disable-content-trust", "Skip image signing (default true)").default("true"),
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
