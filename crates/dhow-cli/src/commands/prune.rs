//! `prune` of every noun, and of all at once.

use std::io::{BufRead, Write};

use dhow_terminal::units::human_size;
use serde_json::Value;

use super::runner;
use crate::command::Command;
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::{Filters, Request};
use dhow_options::filters;
use dhow_options::flags::{Flag, Kind, Parsed};

pub(super) const FORCE: Flag = Flag::switch("force", "Do not prompt for confirmation").short('f');

const fn filter(usage: &'static str) -> Flag {
    Flag::new("filter", Kind::List, "filter", usage).checked(filters::check)
}

pub(crate) const CONTAINER: Command = Command {
    flags: &[&[
        filter("Provide filter values (e.g. \"until=<timestamp>\")"),
        FORCE,
    ]],
    ..Command::new(
        "prune",
        "Remove all stopped containers",
        "[OPTIONS]",
        runner!(containers),
    )
};

pub(crate) const IMAGE: Command = Command {
    flags: &[&[
        Flag::switch("all", "Remove all unused images, not just dangling ones").short('a'),
        filter("Provide filter values (e.g. \"until=<timestamp>\")"),
        FORCE,
    ]],
    ..Command::new(
        "prune",
        "Remove unused images",
        "[OPTIONS]",
        runner!(images),
    )
};

pub(crate) const NETWORK: Command = Command {
    flags: &[&[
        filter("Provide filter values (e.g. \"until=<timestamp>\")"),
        FORCE,
    ]],
    ..Command::new(
        "prune",
        "Remove all unused networks",
        "[OPTIONS]",
        runner!(networks),
    )
};

pub(crate) const VOLUME: Command = Command {
    flags: &[&[
        Flag::switch("all", "Remove all unused volumes, not just anonymous ones").short('a'),
        filter("Provide filter values (e.g. \"label=<label>\")"),
        FORCE,
    ]],
    ..Command::new(
        "prune",
        "Remove unused local volumes",
        "[OPTIONS]",
        runner!(volumes),
    )
};

pub(crate) const SYSTEM: Command = Command {
    flags: &[&[
        Flag::switch("all", "Remove all unused images not just dangling ones").short('a'),
        filter("Provide filter values (e.g. \"label=<key>=<value>\")"),
        FORCE,
        Flag::switch("volumes", "Prune anonymous volumes"),
    ]],
    ..Command::new("prune", "Remove unused data", "[OPTIONS]", runner!(system))
};

/// What one prune removed: its lines, and the bytes it freed.
struct Pruned {
    text: String,
    bytes: u64,
}

impl Pruned {
    fn new(text: String, answer: &Value) -> Self {
        let bytes = answer["SpaceReclaimed"].as_u64().unwrap_or(0);
        Self { text, bytes }
    }
}

async fn containers(session: &Session, flags: &Parsed) -> Result<()> {
    confirm(
        session,
        flags,
        "WARNING! This will remove all stopped containers.\n",
    )?;
    let pruned = prune_containers(session, filters(flags)).await?;
    report(session, &pruned)
}

async fn images(session: &Session, flags: &Parsed) -> Result<()> {
    let all = flags.switch("all");
    confirm(
        session,
        flags,
        if all {
            "WARNING! This will remove all images without at least one container associated to them.\n"
        } else {
            "WARNING! This will remove all dangling images.\n"
        },
    )?;
    let pruned = prune_images(session, filters(flags), all).await?;
    report(session, &pruned)
}

async fn networks(session: &Session, flags: &Parsed) -> Result<()> {
    confirm(
        session,
        flags,
        "WARNING! This will remove all custom networks not used by at least one container.\n",
    )?;
    let pruned = prune_networks(session, filters(flags)).await?;
    session.print(&pruned.text)
}

async fn volumes(session: &Session, flags: &Parsed) -> Result<()> {
    let all = flags.switch("all");
    let mut filters = filters(flags);
    if all {
        if filters.has("all") {
            return Err(Error::text(
                "conflicting options: cannot specify both --all and --filter all=1",
            ));
        }
        filters.add("all", "true");
    }
    confirm(
        session,
        flags,
        if all {
            "WARNING! This will remove all local volumes not used by at least one container.\n"
        } else {
            "WARNING! This will remove anonymous local volumes not used by at least one container.\n"
        },
    )?;
    let pruned = prune_volumes(session, filters).await?;
    report(session, &pruned)
}

