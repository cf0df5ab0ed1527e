//! `history`: how an image came to be.

use dhow_api::image::ImageHistory;
use dhow_terminal::units::human_size_with;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape_path;
use dhow_format::{Layout, Row, ellipsis, times};
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "image history, history",
    arguments: Arguments::Exactly(1),
    completes: Completes::OneImage,
    flags: &[&[
        Flag::text(
            "format",
            "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag::switch(
            "human",
            "Print sizes and dates in human readable format (default true)",
        )
        .short('H')
        .default("true"),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::text(
            "platform",
            "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
        Flag::switch("quiet", "Only show image IDs").short('q'),
    ]],
    ..Command::new(
        "history",
        "Show the history of an image",
        "[OPTIONS] IMAGE",
        runner!(run),
    )
};

const TYPE: &str = "*image.historyContext";

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let platform = super::platform_json(flags.text("platform"))?;
    let request = Request::get(format!(
        "/images/{}/history",
        escape_path(flags.argument(0))
    ))
    .query_if(!platform.is_empty(), "platform", platform);
    let history: Vec<ImageHistory> = session.client()?.json(request).await?;
    let truncate = !flags.switch("no-trunc");
    let human = flags.switch("human");
    let rows: Vec<Row> = history
        .iter()
        .map(|entry| row(entry, truncate, human))
        .collect();
    let layout = Layout {
        headers: &[
            ("ID", "IMAGE"),
            ("CreatedSince", "CREATED"),
            ("CreatedAt", "CREATED AT"),
            ("CreatedBy", "CREATED BY"),
            ("Size", "SIZE"),
            ("Comment", "COMMENT"),
        ],
        table: if human {
            "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}".to_owned()
        } else {
            "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}".to_owned()
        },
        quiet: "{{.ID}}",
        raw: None,
    };
    session.print(&dhow_format::render(
        &layout,
        flags.text("format"),
        flags.switch("quiet"),
        &rows,
    )?)
}

fn row(entry: &ImageHistory, truncate: bool, human: bool) -> Row {
    let created = times::unix(entry.created);
    let by = entry.created_by.replace('\t', " ");
    let missing = entry.id == "<missing>" || entry.id.is_empty();
    let id = match (missing, truncate) {
        (true, _) => "<missing>",
        (_, true) => dhow_format::short_id(&entry.id),
        (_, false) => &entry.id,
    };
    // Images without a date have one before the year 1.
    let since = if entry.created <= -62_135_596_800 {
        "N/A".to_owned()
    } else {
        times::ago(created)
    };
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let size = if human {
        human_size_with(entry.size as f64, 3)
    } else {
        entry.size.to_string()
    };
    Row::new(
        TYPE,
        vec![
            ("ID", id.into()),
            ("CreatedSince", since.into()),
            ("CreatedAt", local(created).into()),
            (
                "CreatedBy",
                if truncate { ellipsis(&by, 45) } else { by }.into(),
            ),
            ("Size", size.into()),
            ("Comment", entry.comment.as_str().into()),
        ],
    )
}

/// RFC 3339 in this machine's zone.
fn local(moment: jiff::Timestamp) -> String {
    let zoned = moment.to_zoned(jiff::tz::TimeZone::system());
    let text = zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    text.strip_suffix("+00:00")
        .map_or(text.clone(), |text| format!("{text}Z"))
}
