//! `stats`: what containers use, live.

use std::collections::{BTreeMap, HashSet};

use dhow_api::container::ContainerSummary;
use dhow_api::stats::Stats;
use dhow_terminal::units::{bytes_size, human_size_with};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::mpsc;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Client, Documents, Filters, Request};
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

/// The containers that are shown, and the last sample of each, in their order.
#[derive(Default)]
struct Board {
    names: Vec<String>,
    samples: BTreeMap<usize, Stats>,
    /// Those that have ended, and are shown again when they are started again.
    ended: HashSet<usize>,
}

impl Board {
    /// The place of a container; `true` if it is a new one.
    fn place(&mut self, name: &str) -> (usize, bool) {
        match self.names.iter().position(|known| known == name) {
            Some(at) => (at, false),
            None => {
                self.names.push(name.to_owned());
                (self.names.len() - 1, true)
            }
        }
    }

    fn show(&mut self, at: usize, stats: Stats) {
        if !self.ended.contains(&at) {
            self.samples.insert(at, stats);
        }
    }
}

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let format = super::format_or(session, flags, "statsFormat");
    let truncate = !flags.switch("no-trunc");
    let once = flags.switch("no-stream");
    let all = flags.switch("all");
    // Before the list is asked for, so that no container is missed that is started meanwhile.
    let mut events = match flags.arguments.is_empty() && !once {
        true => Some(lives(client, all).await?),
        false => None,
    };
    let mut board = Board::default();
    let (sender, mut samples) = mpsc::channel(16);
    let start = |at: usize, name: &str| watch(client, at, name.to_owned(), once, sender.clone());
    let mut watched = FuturesUnordered::new();
    for name in names(client, flags).await? {
        let (at, _) = board.place(&name);
        watched.push(start(at, &name));
    }
    let mut failures = Vec::new();
    while events.is_some() || !watched.is_empty() {
        tokio::select! {
            event = next(&mut events) => match event? {
                None => events = None,
                Some(event) => {
                    let (at, new) = board.place(event["Actor"]["ID"].as_str().unwrap_or_default());
                    match event["Action"].as_str().unwrap_or_default() {
                        "die" | "destroy" => {
                            board.ended.insert(at);
                            board.samples.remove(&at);
                        }
                        _ => {
                            board.ended.remove(&at);
                            if new {
                                let name = board.names[at].clone();
                                watched.push(start(at, &name));
                            }
                        }
                    }
                }
            },
            Some((at, stats)) = samples.recv() => board.show(at, stats),
            Some((at, outcome)) = watched.next() => {
                if let Err(error) = outcome {
                    failures.push((at, error.to_string()));
                }
                if events.is_some() {
                    // A container that is made anew under its name has another id.
                    board.ended.insert(at);
                    board.samples.remove(&at);
                }
            }
        }
        while let Ok((at, stats)) = samples.try_recv() {
            board.show(at, stats);
        }
        if !once {
            let text = render(&board.samples, &board.names, &format, truncate)?;
            // Home, the text with every line's rest cleared, then the rest of the screen.
            session.print_styled(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")))?;
        }
    }
    if once && !board.samples.is_empty() {
        session.print(&render(&board.samples, &board.names, &format, truncate)?)?;
    }
    failures.sort();
    crate::session::all_or(failures.into_iter().map(|(_, text)| text).collect())
}

/// The events by which a container comes to be shown, or is shown no more.
async fn lives(client: &Client, all: bool) -> Result<Documents<Value>> {
    let mut filters = Filters::default();
    filters.add("type", "container");
    let (comes, goes) = match all {
        true => ("create", "destroy"),
        false => ("start", "die"),
    };
    filters.add("event", comes);
    filters.add("event", goes);
    let request = Request::get("/events").filters(&filters);
    Ok(Documents::new(client.send(request).await?))
}

/// The next event; never where none are asked for.
async fn next(events: &mut Option<Documents<Value>>) -> Result<Option<Value>> {
    match events {
        Some(events) => Ok(events.next().await?),
        None => std::future::pending().await,
    }
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
    name: String,
    once: bool,
    samples: mpsc::Sender<(usize, Stats)>,
) -> (usize, Result<()>) {
    let request = Request::get(format!("/containers/{}/stats", escape(&name)))
        .query("stream", if once { "0" } else { "1" });
    let watched = async {
        let mut documents = Documents::new(client.send(request).await?);
        while let Some(stats) = documents.next().await? {
            samples
                .send((at, stats))
                .await
                .map_err(|_| Error::text("nobody shows the statistics any more"))?;
        }
        Ok(())
    };
    (at, watched.await)
}

fn render(
    samples: &BTreeMap<usize, Stats>,
    names: &[String],
    format: &str,
    truncate: bool,
) -> Result<String> {
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
