//! Every command and flag of docker's command line 28.2, against the tables here and the documentation.
//!
//! `docker.tsv` has a line for each: `command PATH ALIASES STATE` and `flag PATH NAME SHORT VALUE STATE`, as docker's
//! own help shows them when no engine answers, so that nothing is hidden. A state beginning with `missing` says that
//! it is not here; any other one that it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{MISSING, ROOT};
use crate::command::{Action, Command, Section, find};
use crate::globals::GLOBALS;
use dhow_options::flags::Flag;

const TABLE: &str = include_str!("docker.tsv");
/// The path that stands for the flags before the command.
const GLOBAL: &str = "-";
const DOCUMENT: &str = "docs/compatibility/commands.md";
/// The variable that has the test write the document instead of checking it.
const WRITE: &str = "DHOW_WRITE_DOCS";

/// A command of docker's.
struct Entry {
    path: &'static str,
    aliases: &'static str,
    state: &'static str,
    flags: Vec<Known>,
}

/// A flag of docker's.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    name: &'static str,
    short: &'static str,
    value: &'static str,
    state: &'static str,
}

fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in TABLE.lines() {
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            ["command", path, aliases, state] => entries.push(Entry {
                path,
                aliases,
                state,
                flags: Vec::new(),
            }),
            ["flag", path, name, short, value, state] => {
                let entry = entries.last_mut().filter(|entry| entry.path == *path);
                entry
                    .expect("flags follow their command")
                    .flags
                    .push(Known {
                        name,
                        short,
                        value,
                        state,
                    });
            }
            other => panic!("{other:?}"),
        }
    }
    entries
}

fn is_missing(state: &str) -> bool {
    state.starts_with("missing")
}

/// Our command at a path of docker's.
fn ours(path: &str) -> Option<&'static Command> {
    let words: Vec<String> = path.split(' ').map(str::to_owned).collect();
    let found = find(&ROOT, &words);
    found.rest.is_empty().then_some(found.command)
}

fn flags_of(path: &str) -> Option<Vec<Flag>> {
    if path == GLOBAL {
        return Some(GLOBALS.to_vec());
    }
    let tables = ours(path)?.flags.iter();
    Some(tables.flat_map(|table| table.iter().copied()).collect())
}

/// What of a command of docker's is not here as the table says.
fn differences(entry: &Entry) -> Vec<String> {
    let path = entry.path;
    let Some(flags) = flags_of(path) else {
        let said = MISSING
            .iter()
            .any(|missing| path == *missing || path.starts_with(&format!("{missing} ")));
        let fine = is_missing(entry.state) && said;
        return if fine {
            Vec::new()
        } else {
            vec![format!("{path} is not here")]
        };
    };
    let mut found = Vec::new();
    if is_missing(entry.state) {
        found.push(format!(
            "{path} is here, but the table says that it is missing"
        ));
    }
    if path != GLOBAL && ours(path).is_some_and(|command| command.also != entry.aliases) {
        found.push(format!("{path} has other aliases than {:?}", entry.aliases));
    }
    for known in &entry.flags {
        let flag = flags.iter().find(|flag| flag.name == known.name);
        // Some flags are known only to be refused with more than "unknown flag".
        match flag {
            None if is_missing(known.state) => {}
            None => found.push(format!("{path} has no --{}", known.name)),
            Some(flag) => {
                let short = flag.short.map(String::from).unwrap_or_default();
                if (short.as_str(), flag.value) != (known.short, known.value) {
                    let name = known.name;
                    found.push(format!("{path} --{name} is -{short} {}", flag.value));
                }
                if flag.hidden && !is_missing(known.state) && !known.state.starts_with("refused") {
                    found.push(format!("{path} --{} is hidden", known.name));
                }
            }
        }
    }
    found
}

#[test]
fn every_command_and_flag_of_docker_is_here_or_said_to_be_missing() {
    let entries = entries();
    assert!(entries.len() > 180 && entries.iter().map(|e| e.flags.len()).sum::<usize>() > 1100);
    let found: Vec<String> = entries.iter().flat_map(differences).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The document's text: it follows from the tables.
fn document() -> String {
    let mut text = String::from(
        "# Commands and flags\n\n\
         Every command and flag of docker's command line 28.2, and whether Dhow's has it. `missing` always means a clear\n\
         error. A command that is listed without flags has those of the one it is another name of. This text is made from\n\
         `crates/dhow-cli/src/commands/docker.tsv`; a test compares the three.\n",
    );
    let entries = entries();
    let mut first_with: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in &entries {
        let title = match entry.path {
            GLOBAL => "docker".to_owned(),
            path => format!("docker {path}"),
        };
        text += &format!(
            "\n## {title}\n\n| flag | state |\n|---|---|\n| (the command) | {} |\n",
            entry.state
        );
        let first = (!entry.aliases.is_empty())
            .then(|| *first_with.entry(entry.aliases).or_insert(entry))
            .filter(|first| first.path != entry.path && first.flags == entry.flags);
        if let Some(first) = first {
            text += &format!("| all | as `docker {}` |\n", first.path);
            continue;
        }
        for flag in &entry.flags {
            text += &format!("| `--{}` | {} |\n", flag.name, flag.state);
        }
    }
    text + &own(&entries)
}

/// What docker does not have.
fn own(entries: &[Entry]) -> String {
    let known: BTreeMap<&str, &Entry> = entries.iter().map(|entry| (entry.path, entry)).collect();
    let mut text =
        String::from("\n## What docker does not have\n\n| command or flag | what |\n|---|---|\n");
    let mut rows = BTreeSet::new();
    rows_of(GLOBAL, GLOBALS, &known, &mut rows);
    visit(&ROOT, "", &known, &mut rows);
    for row in rows {
        text += &row;
    }
    text
}

fn visit(
    command: &Command,
    path: &str,
    known: &BTreeMap<&str, &Entry>,
    rows: &mut BTreeSet<String>,
) {
    if !path.is_empty() && command.section != Section::Hidden {
        if !known.contains_key(path) {
            rows.insert(format!("| `dhow {path}` | {} |\n", command.about));
        }
        for table in command.flags {
            rows_of(path, table, known, rows);
        }
    }
    if let Action::Group(commands) = command.action {
        for inner in commands {
            visit(
                inner,
                format!("{path} {}", inner.name).trim_start(),
                known,
                rows,
            );
        }
    }
}

fn rows_of(
    path: &str,
    flags: &[Flag],
    known: &BTreeMap<&str, &Entry>,
    rows: &mut BTreeSet<String>,
) {
    let Some(entry) = known.get(path) else {
        return;
    };
    let named =
        |flag: &&Flag| !flag.hidden && entry.flags.iter().all(|known| known.name != flag.name);
    for flag in flags.iter().filter(named) {
        let usage = flag.usage.lines().next().unwrap_or_default();
        let path = if path == GLOBAL { "" } else { path };
        let name = format!("dhow {path} --{}", flag.name).replace("  ", " ");
        rows.insert(format!("| `{name}` | {usage} |\n"));
    }
}

#[test]
fn the_documentation_has_a_row_for_each() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(DOCUMENT);
    let expected = document();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &expected).expect("the document can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{DOCUMENT} is not what the tables say: run this test with {WRITE}=1 to write it"
    );
}
