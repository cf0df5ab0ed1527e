//! `stats`: what containers use, live.

use std::collections::BTreeMap;

use dhow_api::container::ContainerSummary;
use dhow_api::stats::Stats;
use dhow_terminal::units::{bytes_size, human_size_with};
use futures::future::join_all;
use tokio::sync::mpsc;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Client, Request};
use dhow_format::{Layout, Row};
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container stats, stats",
    arguments: Arguments::Any,
    completes: Completes::Containers(&["running"]),
    flags: &[&[
        Flag::switch("all", "Show all containers (default shows just running)").short('a'),
        Flag::text(
            "format",
            "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag::switch(
            "no-stream",
            "Disable streaming stats and only pull the first result",
        ),
        Flag::switch("no-trunc", "Do not truncate output"),
    ]],
    ..Command::new(
        "stats",
        "Display a live stream of container(s) resource usage statistics",
        "[OPTIONS] [CONTAINER...]",
        runner!(run),
    )
};

const TYPE: &str = "*container.statsContext";

/// The last sample of every container, in the order they are shown.
type Samples = BTreeMap<usize, Stats>;

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let names = names(client, flags).await?;
    let format = super::format_or(session, flags, "statsFormat");
    let truncate = !flags.switch("no-trunc");
    let (sender, mut samples) = mpsc::channel(16);
    let once = flags.switch("no-stream");
    let watch = join_all(
        names
            .iter()
            .enumerate()
            .map(|(at, name)| watch(client, at, name, once, sender.clone())),
    );
    drop(sender);
    let show = async {
        let mut known = Samples::new();
        while let Some((at, stats)) = samples.recv().await {
            known.insert(at, stats);
            while let Ok((at, stats)) = samples.try_recv() {
                known.insert(at, stats);
            }
            if !once {
                let text = render(&known, &names, &format, truncate)?;
                // Home, the text with every line's rest cleared, then the rest of the screen.
                session.print_styled(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")))?;
            }
        }
        if once && !known.is_empty() {
            session.print(&render(&known, &names, &format, truncate)?)
        } else {
            Ok(())
        }
    };
    let (failures, shown) = tokio::join!(watch, show);
    shown?;
    crate::session::all_or(
        failures
            .into_iter()
            .filter_map(Result::err)
            .map(|e| e.to_string())
            .collect(),
    )
}

async fn names(client: &Client, flags: &Parsed) -> Result<Vec<String>> {
    if !flags.arguments.is_empty() {
        return Ok(flags.arguments.clone());
    }
    let request = Request::get("/containers/json").query_if(flags.switch("all"), "all", "1");
    let containers: Vec<ContainerSummary> = client.json(request).await?;
    Ok(containers
        .into_iter()
        .map(|container| container.id)
        .collect())
}

/// Sends the samples of one container as they come.
async fn watch(
    client: &Client,
    at: usize,
    name: &str,
    once: bool,
    samples: mpsc::Sender<(usize, Stats)>,
) -> Result<()> {
    let request = Request::get(format!("/containers/{}/stats", escape(name)))
        .query("stream", if once { "0" } else { "1" });
    let mut response = client.send(request).await?;
    let mut pending = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        pending.extend_from_slice(&chunk);
        let mut decoded = serde_json::Deserializer::from_slice(&pending).into_iter::<Stats>();
        let mut latest = None;
        while let Some(Ok(stats)) = decoded.next() {
            latest = Some(stats);
        }
        let read = decoded.byte_offset();
        pending.drain(..read);
        if let Some(stats) = latest {
            samples
                .send((at, stats))
                .await
                .map_err(|_| Error::text("nobody shows the statistics any more"))?;
        }
    }
    Ok(())
}

fn render(samples: &Samples, names: &[String], format: &str, truncate: bool) -> Result<String> {
    let layout = Layout {
        headers: &[
            ("Container", "CONTAINER"),
            ("Name", "NAME"),
            ("ID", "CONTAINER ID"),
            ("CPUPerc", "CPU %"),
            ("MemUsage", "MEM USAGE / LIMIT"),
            ("MemPerc", "MEM %"),
            ("NetIO", "NET I/O"),
            ("BlockIO", "BLOCK I/O"),
            ("PIDs", "PIDS"),
        ],
        table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}".to_owned(),
        quiet: "{{.ID}}",
        raw: None,
    };
    let rows: Vec<Row> = samples
        .iter()
        .map(|(at, stats)| row(&names[*at], stats, truncate))
        .collect();
    Ok(dhow_format::render(&layout, format, false, &rows)?)
}

#[allow(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn row(name: &str, stats: &Stats, truncate: bool) -> Row {
    let id = |text: &str| {
        if truncate {
            dhow_format::short_id(text).to_owned()
        } else {
            text.to_owned()
        }
    };
    let usage = memory(stats);
    let limit = stats.memory_stats.limit;
    let share = if limit == 0 {
        0.0
    } else {
        usage as f64 / limit as f64 * 100.0
    };
    let networks = || stats.networks.iter().flat_map(|all| all.values());
    let received: u64 = networks().map(|network| network.rx_bytes).sum();
    let sent: u64 = networks().map(|network| network.tx_bytes).sum();
    let (read, written) = blocks(stats);
    let pair = |a: u64, b: u64| {
        format!(
            "{} / {}",
            human_size_with(a as f64, 3),
            human_size_with(b as f64, 3)
        )
    };
    Row::new(
        TYPE,
        vec![
            ("Container", id(name).into()),
            ("Name", stats.name.trim_start_matches('/').into()),
            ("ID", id(&stats.id).into()),
            ("CPUPerc", format!("{:.2}%", processor(stats)).into()),
            (
                "MemUsage",
                format!(
                    "{} / {}",
                    bytes_size(usage as f64),
                    bytes_size(limit as f64)
                )
                .into(),
            ),
            ("MemPerc", format!("{share:.2}%").into()),
            ("NetIO", pair(received, sent).into()),
            ("BlockIO", pair(read, written).into()),
            ("PIDs", stats.pids_stats.current.to_string().into()),
        ],
    )
}

/// Memory without the part of the page cache that can be dropped at once.
fn memory(stats: &Stats) -> u64 {
    let usage = stats.memory_stats.usage;
    let detail = |name: &str| {
        stats
            .memory_stats
            .stats
            .as_ref()
            .and_then(|all| all.get(name))
    };
    let inactive = detail("total_inactive_file").or_else(|| detail("inactive_file"));
    match inactive {
        Some(inactive) if *inactive < usage => usage - inactive,
        _ => usage,
    }
}

/// Percent of one processor since the sample before.
#[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
fn processor(stats: &Stats) -> f64 {
    let (now, before) = (&stats.cpu_stats, &stats.precpu_stats);
    let used = now.cpu_usage.total_usage as f64 - before.cpu_usage.total_usage as f64;
    let passed = now.system_cpu_usage as f64 - before.system_cpu_usage as f64;
    let processors = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.as_ref().map_or(0, Vec::len) as f64,
        count => f64::from(count),
    };
    if used > 0.0 && passed > 0.0 {
        used / passed * processors * 100.0
    } else {
        0.0
    }
}

fn blocks(stats: &Stats) -> (u64, u64) {
    let entries = || {
        stats
            .blkio_stats
            .io_service_bytes_recursive
            .iter()
            .flatten()
    };
    let sum = |letter: char| {
        entries()
            .filter(|entry| entry.op.to_lowercase().starts_with(letter))
            .map(|entry| entry.value)
            .sum()
    };
    (sum('r'), sum('w'))
}
