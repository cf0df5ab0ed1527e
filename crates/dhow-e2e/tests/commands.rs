//! The same command lines by docker's program and by ours: what they print and how they end must be the same.
//!
//! `commands/lines.txt` holds the lines. Each program runs all of them in order, called `docker`, on an engine of
//! its own; ids, times, addresses and process numbers count as equal. Where the two differ on purpose, a line is not
//! there: docs/compatibility says why.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use dhow_e2e::Bench;
use dhow_testkit::{Cli, root_or_skip};
use regex::Regex;

const LINES: &str = include_str!("commands/lines.txt");
/// What docker's program 28.2 speaks; ours speaks newer ones too, whose answers differ.
const API_VERSION: &str = "1.50";

/// What a line led to.
#[derive(Debug, PartialEq, Eq)]
struct Result {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// The words of a line: separated by spaces, `'…'` kept together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Takes out what differs from one run to the next.
struct Normal(Vec<(Regex, &'static str)>);

impl Normal {
    fn new() -> Self {
        let rules = [
            (r"\b[0-9a-f]{64}\b", "<ID>"),
            // A moment without trailing zeros makes the image's config shorter.
            (r#""([Ss])ize": ?\d+"#, "\"${1}ize\": <SIZE>"),
            (r"\b[0-9a-f]{12}\b", "<SHORT>"),
            (
                r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?([+-]\d{4}|Z)( UTC)?)?",
                "<TIME>",
            ),
            (
                r"(About an?|Less than a|\d+) (second|minute|hour|day|week|month|year)s?( ago)?",
                "<AGO>",
            ),
            (r"\b(172|10|192)\.\d+\.\d+\.\d+", "<ADDRESS>"),
            (r"127\.0\.0\.1:\d{4,5}", "<PORT>"),
            (r"(?m)^(\S+ +)\d+ +\d+ +\d+ +\d\d:\d\d", "$1<PROCESS>"),
            (r"/tmp/dhow-e2e-\w+", "<ROOT>"),
            (r" +", " "),
        ];
        let rules = rules.map(|(rule, with)| (Regex::new(rule).unwrap(), with));
        Self(rules.into())
    }

    fn text(&self, bytes: &[u8], home: &str) -> String {
        let text = String::from_utf8_lossy(bytes).replace(home, "<HOME>");
        let rules = self.0.iter();
        rules.fold(text, |text, (rule, with)| {
            rule.replace_all(&text, *with).into_owned()
        })
    }
}

/// Runs every line by one program.
fn transcript(cli: Cli) -> Vec<(&'static str, Result)> {
    let bench = Bench::new(cli);
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().display().to_string();
    let normal = Normal::new();
    let lines = LINES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let results = lines.map(|line| {
        let mut command = cli.command(bench.engine.socket(), home.path());
        let output = command
            .arg0("docker")
            .args(words(line))
            .env("DOCKER_API_VERSION", API_VERSION)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let mut stdout = normal.text(&output.stdout, &folder);
        if line.starts_with("image") {
            // An image's names come in no particular order from docker.
            let mut rows: Vec<&str> = stdout.lines().collect();
            rows.sort_unstable();
            stdout = rows.join("\n");
        }
        let result = Result {
            code: output.status.code(),
            stdout,
            stderr: normal.text(&output.stderr, &folder),
        };
        (line, result)
    });
    results.collect()
}

#[test]
fn both_command_lines_answer_alike() {
    if !root_or_skip("the comparison of command lines") {
        return;
    }
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| transcript(Cli::Docker));
        let ours = transcript(Cli::Dhow);
        (theirs.join().unwrap(), ours)
    });
    let mut differences = String::new();
    let mut count = 0;
    for ((line, theirs), (_, ours)) in theirs.iter().zip(&ours) {
        if theirs != ours {
            count += 1;
            differences += &format!("{line}\n  docker {theirs:?}\n  dhow   {ours:?}\n");
        }
    }
    assert!(
        count == 0,
        "{count} of {} lines differ:\n{differences}",
        ours.len()
    );
}

/// A plugin that says what it was given.
const PLUGIN: &str = r#"#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
    echo '{"SchemaVersion":"0.1.0","Vendor":"Me","Version":"v1","ShortDescription":"Says things"}'
    exit
fi
echo "$DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND: $*"
exit 7
"#;

#[test]
fn plugins_are_listed_and_take_the_programs_place() {
    if !root_or_skip("the comparison of plugins") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".docker/cli-plugins");
    std::fs::create_dir_all(&folder).unwrap();
    let plugin = folder.join("docker-says");
    std::fs::write(&plugin, PLUGIN).unwrap();
    std::fs::set_permissions(&plugin, Permissions::from_mode(0o755)).unwrap();
    let socket = Path::new("/nonexistent.sock");
    let [theirs, ours] = Cli::BOTH.map(|cli| {
        let run = |words: &[&str]| {
            let mut command = cli.command(socket, home.path());
            let output = command.arg0("docker").args(words).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.code(), text)
        };
        let (_, help) = run(&["--help"]);
        let listed = help.lines().find(|line| line.contains("says*"));
        let listed = listed.unwrap_or_default().to_owned();
        (
            run(&["says", "a", "--b", "c d"]),
            run(&["-D", "says"]),
            listed,
        )
    });
    assert_eq!(theirs, ours);
    let said = "docker: -H unix:///nonexistent.sock says a --b c d\n".to_owned();
    assert_eq!(ours.0, (Some(7), said));
    assert_eq!(ours.2.trim(), "says*       Says things");
}

#[test]
fn words_are_split_like_a_shells() {
    assert_eq!(words("ps -f 'a b' ''"), ["ps", "-f", "a b", ""]);
    assert_eq!(words("x --format='{{.A}} b'"), ["x", "--format={{.A}} b"]);
}
