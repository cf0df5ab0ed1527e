//! `system`: disk usage, and the raw stream `ssh://` addresses need.

use dhow_api::container::ContainerSummary;
use dhow_api::disk_usage::{BuildCache, DiskUsage};
use dhow_api::image::ImageSummary;
use dhow_terminal::template::Record;
use dhow_terminal::units::human_size;
use jiff::Timestamp;
use tokio::io::{AsyncWriteExt, copy};

use super::{events, fsck, info, prune, runner, volume};
use crate::command::{Command, Section};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_format::{Layout, Row, container, image, times};
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command::group(
    "system",
    "Manage Docker",
    &[
        &DF,
        &DIAL,
        &Command {
            section: Section::Other,
            ..events::COMMAND
        },
        &fsck::COMMAND,
        &Command {
            section: Section::Other,
            ..info::COMMAND
        },
        &prune::SYSTEM,
    ],
);

const DF: Command = Command {
    flags: &[&[
        Flag::text(
            "format",
            "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag::switch("verbose", "Show detailed information on space usage").short('v'),
    ]],
    ..Command::new("df", "Show docker disk usage", "[OPTIONS]", runner!(df))
};

const DIAL: Command = Command {
    section: Section::Hidden,
    ..Command::new(
        "dial-stdio",
        "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
        "",
        runner!(dial),
    )
};

async fn df(session: &Session, flags: &Parsed) -> Result<()> {
    let usage: DiskUsage = session.client()?.json(Request::get("/system/df")).await?;
    if flags.switch("verbose") {
        return verbose(session, &usage, flags.text("format"));
    }
    let layout = Layout {
        headers: &[
            ("Type", "TYPE"),
            ("TotalCount", "TOTAL"),
            ("Active", "ACTIVE"),
            ("Size", "SIZE"),
            ("Reclaimable", "RECLAIMABLE"),
        ],
        table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}".to_owned(),
        quiet: "{{.Type}}",
        raw: Some(
            "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n",
        ),
    };
    let rows = [
        images_row(&usage),
        containers_row(&usage),
        volumes_row(&usage),
        cache_row(&usage),
    ];
    session.print(&dhow_format::render(
        &layout,
        flags.text("format"),
        false,
        &rows,
    )?)
}

#[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
fn bytes(size: i64) -> String {
    human_size(size as f64)
}

fn summary(kind: &str, (total, active): (usize, usize), size: i64, reclaimable: String) -> Row {
    let type_name = match kind {
        "Images" => "*formatter.diskUsageImagesContext",
        "Containers" => "*formatter.diskUsageContainersContext",
        "Local Volumes" => "*formatter.diskUsageVolumesContext",
        _ => "*formatter.diskUsageBuilderContext",
    };
    Row::new(
        type_name,
        vec![
            ("Type", kind.into()),
            ("TotalCount", total.to_string().into()),
            ("Active", active.to_string().into()),
            ("Size", bytes(size).into()),
            ("Reclaimable", reclaimable.into()),
        ],
    )
}

/// `12MB (34%)`; the part is left out where there is nothing to take a part of.
fn part(reclaimable: i64, size: i64) -> String {
    if size > 0 {
        format!(
            "{} ({}%)",
            bytes(reclaimable),
            i128::from(reclaimable) * 100 / i128::from(size)
        )
    } else {
        bytes(reclaimable)
    }
}

fn images_row(usage: &DiskUsage) -> Row {
    let images = usage.images.as_deref().unwrap_or_default();
    let active = images.iter().filter(|image| image.containers > 0);
    // An engine that does not say who uses an image says -1: such an image counts as used.
    let used: i64 = images
        .iter()
        .filter(|image| image.containers != 0)
        .filter(|image| image.size >= 0 && image.shared_size >= 0)
        .map(|image| image.size - image.shared_size)
        .sum();
    let total = usage.layers_size;
    summary(
        "Images",
        (images.len(), active.count()),
        total,
        part(total - used, total),
    )
}

fn is_active(container: &ContainerSummary) -> bool {
    ["running", "paused", "restarting"].contains(&container.state.as_str())
}

fn containers_row(usage: &DiskUsage) -> Row {
    let containers = usage.containers.as_deref().unwrap_or_default();
    let total = containers.iter().map(|container| container.size_rw).sum();
    let idle = containers
        .iter()
        .filter(|c| !is_active(c))
        .map(|c| c.size_rw)
        .sum();
    let active = containers
        .iter()
        .filter(|container| is_active(container))
        .count();
    summary(
        "Containers",
        (containers.len(), active),
        total,
        part(idle, total),
    )
}

fn volumes_row(usage: &DiskUsage) -> Row {
    let volumes = usage.volumes.as_deref().unwrap_or_default();
    let known = || {
        volumes
            .iter()
            .filter_map(|volume| volume.usage_data.as_ref())
    };
    let sized = || known().filter(|usage| usage.size >= 0);
    let total = sized().map(|usage| usage.size).sum();
    let idle = sized()
        .filter(|usage| usage.ref_count == 0)
        .map(|usage| usage.size)
        .sum();
    let active = known().filter(|usage| usage.ref_count > 0).count();
    summary(
        "Local Volumes",
        (volumes.len(), active),
        total,
        part(idle, total),
    )
}

