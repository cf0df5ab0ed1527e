//! `builder` and `buildx`: what the builder keeps, and who it is. There is one, the engine's own.

use dhow_session::Control;
use dhow_session::messages::types::WorkerRecord;
use dhow_session::messages::{PruneRequest, UsageRecord};
use dhow_terminal::Table;
use dhow_terminal::units::{human_duration, human_size, parse_bytes};
use jiff::Timestamp;

use super::{build, prune, runner};
use crate::command::{Arguments, Command};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_options::flags::{Flag, Kind, Parsed};
use dhow_options::{filters, resources};

pub(crate) const BUILDER: Command =
    Command::group("builder", "Manage builds", &[&build::COMMAND, &PRUNE]);

pub(crate) const BUILDX: Command = Command::group(
    "buildx",
    "Build with BuildKit's protocol, as buildx does",
    &[
        &Command {
            aliases: &["b"],
            ..build::COMMAND
        },
        &DU,
        &INSPECT,
        &LS,
        &PRUNE,
        &VERSION,
    ],
);

const fn filter() -> Flag {
    Flag::new("filter", Kind::List, "filter", "Provide filter values").checked(filters::check)
}

const fn space(name: &'static str, usage: &'static str) -> Flag {
    Flag::new(name, Kind::Text, "bytes", usage).checked(resources::check_bytes)
}

const PRUNE_FLAGS: &[Flag] = &[
    Flag::switch(
        "all",
        "Remove all unused build cache, not just dangling ones",
    )
    .short('a'),
    filter(),
    prune::FORCE,
    space("keep-storage", "Amount of disk space to keep for cache"),
    space(
        "max-used-space",
        "Maximum amount of disk space allowed to keep for cache",
    ),
    space(
        "min-free-space",
        "Target amount of free disk space after pruning",
    ),
    space(
        "reserved-space",
        "Amount of disk space always allowed to keep for cache",
    ),
];

const PRUNE: Command = Command {
    flags: &[PRUNE_FLAGS],
    ..Command::new("prune", "Remove build cache", "[OPTIONS]", runner!(remove))
};

const DU: Command = Command {
    flags: &[&[
        filter(),
        Flag::switch("verbose", "Tell everything of each record"),
    ]],
    ..Command::new("du", "Disk usage", "[OPTIONS]", runner!(usage))
};

const LS: Command = Command::new("ls", "List builder instances", "", runner!(list));

const INSPECT: Command = Command {
    arguments: Arguments::AtMost(1),
    flags: &[&[Flag::switch(
        "bootstrap",
        "Ensure builder has booted before inspecting",
    )]],
    ..Command::new(
        "inspect",
        "Inspect the builder instance",
        "[NAME]",
        runner!(inspect),
    )
};

const VERSION: Command = Command::new("version", "Show version information", "", runner!(version));

/// The engine's builder.
async fn control(session: &Session) -> Result<Control> {
    let opened = Control::open(session.client()?).await;
    opened.map_err(|error| match error {
        dhow_session::Error::Client(error) => Error::Client(error),
        error => refused(dhow_errdefs::chain(&error)),
    })
}

fn refused(text: impl std::fmt::Display) -> Error {
    Error::text(format!("ERROR: {text}"))
}

/// Filters `key=value` as the engine reads them; the age among them apart, in nanoseconds.
fn read_filters(flags: &Parsed) -> Result<(Vec<String>, i64)> {
    let (mut filters, mut age) = (Vec::new(), 0);
    for text in flags.list("filter") {
        let (key, value) = text.split_once('=').unwrap_or((&text, ""));
        match key {
            "until" | "unused-for" => {
                let duration = dhow_golang::parse_duration(value);
                age = duration.map_err(|error| refused(error.to_string()))?;
            }
            _ if value.is_empty() => filters.push(key.to_owned()),
            key => filters.push(format!("{}=={}", key.trim_end_matches('!'), value)),
        }
    }
    // All have to be met.
    let joined = filters.join(",");
    Ok((
        Some(joined).filter(|f| !f.is_empty()).into_iter().collect(),
        age,
    ))
}

async fn remove(session: &Session, flags: &Parsed) -> Result<()> {
    let all = flags.switch("all");
    let (filter, keep_duration) = read_filters(flags)?;
    let bytes = |name: &str| match flags.text(name) {
        "" => 0,
        text => parse_bytes(text).unwrap_or(0),
    };
    let which = if all { "all" } else { "all dangling" };
    let warning = format!("WARNING! This will remove {which} build cache. ");
    prune::confirm(session, flags, &warning)?;
    let control = control(session).await?;
    let request = PruneRequest {
        all,
        filter,
        keep_duration,
        reserved_space: bytes("reserved-space").max(bytes("keep-storage")),
        max_used_space: bytes("max-used-space"),
        min_free_space: bytes("min-free-space"),
    };
    let mut removed = Vec::new();
    let pruned = control.prune(request, |record| removed.push(record)).await;
    if !removed.is_empty() {
        session.print(&table(&removed))?;
    }
    session.println(&format!("Total:\t{}", size(total(&removed))))?;
    pruned.map_err(refused)
}

