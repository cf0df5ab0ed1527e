//! `tag`: gives an image another name.

use dhow_oci::Reference;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape_path;
use dhow_options::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    also: "image tag, tag",
    arguments: Arguments::Exactly(2),
    completes: Completes::OneImage,
    ..Command::new(
        "tag",
        "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
        "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let (source, target) = (flags.argument(0), flags.argument(1));
    Reference::parse(source).map_err(|error| {
        Error::text(format!(
            "Error parsing reference: {source:?} is not a valid repository/tag: {error}"
        ))
    })?;
    let reference = Reference::parse(target).map_err(|error| {
        Error::text(format!(
            "Error parsing reference: {target:?} is not a valid repository/tag: {error}"
        ))
    })?;
    if reference.digest().is_some() {
        return Err(Error::text(
            "refusing to create a tag with a digest reference",
        ));
    }
    let reference = reference.with_default_tag();
    let request = Request::post(format!("/images/{}/tag", escape_path(source)))
        .query("repo", reference.name())
        .query("tag", reference.tag().unwrap_or_default());
    Ok(session.client()?.done(request).await?)
}