async fn system(session: &Session, flags: &Parsed) -> Result<()> {
    let (all, with_volumes) = (flags.switch("all"), flags.switch("volumes"));
    let filters = filters(flags);
    if with_volumes && filters.has("until") {
        return Err(Error::text(
            "The \"until\" filter is not supported with \"--volumes\"",
        ));
    }
    let mut warning =
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n".to_owned();
    if with_volumes {
        warning += "  - all anonymous volumes not used by at least one container\n";
    }
    warning += match all {
        true => {
            "  - all images without at least one container associated to them\n  - all build cache\n"
        }
        false => "  - all dangling images\n  - unused build cache\n",
    };
    warning.push('\n');
    confirm(session, flags, &warning)?;
    let mut bytes = 0;
    let mut steps = vec![
        prune_containers(session, filters.clone()).await?,
        prune_networks(session, filters.clone()).await?,
    ];
    if with_volumes {
        steps.push(prune_volumes(session, filters.clone()).await?);
    }
    steps.push(prune_images(session, filters.clone(), all).await?);
    steps.push(prune_builds(session, filters, all).await?);
    for pruned in steps {
        session.print(&pruned.text)?;
        bytes += pruned.bytes;
    }
    reclaimed(session, bytes)
}

/// The filters of the flags and of `pruneFilters` in the settings.
fn filters(flags: &Parsed) -> Filters {
    Filters::new(&flags.list("filter"))
}

async fn prune_containers(session: &Session, filters: Filters) -> Result<Pruned> {
    prune(session, filters, "Containers").await
}

async fn prune_networks(session: &Session, filters: Filters) -> Result<Pruned> {
    prune(session, filters, "Networks").await
}

async fn prune_volumes(session: &Session, filters: Filters) -> Result<Pruned> {
    prune(session, filters, "Volumes").await
}

/// Prunes what has names: `noun` in the plural and with a capital letter.
async fn prune(session: &Session, filters: Filters, noun: &str) -> Result<Pruned> {
    let path = format!("/{}/prune", noun.to_lowercase());
    let request = Request::post(path).filters(&filters);
    let answer: Value = session.client()?.json(request).await?;
    let names = answer[format!("{noun}Deleted")].as_array();
    let names: Vec<&str> = names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let text = match names.as_slice() {
        [] => String::new(),
        names => format!("Deleted {noun}:\n{}\n\n", names.join("\n")),
    };
    Ok(Pruned::new(text, &answer))
}

async fn prune_images(session: &Session, mut filters: Filters, all: bool) -> Result<Pruned> {
    filters.add("dangling", if all { "false" } else { "true" });
    let request = Request::post("/images/prune").filters(&filters);
    let answer: Value = session.client()?.json(request).await?;
    let deleted: Vec<dhow_api::image::ImageDeleted> =
        serde_json::from_value(answer["ImagesDeleted"].clone()).unwrap_or_default();
    let mut text = String::new();
    if !deleted.is_empty() {
        // The capital letters are as Docker writes them: lower case here.
        let lines = super::rmi::report(&deleted);
        let lines = lines
            .replace("Untagged: ", "untagged: ")
            .replace("Deleted: ", "deleted: ");
        text = format!("Deleted Images:\n{lines}\n");
    }
    Ok(Pruned::new(text, &answer))
}

async fn prune_builds(session: &Session, filters: Filters, all: bool) -> Result<Pruned> {
    let request = Request::post("/build/prune")
        .filters(&filters)
        .query_if(all, "all", "1");
    let answer: Value = session.client()?.json(request).await?;
    let ids = answer["CachesDeleted"].as_array().into_iter().flatten();
    let ids: Vec<&str> = ids.filter_map(Value::as_str).collect();
    let text = match ids.as_slice() {
        [] => String::new(),
        ids => format!("Deleted build cache objects:\n{}\n\n", ids.join("\n")),
    };
    Ok(Pruned::new(text, &answer))
}

fn report(session: &Session, pruned: &Pruned) -> Result<()> {
    session.print(&pruned.text)?;
    reclaimed(session, pruned.bytes)
}

fn reclaimed(session: &Session, bytes: u64) -> Result<()> {
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    session.println(&format!(
        "Total reclaimed space: {}",
        human_size(bytes as f64)
    ))
}

/// Asks before anything is removed, unless `--force` says not to.
pub(super) fn confirm(session: &Session, flags: &Parsed, warning: &str) -> Result<()> {
    if flags.switch("force") {
        return Ok(());
    }
    session.print(&format!(
        "{warning}Are you sure you want to continue? [y/N] "
    ))?;
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Error::exit(0))
}