async fn usage(session: &Session, flags: &Parsed) -> Result<()> {
    let (filter, age) = read_filters(flags)?;
    let held = control(session).await?.usage(filter).await;
    let mut held = held.map_err(refused)?;
    let now = Timestamp::now();
    held.retain(|record| {
        age == 0 || unused(record, now).is_some_and(|d| d.as_nanos() >= i128::from(age))
    });
    match flags.switch("verbose") {
        true => session.print(&held.iter().map(told).collect::<String>())?,
        false => session.print(&table(&held))?,
    }
    let reclaimable: Vec<_> = held
        .iter()
        .filter(|record| !record.in_use)
        .cloned()
        .collect();
    session.print(&format!(
        "Reclaimable:\t{}\nTotal:\t\t{}\n",
        size(total(&reclaimable)),
        size(total(&held))
    ))
}

fn total(records: &[UsageRecord]) -> i64 {
    records.iter().map(|record| record.size).sum()
}

#[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
fn size(bytes: i64) -> String {
    human_size(bytes as f64)
}

fn time(time: Option<&dhow_session::Timestamp>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
}

/// For how long it was not used.
fn unused(record: &UsageRecord, now: Timestamp) -> Option<jiff::SignedDuration> {
    let used = record.last_used_at.as_ref().or(record.created_at.as_ref());
    time(used).map(|used| now.duration_since(used))
}

fn ago(record: &UsageRecord) -> String {
    let unused = unused(record, Timestamp::now());
    let unused = unused.and_then(|unused| unused.try_into().ok());
    unused.map_or_else(String::new, |unused| {
        format!("{} ago", human_duration(unused))
    })
}

fn table(records: &[UsageRecord]) -> String {
    let mut table = Table::new(["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"]);
    for record in records {
        let shared = if record.shared { "*" } else { "" };
        let mutable = if record.mutable { "*" } else { "" };
        table.row([
            format!("{}{mutable}", record.id),
            (!record.in_use).to_string(),
            format!("{}{shared}", size(record.size)),
            ago(record),
        ]);
    }
    table.to_string()
}

/// One record, a field a line.
fn told(record: &UsageRecord) -> String {
    let mut text = format!("ID:\t\t{}\n", record.id);
    if !record.parents.is_empty() {
        text += &format!("Parents:\n - {}\n", record.parents.join("\n - "));
    }
    if let Some(created) = time(record.created_at.as_ref()) {
        text += &format!("Created at:\t{created}\n");
    }
    text += &format!(
        "Mutable:\t{}\nReclaimable:\t{}\nShared:\t\t{}\nSize:\t\t{}\n",
        record.mutable,
        !record.in_use,
        record.shared,
        size(record.size)
    );
    if !record.description.is_empty() {
        text += &format!("Description:\t{}\n", record.description);
    }
    text + &format!(
        "Usage count:\t{}\nLast used:\t{}\nType:\t\t{}\n\n",
        record.usage_count,
        ago(record),
        record.record_type
    )
}

fn platforms(worker: &WorkerRecord) -> String {
    let names = worker.platforms.iter().map(|platform| {
        let parts = [&platform.os, &platform.architecture, &platform.variant];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.cloned().collect::<Vec<_>>().join("/")
    });
    names.collect::<Vec<_>>().join(", ")
}

async fn list(session: &Session, _: &Parsed) -> Result<()> {
    let workers = control(session).await?.workers().await.map_err(refused)?;
    let mut table = Table::new([
        "NAME/NODE",
        "DRIVER/ENDPOINT",
        "STATUS",
        "BUILDKIT",
        "PLATFORMS",
    ]);
    table.row(["default*", "docker", "", "", ""]);
    for worker in &workers {
        table.row([
            " \\_ default".to_owned(),
            " \\_ default".to_owned(),
            "running".to_owned(),
            buildkit(worker),
            platforms(worker),
        ]);
    }
    session.print(&table.to_string())
}

fn buildkit(worker: &WorkerRecord) -> String {
    let version = worker.buildkit_version.as_ref();
    version.map_or_else(String::new, |version| version.version.clone())
}

async fn inspect(session: &Session, flags: &Parsed) -> Result<()> {
    let name = flags.argument(0);
    if !matches!(name, "" | "default") {
        return Err(refused(format!("no builder {name:?} found")));
    }
    let workers = control(session).await?.workers().await.map_err(refused)?;
    let mut text = "Name:   default\nDriver: docker\n\nNodes:\n".to_owned();
    for worker in &workers {
        text += &format!(
            "Name:             default\nEndpoint:         default\nStatus:           running\n\
             BuildKit version: {}\nPlatforms:        {}\nLabels:\n",
            buildkit(worker),
            platforms(worker)
        );
        let mut labels: Vec<_> = worker.labels.iter().collect();
        labels.sort();
        for (key, value) in labels {
            text += &format!(" {key}: {value}\n");
        }
    }
    session.print(&text)
}

async fn version(session: &Session, _: &Parsed) -> Result<()> {
    session.println(&format!(
        "dhow/buildx {} as docker/buildx 0.29",
        env!("CARGO_PKG_VERSION")
    ))
}
