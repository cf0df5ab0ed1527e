//! `ps`, `container ls`: lists containers.

use std::time::Duration;

use dhow_api::container::ContainerSummary;

use jiff::Timestamp;

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
    let mut containers: Vec<ContainerSummary> = session.client()?.json(request).await?;
    if matches!(format.as_str(), "" | "table") {
        // Whoever asks for `.Status` gets what Docker says.
        let now = Timestamp::now();
        containers.iter_mut().for_each(|c| say_next_start(c, now));
    }
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

/// Tells of a container between two runs when the next one begins, where the engine says so.
fn say_next_start(container: &mut ContainerSummary, now: Timestamp) {
    let next = container.next_start_at.as_deref();
    let Some(next) = next.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return;
    };
    let left = Duration::try_from(next.duration_since(now)).unwrap_or_default();
    // A start that is nearly there is not "in 0s".
    let seconds = left.as_secs_f64().ceil().max(1.0);
    container.status += &format!(", next in {seconds}s");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_next_start_is_told_where_it_is_known() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let told = |next: Option<&str>| {
            let mut container = ContainerSummary {
                status: "Restarting (1) 3 seconds ago".to_owned(),
                next_start_at: next.map(str::to_owned),
                ..ContainerSummary::default()
            };
            say_next_start(&mut container, now);
            container.status
        };
        assert_eq!(told(None), "Restarting (1) 3 seconds ago");
        for (next, wanted) in [
            ("2026-01-01T00:00:05.2Z", "6s"),
            ("2026-01-01T00:00:00Z", "1s"),
            ("2025-12-31T23:59:59Z", "1s"),
        ] {
            assert_eq!(
                told(Some(next)),
                format!("Restarting (1) 3 seconds ago, next in {wanted}")
            );
        }
    }
}
