//! `images`, `image ls`: lists images.

mod tree;

use dhow_api::image::ImageSummary;
use dhow_client::settings::variable;
use dhow_terminal::is_terminal;

use super::runner;
use crate::command::{Arguments, Command, Completes, Section};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::{Filters, Request};
use dhow_format::image;
use dhow_options::filters;
use dhow_options::flags::{Flag, Kind, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "image ls, image list, images",
    arguments: Arguments::AtMost(1),
    completes: Completes::OneImage,
    flags: &[&[
        Flag::switch("all", "Show all images (default hides intermediate images)").short('a'),
        Flag::switch("digests", "Show digests"),
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Filter output based on conditions provided",
        )
        .short('f')
        .checked(filters::check),
        Flag::text(
            "format",
            "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::switch("quiet", "Only show image IDs").short('q'),
        Flag::switch(
            "tree",
            "List multi-platform images as a tree (EXPERIMENTAL)",
        ),
    ]],
    section: Section::Common,
    ..Command::new(
        "images",
        "List images",
        "[OPTIONS] [REPOSITORY[:TAG]]",
        runner!(run),
    )
};

pub(crate) const LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    section: Section::Other,
    ..COMMAND
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let mut filters = Filters::new(&flags.list("filter"));
    if let Some(reference) = flags.arguments.first() {
        filters.add("reference", reference);
    }
    let request = Request::get("/images/json")
        .query_if(flags.switch("all"), "all", "1")
        .query_if(flags.switch("tree"), "manifests", "1")
        .filters(&filters);
    if flags.switch("tree") {
        return tree(session, flags, request).await;
    }
    let images: Vec<ImageSummary> = session.client()?.json(request).await?;
    let format = super::format_or(session, flags, "imagesFormat");
    let digests = flags.switch("digests");
    let truncate = !flags.switch("no-trunc");
    let with_digests = digests || format.contains(".Digest");
    let mut rows = Vec::new();
    let quiet = flags.switch("quiet");
    for image in &images {
        let names = image::names(image, with_digests);
        rows.extend(names.iter().map(|name| image::row(image, name, truncate)));
    }
    session.print(&dhow_format::render(
        &image::layout(digests),
        &format,
        quiet,
        &rows,
    )?)
}

/// Each image with its variants.
async fn tree(session: &Session, flags: &Parsed, request: Request) -> Result<()> {
    let others = [
        ("quiet", "--quiet"),
        ("no-trunc", "--no-trunc"),
        ("digests", "--show-digest"),
        ("format", "--format"),
    ];
    if let Some((_, name)) = others.iter().find(|(flag, _)| flags.changed(flag)) {
        return Err(Error::text(format!(
            "{name} is not yet supported with --tree"
        )));
    }
    let mut images: Vec<ImageSummary> = session.client()?.json(request).await?;
    let dangling = flags
        .list("filter")
        .iter()
        .any(|filter| filter.starts_with("dangling"));
    if !flags.switch("all") && !dangling {
        images.retain(|image| !image.repo_tags.is_empty());
    }
    let canvas = tree::Canvas {
        columns: crate::session::columns(),
        coloured: is_terminal(std::io::stdout()) && variable("NO_COLOR").is_none(),
    };
    let warning = "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.";
    if canvas.coloured {
        session.print_styled(&format!("\x1b[93m{warning}\x1b[0m\n"))?;
    } else {
        session.println(warning)?;
    }
    session.print_styled(&tree::draw(&images, canvas))
}
