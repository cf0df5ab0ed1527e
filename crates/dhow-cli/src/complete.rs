//! `__complete`: what could stand at the end of a command line.
//!
//! The shells' scripts call `PROGRAM __complete WORD…`, the last word being the unfinished one. Each answer is a
//! line, a description after a tab; `:files` asks the shell for file names and `:nospace` for no space.

use std::path::Path;

use serde_json::Value;

use crate::command::{self, Action, Command, Completes, Section};
use crate::error::{Error, Result};
use crate::globals::{self, GLOBALS};
use crate::session::Session;
use dhow_client::{Config, Request, context};
use dhow_options::flags::{Flag, Kind, Parsed};

/// Prints what could follow `words`; never an error.
pub(crate) fn run(globals: &Parsed, words: &[String]) -> Result<()> {
    let (current, before) = match words.split_last() {
        Some((current, before)) => (current.as_str(), before),
        None => ("", words),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let lines = runtime.block_on(candidates(globals, before, current));
    let text: String = lines
        .into_iter()
        .filter(|line| line.starts_with(':') || line.starts_with(current))
        .map(|line| line + "\n")
        .collect();
    crate::outcome::to_stdout(&text)
}

async fn candidates(globals: &Parsed, before: &[String], current: &str) -> Vec<String> {
    // The command line itself may choose the engine: `dhow -H … rm <tab>`.
    let outcome = dhow_options::flags::parse(&[GLOBALS], false, before);
    let given = match outcome {
        Ok(dhow_options::flags::Outcome::Parsed(parsed)) => parsed,
        _ => return Vec::new(),
    };
    let words = given.arguments.clone();
    let found = command::find(crate::root(), &words);
    let tables: Vec<&[Flag]> = match found.path.is_empty() {
        true => vec![GLOBALS],
        false => found.command.flags.to_vec(),
    };
    let flags = || {
        tables
            .iter()
            .flat_map(|table| table.iter())
            .filter(|flag| !flag.hidden)
    };
    let pending = before
        .last()
        .and_then(|last| flags().find(|flag| awaits_value(flag, last)));
    if let Some(flag) = pending {
        return values(flag, &source(globals, &given)).await;
    }
    let rest = positional(found.rest, &tables);
    let ended = !found.command.interspersed && !rest.is_empty();
    if current.starts_with('-') && !ended {
        let names = flags().map(|flag| {
            let first = flag.usage.lines().next().unwrap_or_default();
            format!("--{}\t{first}", flag.name)
        });
        return names.chain(["--help\tPrint usage".to_owned()]).collect();
    }
    if let Action::Group(commands) = found.command.action {
        let shown = commands
            .iter()
            .filter(|command| command.section != Section::Hidden);
        return shown
            .map(|command| format!("{}\t{}", command.name, command.about))
            .collect();
    }
    arguments(found.command, &rest, &source(globals, &given)).await
}

/// Whether `word` is the flag without its value.
fn awaits_value(flag: &Flag, word: &str) -> bool {
    if flag.kind == Kind::Switch {
        return false;
    }
    let short = flag.short.is_some_and(|short| {
        word.len() > 1 && word.starts_with('-') && !word.starts_with("--") && word.ends_with(short)
    });
    short || word.strip_prefix("--") == Some(flag.name)
}

/// The words that are neither flags nor their values.
fn positional(words: &[String], tables: &[&[Flag]]) -> Vec<String> {
    let flags = || tables.iter().flat_map(|table| table.iter());
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if !word.starts_with('-') || word == "-" {
            found.push(word.clone());
        } else if flags().any(|flag| awaits_value(flag, word)) {
            words.next();
        }
    }
    found
}

fn source(globals: &Parsed, given: &Parsed) -> Option<Session> {
    let chosen = ["host", "context", "config"]
        .iter()
        .any(|name| given.changed(name));
    let parsed = if chosen { given } else { globals };
    let mut settings = globals::read(parsed).ok()?;
    // Completing must not start anything.
    settings.autostart = false;
    let config = Config::load(globals::folder(parsed)).ok()?;
    Some(Session::new(String::new(), String::new(), settings, config))
}

