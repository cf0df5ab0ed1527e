//! Dockerfiles with their contexts, and what a real BuildKit makes of each.
//!
//! A case is a text file: lines of `key: value` first, then files, each after a line `-- PATH --`. The keys: `args` and
//! `labels` (`NAME=value`, blanks between), `target`, `file` (the Dockerfile's name), `touch` (a file that is changed for a
//! third build), `base` (an image built first, of what is below `base/`), `fails`, `skip-reference` (why nothing is recorded),
//! `buildkit-only` (why the classic API is not asked), `steps-again` and `steps-touched` (how many steps that makes cached in
//! its text, where that differs), and `miscounted` (why buildx is told otherwise). What was recorded is a JSON object a line.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// A Dockerfile and its context.
#[derive(Debug, Clone)]
pub struct Case {
    /// The case's name.
    pub name: String,
    /// What is said of it.
    pub keys: BTreeMap<String, String>,
    /// The files, the base's too.
    pub files: BTreeMap<String, String>,
    /// What the real engine made of it, if that was recorded.
    pub recorded: Option<Value>,
}

impl Case {
    /// Reads a case.
    #[must_use]
    pub fn parse(name: &str, text: &str) -> Self {
        let mut case = Self {
            name: name.to_owned(),
            keys: BTreeMap::new(),
            files: BTreeMap::new(),
            recorded: None,
        };
        let mut file: Option<String> = None;
        for line in text.split_inclusive('\n') {
            let bare = line.trim_end_matches('\n');
            let path = bare.strip_prefix("-- ").and_then(|l| l.strip_suffix(" --"));
            if let Some(path) = path {
                case.files.insert(path.to_owned(), String::new());
                file = Some(path.to_owned());
                continue;
            }
            match &file {
                Some(path) => case.files.entry(path.clone()).or_default().push_str(line),
                None => {
                    if let Some((key, value)) = bare.split_once(':') {
                        case.keys.insert(key.to_owned(), value.trim().to_owned());
                    }
                }
            }
        }
        case
    }

    /// `NAME=value` of a key.
    #[must_use]
    pub fn pairs(&self, key: &str) -> BTreeMap<String, String> {
        let words = self.keys.get(key).map_or("", String::as_str);
        words
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The Dockerfile's name.
    #[must_use]
    pub fn file(&self) -> &str {
        self.keys.get("file").map_or("Dockerfile", String::as_str)
    }

    /// The files of the context: without those of the base.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter();
        files
            .filter(|(path, _)| !path.starts_with("base/"))
            .map(|(path, content)| (path.as_str(), content.as_str()))
    }
}

/// All cases of a folder, with what is in the file `recorded.jsonl` beside it.
///
/// # Panics
/// When they can't be read.
#[must_use]
pub fn cases(folder: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(folder.join("recorded.jsonl")).unwrap_or_default();
    let recorded: BTreeMap<String, Value> = text
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).expect("a recorded case is JSON");
            (value["name"].as_str().unwrap_or_default().to_owned(), value)
        })
        .collect();
    let listed = std::fs::read_dir(folder.join("cases")).expect("the cases are there");
    let mut cases: Vec<Case> = listed
        .map(|entry| {
            let path = entry.expect("a case is listed").path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("a case is read");
            let mut case = Case::parse(&name, &text);
            case.recorded = recorded.get(&case.name).cloned();
            case
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}
