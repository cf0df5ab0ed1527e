//! `search`: repositories of a registry's index.

use dhow_api::image::ImageSearchResult;
use dhow_client::{Filters, Request, credentials};
use dhow_oci::Reference;
use dhow_terminal::template::Value;

use super::runner;
use crate::command::{Arguments, Command, Section};
use crate::error::Result;
use crate::session::Session;
use dhow_format::{Layout, Row};
use dhow_options::filters;
use dhow_options::flags::{Flag, Kind, Parsed};

pub(crate) const COMMAND: Command = Command {
    arguments: Arguments::Exactly(1),
    flags: &[&[
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Filter output based on conditions provided",
        )
        .short('f')
        .checked(filters::check),
        Flag::text("format", "Pretty-print search using a Go template"),
        Flag::int("limit", "Max number of search results"),
        Flag::switch("no-trunc", "Don't truncate output"),
    ]],
    section: Section::Common,
    ..Command::new(
        "search",
        "Search Docker Hub for images",
        "[OPTIONS] TERM",
        runner!(run),
    )
};

const TYPE: &str = "*formatter.searchContext";
/// As much of a description as the table shows.
const LONGEST: usize = 45;

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let term = flags.argument(0);
    let limit = flags.int("limit");
    let mut request = Request::get("/images/search")
        .query("term", term)
        .filters(&Filters::new(&flags.list("filter")))
        .query_if(limit > 0, "limit", limit.to_string());
    // The credentials are those of the registry that the term names.
    if let Ok(reference) = Reference::parse(term) {
        let header = credentials::header(&session.config, &reference)?;
        request = request.header("X-Registry-Auth", header);
    }
    let results: Vec<ImageSearchResult> = session.client()?.json(request).await?;
    let whole = flags.switch("no-trunc");
    let rows: Vec<Row> = results
        .into_iter()
        .map(|result| row(result, whole))
        .collect();
    let layout = Layout {
        headers: &[
            ("Name", "NAME"),
            ("Description", "DESCRIPTION"),
            ("StarCount", "STARS"),
            ("IsOfficial", "OFFICIAL"),
            ("IsAutomated", "AUTOMATED"),
        ],
        table: "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}".to_owned(),
        quiet: "{{.Name}}",
        raw: None,
    };
    session.print(&dhow_format::render(
        &layout,
        flags.text("format"),
        false,
        &rows,
    )?)
}

fn row(result: ImageSearchResult, whole: bool) -> Row {
    let description = result.description.replace(['\n', '\r'], " ");
    let description = if whole {
        description
    } else {
        dhow_format::ellipsis(&description, LONGEST)
    };
    let official = if result.is_official { "[OK]" } else { "" };
    Row::new(
        TYPE,
        vec![
            ("Name", Value::from(result.name)),
            ("Description", description.into()),
            ("StarCount", result.star_count.to_string().into()),
            ("IsOfficial", official.into()),
            ("IsAutomated", "".into()),
        ],
    )
}
