//! `ps`, `container ls`: lists containers.

use dhow_api::container::ContainerSummary;

use super::runner;
use crate::command::Command;
use crate::error::Result;
use crate::session::Session;
use dhow_client::{Filters, Request};
use dhow_format::container;
use dhow_options::filters;
use dhow_options::flags::{Flag, Kind, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container ls, container list, container ps, ps",
    flags: &[&[
        Flag::switch("all", "Show all containers (default shows just running)").short('a'),
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
        Flag::int(
            "last",
            "Show n last created containers (includes all states) (default -1)",
        )
        .short('n')
        .default("-1"),
        Flag::switch(
            "latest",
            "Show the latest created container (includes all states)",
        )
        .short('l'),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::switch("quiet", "Only display container IDs").short('q'),
        Flag::switch("size", "Display total file sizes").short('s'),
    ]],
    ..Command::new("ps", "List containers", "[OPTIONS]", runner!(run))
};

pub(crate) const LS: Command = Command {
    name: "ls",
    aliases: &["ps", "list"],
    ..COMMAND
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let format = super::format_or(session, flags, "psFormat");
    if !matches!(format.as_str(), "" | "table" | "json" | "raw") {
        dhow_format::try_out(&format, container::row(&ContainerSummary::default(), false))?;
    }
    let size = flags.switch("size");
    let limit = if flags.switch("latest") && flags.int("last") == -1 {
        1
    } else {
        flags.int("last")
    };
    let request = Request::get("/containers/json")
        .query_if(flags.switch("all"), "all", "1")
        .query_if(limit > 0, "limit", limit.to_string())
        .query_if(size || dhow_format::uses(&format, ".Size"), "size", "1")
        .filters(&Filters::new(&flags.list("filter")));
    let containers: Vec<ContainerSummary> = session.client()?.json(request).await?;
    let truncate = !flags.switch("no-trunc");
    let rows: Vec<_> = containers
        .iter()
        .map(|c| container::row(c, truncate))
        .collect();
    let layout = container::layout(size);
    session.print(&dhow_format::render(
        &layout,
        &format,
        flags.switch("quiet"),
        &rows,
    )?)
}
