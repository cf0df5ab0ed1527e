//! Rules about source files: their size, their docs, and words that belong in few crates only.

use super::Finding;
use std::path::{Path, PathBuf};

/// The most lines a file may have, its tests not counted.
const MOST_LINES: usize = 600;

/// A word that only some crates may use.
struct Reserved {
    /// How it is written in source.
    word: &'static str,
    /// The folders under `crates/` that may.
    users: &'static [&'static str],
    /// Why the others may not, and what they do instead.
    reason: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        word: concat!("unsafe", " {"),
        users: &["dhow-sys"],
        reason: "unsafe code lives in dhow-sys alone: add a safe primitive there",
    },
    Reserved {
        word: "env::var",
        users: &[
            "dhow",
            "dhow-cli",
            "dhow-client",
            "dhow-daemon",
            "dhow-options",
            "dhow-testkit",
            "dhow-e2e",
            "xtask",
        ],
        reason: "only the daemon, the command line and the binary read the environment: take a setting instead",
    },
    Reserved {
        word: "println!(",
        users: &[
            "dhow",
            "dhow-cli",
            "dhow-terminal",
            "dhow-testkit",
            "dhow-e2e",
            "dhow-hello",
            "xtask",
        ],
        reason: "only the command line prints: return the text, or use tracing in the daemon",
    },
];

pub(super) fn check(root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in sources(root) {
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else {
            continue;
        };
        for message in messages(&path, &text) {
            findings.push(Finding {
                path: path.clone(),
                message,
            });
        }
    }
    findings
}

fn messages(path: &Path, text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let product = without_tests(text);
    let lines = product.lines().count();
    if lines > MOST_LINES && !is_test(path) {
        messages.push(format!(
            "has {lines} lines without its tests, {MOST_LINES} are the most: split it by noun"
        ));
    }
    let head = text
        .lines()
        .find(|line| !line.starts_with("#!") && !line.is_empty());
    if !is_test(path) && !head.is_some_and(|line| line.starts_with("//!")) {
        messages
            .push("starts without `//!` docs: say what it is, its terms and its lifecycle".into());
    }
    if !is_test(path) {
        messages.extend(reserved(path, product));
    }
    messages
}

fn reserved(path: &Path, product: &str) -> Vec<String> {
    let folder = path
        .components()
        .nth(1)
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let folder = folder.unwrap_or_default();
    let used = |word: &str| {
        product
            .lines()
            .any(|line| !line.trim_start().starts_with("//") && line.contains(word))
    };
    RESERVED
        .iter()
        .filter(|rule| !rule.users.contains(&folder.as_str()) && used(rule.word))
        .map(|rule| format!("uses `{}`: {}", rule.word, rule.reason))
        .collect()
}

/// The text up to its test module, which by custom stands last.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {")
        .map_or(text, |at| &text[..at])
}

fn is_test(path: &Path) -> bool {
    let folder = |part: std::path::Component<'_>| {
        ["tests", "benches", "examples"]
            .iter()
            .any(|name| part.as_os_str() == *name)
    };
    path.components().any(folder)
        || path
            .file_name()
            .is_some_and(|name| name == "tests.rs" || name == "testing.rs")
}

/// The manifests of all crates, relative to `root`.
pub(super) fn manifests(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = entries(&root.join("crates"))
        .into_iter()
        .map(|folder| folder.join("Cargo.toml"))
        .filter(|manifest| manifest.is_file())
        .filter_map(|manifest| manifest.strip_prefix(root).ok().map(Path::to_path_buf))
        .collect();
    found.sort();
    found
}

/// All Rust sources under `crates/`, relative to `root`.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![root.join("crates")];
    while let Some(folder) = pending.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(path.strip_prefix(root).ok().map(Path::to_path_buf));
            }
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_outside_sys_is_found() {
        let text = "//! Docs.\nfn f() { unsafe { g() } }\n";
        assert_eq!(
            messages(Path::new("crates/dhow-image/src/x.rs"), text).len(),
            1
        );
        assert!(messages(Path::new("crates/dhow-sys/src/x.rs"), text).is_empty());
    }

    #[test]
    fn a_long_file_is_found_and_tests_do_not_count() {
        let body = format!("//! Docs.\n{}", "fn f() {}\n".repeat(601));
        assert_eq!(messages(Path::new("crates/a/src/x.rs"), &body).len(), 1);
        let tests = format!(
            "//! Docs.\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "fn f() {}\n".repeat(601)
        );
        assert!(messages(Path::new("crates/a/src/x.rs"), &tests).is_empty());
    }

    #[test]
    fn missing_docs_are_found() {
        assert_eq!(
            messages(Path::new("crates/a/src/x.rs"), "fn f() {}\n").len(),
            1
        );
    }

    #[test]
    fn words_in_comments_do_not_count() {
        let text = "//! Docs.\n// println!(\"x\")\n";
        assert!(messages(Path::new("crates/dhow-image/src/x.rs"), text).is_empty());
    }
}
