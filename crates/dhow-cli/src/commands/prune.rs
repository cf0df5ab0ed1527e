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

pub(crate) const CONTAINER: Command = Command {
    flags: &[&[
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Provide filter values (e.g. \"until=<timestamp>\")",
        )
        .checked(filters::check),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
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
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Provide filter values (e.g. \"until=<timestamp>\")",
        )
        .checked(filters::check),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
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
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Provide filter values (e.g. \"until=<timestamp>\")",
        )
        .checked(filters::check),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
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
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Provide filter values (e.g. \"label=<label>\")",
        )
        .checked(filters::check),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
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
        Flag::new(
            "filter",
            Kind::List,
            "filter",
            "Provide filter values (e.g. \"label=<key>=<value>\")",
        )
        .checked(filters::check),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
        Flag::switch("volumes", "Prune anonymous volumes"),
    ]],
    ..Command::new("prune", "Remove unused data", "[OPTIONS]", runner!(system))
};

/// What one prune removed: its lines, and the bytes it freed.
struct Pruned {
    text: String,
    bytes: u64,
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
        true => "  - all images without at least one container associated to them\n",
        false => "  - all dangling images\n",
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
    steps.push(prune_images(session, filters, all).await?);
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
    let request = Request::post("/containers/prune").filters(&filters);
    let answer: Value = session.client()?.json(request).await?;
    Ok(names(
        "Deleted Containers",
        &answer["ContainersDeleted"],
        &answer,
    ))
}

async fn prune_networks(session: &Session, filters: Filters) -> Result<Pruned> {
    let request = Request::post("/networks/prune").filters(&filters);
    let answer: Value = session.client()?.json(request).await?;
    Ok(names(
        "Deleted Networks",
        &answer["NetworksDeleted"],
        &answer,
    ))
}

async fn prune_volumes(session: &Session, filters: Filters) -> Result<Pruned> {
    let request = Request::post("/volumes/prune").filters(&filters);
    let answer: Value = session.client()?.json(request).await?;
    Ok(names("Deleted Volumes", &answer["VolumesDeleted"], &answer))
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
    Ok(Pruned {
        text,
        bytes: answer["SpaceReclaimed"].as_u64().unwrap_or(0),
    })
}

fn names(title: &str, names: &Value, answer: &Value) -> Pruned {
    let names: Vec<&str> = names
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let text = if names.is_empty() {
        String::new()
    } else {
        format!("{title}:\n{}\n\n", names.join("\n"))
    };
    Pruned {
        text,
        bytes: answer["SpaceReclaimed"].as_u64().unwrap_or(0),
    }
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
fn confirm(session: &Session, flags: &Parsed, warning: &str) -> Result<()> {
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
