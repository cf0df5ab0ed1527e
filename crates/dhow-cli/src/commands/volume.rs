//! `volume`: lists and changes volumes.

use dhow_api::volume::{Volume, VolumeList};
use dhow_terminal::template::Value;
use dhow_terminal::units::human_size;
use serde_json::json;

use super::{inspect, prune, runner};
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Filters, Request};
use dhow_format::{Layout, Row, label, labels_text};
use dhow_options::filters;
use dhow_options::flags::{Flag, Kind, Parsed};
use dhow_options::pairs;

pub(crate) const COMMAND: Command = Command::group(
    "volume",
    "Manage volumes",
    &[&CREATE, &inspect::VOLUME, &LS, &prune::VOLUME, &RM],
);

const CREATE: Command = Command {
    arguments: Arguments::AtMost(1),
    flags: &[&[
        Flag::text("name", "Specify volume name").hidden(),
        Flag::text("driver", "Specify volume driver name (default \"local\")")
            .short('d')
            .default("local"),
        Flag::list("label", "Set metadata for a volume"),
        Flag::new(
            "opt",
            Kind::List,
            "map",
            "Set driver specific options (default map[])",
        )
        .short('o'),
    ]],
    ..Command::new(
        "create",
        "Create a volume",
        "[OPTIONS] [VOLUME]",
        runner!(create),
    )
};

const LS: Command = Command {
    aliases: &["list"],
    also: "volume ls, volume list",
    flags: &[&[
        Flag::switch(
            "cluster",
            "Display only cluster volumes, and use cluster volume list formatting",
        )
        .hidden(),
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Provide filter values (e.g. \"dangling=true\")",
        )
        .short('f')
        .checked(filters::check),
        Flag::text(
            "format",
            "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag::switch("quiet", "Only display volume names").short('q'),
    ]],
    ..Command::new("ls", "List volumes", "[OPTIONS]", runner!(ls))
};

const RM: Command = Command {
    aliases: &["remove"],
    also: "volume rm, volume remove",
    long: "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Volumes,
    flags: &[&[Flag::switch("force", "Force the removal of one or more volumes").short('f')]],
    ..Command::new(
        "rm",
        "Remove one or more volumes",
        "[OPTIONS] VOLUME [VOLUME...]",
        runner!(rm),
    )
};

async fn create(session: &Session, flags: &Parsed) -> Result<()> {
    let named = flags.text("name");
    let name = match (flags.arguments.first(), named) {
        (Some(_), name) if !name.is_empty() => {
            return Err(Error::text(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
        (Some(argument), _) => argument,
        (None, name) => name,
    };
    let (options, labels) = (pairs(&flags.list("opt")), pairs(&flags.list("label")));
    let mut request = json!({"Driver": flags.text("driver")});
    if !options.is_empty() {
        request["DriverOpts"] = json!(options);
    }
    if !labels.is_empty() {
        request["Labels"] = json!(labels);
    }
    if !name.is_empty() {
        request["Name"] = json!(name);
    }
    let request = Request::post("/volumes/create").json(&request)?;
    let volume: Volume = session.client()?.json(request).await?;
    session.println(&volume.name)
}

const TYPE: &str = "*formatter.volumeContext";

/// How volumes are listed.
pub(crate) fn layout(table: &str) -> Layout {
    Layout {
        headers: &[
            ("Name", "VOLUME NAME"),
            ("Driver", "DRIVER"),
            ("Scope", "SCOPE"),
            ("Mountpoint", "MOUNTPOINT"),
            ("Labels", "LABELS"),
            ("Links", "LINKS"),
            ("Size", "SIZE"),
            ("Group", "GROUP"),
            ("Availability", "AVAILABILITY"),
            ("Status", "STATUS"),
        ],
        table: table.to_owned(),
        quiet: "{{.Name}}",
        raw: Some("name: {{.Name}}\ndriver: {{.Driver}}\n"),
    }
}

async fn ls(session: &Session, flags: &Parsed) -> Result<()> {
    if flags.switch("cluster") {
        return Err(Error::text("--cluster is not implemented"));
    }
    let request = Request::get("/volumes").filters(&Filters::new(&flags.list("filter")));
    let list: VolumeList = session.client()?.json(request).await?;
    let mut volumes = list.volumes;
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    let rows: Vec<Row> = volumes.into_iter().map(row).collect();
    let layout = layout("{{.Driver}}\t{{.Name}}");
    let format = super::format_or(session, flags, "volumesFormat");
    session.print(&dhow_format::render(
        &layout,
        &format,
        flags.switch("quiet"),
        &rows,
    )?)
}

/// One volume.
pub(crate) fn row(volume: Volume) -> Row {
    let labels = volume.labels.unwrap_or_default();
    let usage = volume.usage_data.as_ref();
    let links = usage.map_or("N/A".to_owned(), |usage| usage.ref_count.to_string());
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    let size = usage
        .filter(|usage| usage.size >= 0)
        .map_or("N/A".to_owned(), |usage| human_size(usage.size as f64));
    let none: Value = "N/A".into();
    Row::new(
        TYPE,
        vec![
            ("Name", volume.name.into()),
            ("Driver", volume.driver.into()),
            ("Scope", volume.scope.into()),
            ("Mountpoint", volume.mountpoint.into()),
            ("Labels", labels_text(&labels).into()),
            ("Label", label(labels)),
            ("Links", links.into()),
            ("Size", size.into()),
            ("Group", none.clone()),
            ("Availability", none.clone()),
            ("Status", none),
        ],
    )
}

async fn rm(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    session
        .each(&flags.arguments, async |name| {
            let request = Request::delete(format!("/volumes/{}", escape(name))).query_if(
                flags.switch("force"),
                "force",
                "1",
            );
            client.done(request).await?;
            Ok(name.to_owned())
        })
        .await
}