fn cache_row(usage: &DiskUsage) -> Row {
    let cache = usage.build_cache.as_deref().unwrap_or_default();
    let owned = || cache.iter().filter(|record| !record.shared);
    let total = owned().map(|record| record.size).sum();
    let idle = owned()
        .filter(|record| !record.in_use)
        .map(|record| record.size)
        .sum();
    let active = cache.iter().filter(|record| record.in_use).count();
    summary("Build Cache", (cache.len(), active), total, bytes(idle))
}

/// Everything that takes space, as tables or as JSON.
fn verbose(session: &Session, usage: &DiskUsage, format: &str) -> Result<()> {
    match format {
        "" | "table" => tables(session, usage),
        "json" => session.print(&json_lists(usage)),
        _ => Err(Error::text(
            "system df --verbose with a template is not implemented: use --format json",
        )),
    }
}

fn image_rows(usage: &DiskUsage, truncate: bool) -> Vec<Row> {
    let images = usage.images.iter().flatten();
    let named = |image: &ImageSummary| {
        let names = image::names(image, false);
        // Only the first name is shown.
        let name = names.into_iter().next().map(|name| image::Name {
            digest: String::new(),
            ..name
        });
        name.map(|name| image::row(image, &name, truncate))
    };
    images.flat_map(named).collect()
}

fn container_rows(usage: &DiskUsage, truncate: bool) -> Vec<Row> {
    let containers = usage.containers.iter().flatten().cloned();
    containers
        .map(|container| ContainerSummary {
            size_root_fs: 0,
            ..container
        })
        .map(|container| container::row(&container, truncate))
        .collect()
}

fn volume_rows(usage: &DiskUsage) -> Vec<Row> {
    let volumes = usage.volumes.iter().flatten().cloned();
    volumes.map(volume::row).collect()
}

/// One object with a list for each kind of thing, as Docker writes it: without a line's end.
fn json_lists(usage: &DiskUsage) -> String {
    let list = |rows: Vec<Row>| {
        let rows: Vec<String> = rows.iter().map(Record::json).collect();
        format!("[{}]", rows.join(","))
    };
    let cache = serde_json::json!(usage.build_cache.as_deref().unwrap_or_default());
    format!(
        "{{\"Images\":{},\"Containers\":{},\"Volumes\":{},\"BuildCache\":{cache}}}",
        list(image_rows(usage, false)),
        list(container_rows(usage, false)),
        list(volume_rows(usage)),
    )
}

fn tables(session: &Session, usage: &DiskUsage) -> Result<()> {
    let mut text = String::from("Images space usage:\n\n");
    let mut layout = image::layout(false);
    layout.table += "\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
    text += &dhow_format::render(&layout, "", false, &image_rows(usage, true))?;
    text += "\nContainers space usage:\n\n";
    let mut layout = container::layout(false);
    layout.table = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}".to_owned();
    text += &dhow_format::render(&layout, "", false, &container_rows(usage, true))?;
    text += "\nLocal Volumes space usage:\n\n";
    let layout = volume::layout("{{.Name}}\t{{.Links}}\t{{.Size}}");
    text += &dhow_format::render(&layout, "", false, &volume_rows(usage))?;
    let cache = usage.build_cache.as_deref().unwrap_or_default();
    let size = cache.iter().map(|record| record.size).sum();
    text += &format!("\nBuild cache usage: {}\n\n", bytes(size));
    let headers = [
        "CACHE ID",
        "CACHE TYPE",
        "SIZE",
        "CREATED",
        "LAST USED",
        "USAGE",
        "SHARED",
    ];
    let mut table = dhow_terminal::Table::new(headers);
    for record in cache {
        table.row(cache_cells(record));
    }
    text += &table.to_string();
    session.print(&text)
}

/// What is shown of a record of the build cache.
fn cache_cells(record: &BuildCache) -> [String; 7] {
    let id: String = record.id.chars().take(12).collect();
    let since = |time: &str| match time.parse::<Timestamp>() {
        Ok(time) => times::ago(time),
        Err(_) => String::new(),
    };
    [
        id + if record.in_use { "*" } else { "" },
        record.r#type.clone(),
        bytes(record.size),
        since(&record.created_at),
        since(record.last_used_at.as_deref().unwrap_or_default()),
        record.usage_count.to_string(),
        record.shared.to_string(),
    ]
}

/// Joins the standard streams to a connection, until either side ends.
async fn dial(session: &Session, _flags: &Parsed) -> Result<()> {
    let stream = session.client()?.dial().await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut input = dhow_client::input::chunks(std::io::stdin());
    let send = async {
        while let Some(Ok(chunk)) = input.recv().await {
            writer.write_all(&chunk).await?;
            writer.flush().await?;
        }
        writer.shutdown().await
    };
    let mut out = tokio::io::stdout();
    let receive = async {
        copy(&mut reader, &mut out).await?;
        out.flush().await
    };
    tokio::pin!(send, receive);
    let outcome = tokio::select! {
        outcome = &mut receive => outcome,
        sent = &mut send => match sent {
            Ok(()) => receive.await,
            Err(error) => Err(error),
        },
    };
    Ok(outcome?)
}