async fn values(flag: &Flag, session: &Option<Session>) -> Vec<String> {
    let fixed = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    match flag.name {
        "network" => names(session, Completes::Networks).await,
        "context" | "from" => names(session, Completes::Contexts).await,
        "volumes-from" => names(session, Completes::Containers(&[])).await,
        "restart" => fixed(&[
            "always",
            "no",
            "on-failure",
            "on-unhealthy",
            "unless-stopped",
        ]),
        "pull" => fixed(&["always", "missing", "never"]),
        "signal" | "stop-signal" => dhow_options::signal_names().collect(),
        "log-driver" => fixed(&[
            "fluentd",
            "gelf",
            "journald",
            "json-file",
            "local",
            "none",
            "syslog",
        ]),
        "attach" => fixed(&["stdin", "stdout", "stderr"]),
        "env" => std::env::vars().map(|(name, _)| name).collect(),
        "platform" => fixed(&["linux/amd64", "linux/arm64", "linux/arm/v7"]),
        "volume" | "mount" | "env-file" | "label-file" | "cidfile" | "output" | "input"
        | "config" | "device" => fixed(&[":files"]),
        _ => Vec::new(),
    }
}

async fn arguments(command: &Command, rest: &[String], session: &Option<Session>) -> Vec<String> {
    let files = || vec![":files".to_owned()];
    let completes = match (command.completes, rest.len()) {
        (Completes::OneContainer(states), 0) => Completes::Containers(states),
        (Completes::OneImage, 0) => Completes::Images,
        (Completes::NetworkThenContainer, 0) => Completes::Networks,
        (Completes::NetworkThenContainer, 1) => Completes::Containers(&[]),
        (Completes::OneContainer(_) | Completes::OneImage, _) if !command.interspersed => {
            return files();
        }
        (Completes::OneContainer(_) | Completes::OneImage | Completes::NetworkThenContainer, _)
        | (Completes::Nothing, _) => return Vec::new(),
        (Completes::Files, _) => return files(),
        (completes, _) => completes,
    };
    let mut found = names(session, completes).await;
    // What stands there already is not wanted twice.
    found.retain(|name| !rest.contains(name));
    found
}

async fn names(session: &Option<Session>, completes: Completes) -> Vec<String> {
    let Some(session) = session else {
        return Vec::new();
    };
    let found = match completes {
        Completes::Containers(states) => containers(session, states).await,
        Completes::Images => images(session).await,
        Completes::Networks => listed(session, "/networks", "").await,
        Completes::Volumes => listed(session, "/volumes", "/Volumes").await,
        Completes::Contexts => {
            let kept = context::all(&session.config).into_iter();
            let names = kept.map(|context| context.name);
            Ok(names.chain([context::DEFAULT.to_owned()]).collect())
        }
        Completes::Anything => {
            let mut all = containers(session, &[]).await.unwrap_or_default();
            all.extend(images(session).await.unwrap_or_default());
            all.extend(
                listed(session, "/volumes", "/Volumes")
                    .await
                    .unwrap_or_default(),
            );
            all.extend(listed(session, "/networks", "").await.unwrap_or_default());
            Ok(all)
        }
        _ => Ok(Vec::new()),
    };
    found.unwrap_or_default()
}

/// Names of containers, then their short ids.
async fn containers(session: &Session, states: &[&str]) -> Result<Vec<String>> {
    let request = Request::get("/containers/json").query("all", "1");
    let list: Vec<Value> = session.client()?.json(request).await?;
    let wanted = |container: &&Value| {
        states.is_empty()
            || container["State"]
                .as_str()
                .is_some_and(|state| states.contains(&state))
    };
    let mut names = Vec::new();
    let mut ids = Vec::new();
    for container in list.iter().filter(wanted) {
        let first = container["Names"][0].as_str().unwrap_or_default();
        names.push(
            Path::new(first)
                .strip_prefix("/")
                .unwrap_or(Path::new(first))
                .display()
                .to_string(),
        );
        ids.push(dhow_format::short_id(container["Id"].as_str().unwrap_or_default()).to_owned());
    }
    names.extend(ids);
    Ok(names)
}

async fn images(session: &Session) -> Result<Vec<String>> {
    let list: Vec<Value> = session.client()?.json(Request::get("/images/json")).await?;
    let tags = list
        .iter()
        .flat_map(|image| image["RepoTags"].as_array().into_iter().flatten());
    let tags = tags
        .filter_map(Value::as_str)
        .filter(|tag| !tag.contains("<none>"));
    let ids = list
        .iter()
        .filter_map(|image| image["Id"].as_str())
        .map(dhow_format::short_id);
    Ok(tags.chain(ids).map(str::to_owned).collect())
}

async fn listed(session: &Session, path: &str, pointer: &str) -> Result<Vec<String>> {
    let answer: Value = session.client()?.json(Request::get(path)).await?;
    let list = answer.pointer(pointer).and_then(Value::as_array);
    let list = list.ok_or_else(|| Error::text("no list"))?;
    Ok(list
        .iter()
        .filter_map(|entry| entry["Name"].as_str())
        .map(str::to_owned)
        .collect())
}
