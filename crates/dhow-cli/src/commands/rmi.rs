//! `rmi`, `image rm`: removes images or names of images.

use dhow_api::image::ImageDeleted;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::{Session, all_or};
use dhow_client::Request;
use dhow_client::request::escape_path;
use dhow_options::flags::{Flag, Kind, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "image rm, image remove, rmi",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Images,
    flags: &[&[
        Flag::switch("force", "Force removal of the image").short('f'),
        Flag::switch("no-prune", "Do not delete untagged parents"),
        Flag::new(
            "platform",
            Kind::Strings,
            "strings",
            "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
    ]],
    ..Command::new(
        "rmi",
        "Remove one or more images",
        "[OPTIONS] IMAGE [IMAGE...]",
        runner!(run),
    )
};

pub(crate) const RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    ..COMMAND
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let force = flags.switch("force");
    let platforms = flags
        .list("platform")
        .iter()
        .map(|p| super::platform_json(p))
        .collect::<Result<Vec<_>>>()?;
    let (mut failures, mut missing) = (Vec::new(), 0);
    for name in &flags.arguments {
        let mut request = Request::delete(format!("/images/{}", escape_path(name)))
            .query_if(force, "force", "1")
            .query_if(flags.switch("no-prune"), "noprune", "1");
        for platform in &platforms {
            request = request.query("platforms", platform.as_str());
        }
        match client.json::<Vec<ImageDeleted>>(request).await {
            Ok(deleted) => session.print(&report(&deleted))?,
            Err(error) if error.is_no_daemon() => return Err(error.into()),
            Err(error) => {
                missing += usize::from(error.is_not_found());
                failures.push(error.to_string());
            }
        }
    }
    if force && missing == failures.len() && !failures.is_empty() {
        session.warn(&failures.join("\n"));
        return Ok(());
    }
    all_or(failures)
}

/// What was untagged and deleted, a line each.
pub(crate) fn report(deleted: &[ImageDeleted]) -> String {
    deleted
        .iter()
        .map(|entry| match entry.deleted.as_str() {
            "" => format!("Untagged: {}\n", entry.untagged),
            id => format!("Deleted: {id}\n"),
        })
        .collect()
}
