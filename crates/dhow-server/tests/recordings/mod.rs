//! Exchanges recorded with a real engine, and how to compare an answer with them.
//!
//! `fixtures/recordings.jsonl` holds the exchanges in the order they were made, each standing on the ones before (a
//! container that is created, started, removed): drive them all, in order, through [`Replay`]. The recordings were made
//! with API 1.56, some with older versions too; known differences are listed, each with its reason, in
//! `fixtures/differences.json`.
//!
//! An answer is compared by its status, the shape of its JSON (same keys, same types; what is null on one side may be
//! anything on the other), the text of its error with ids made equal, and the headers that mean something.
//!
//! Any test can take this file in with `#[path]`; it needs `serde_json` and nothing of this workspace.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a part of tests, of which each uses some"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

const RECORDINGS: &str = include_str!("../fixtures/recordings.jsonl");
const DIFFERENCES: &str = include_str!("../fixtures/differences.json");

/// Objects whose keys are data: of these only the shapes of the values are compared.
const DATA: &[&str] = &[
    "Annotations",
    "Attributes",
    "Containers",
    "Details",
    "ExposedPorts",
    "IndexConfigs",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Runtimes",
    "Subnets",
    "Sysctls",
    "Tmpfs",
    "Volumes",
    "networks",
    "stats",
    "status",
    "LogConfig.Config",
];

/// One recorded exchange.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The request's body as it is sent, and whether it is JSON.
    pub(crate) body: Option<String>,
    pub(crate) status: u16,
    pub(crate) headers: Map<String, Value>,
    pub(crate) response: Value,
}

/// What an engine answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in any case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// All exchanges, in order.
pub(crate) fn exchanges() -> Vec<Exchange> {
    RECORDINGS
        .lines()
        .map(|line| exchange(&serde_json::from_str(line).unwrap()))
        .collect()
}

fn exchange(line: &Value) -> Exchange {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let body = match (&line["request"], &line["request_text"]) {
        (_, Value::String(text)) => Some(text.clone()),
        (Value::Null, _) => None,
        (request, _) => Some(request.to_string()),
    };
    Exchange {
        name: text("name"),
        method: text("method"),
        path: text("path"),
        body,
        status: u16::try_from(line["status"].as_u64().unwrap()).unwrap(),
        headers: line["headers"].as_object().unwrap().clone(),
        response: line["response"].clone(),
    }
}

/// The state of a replay: what the recorded ids are here.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    replaced: BTreeMap<String, String>,
}

impl Replay {
    /// Has `recorded` sent and expected as `here`, everywhere: the address of a registry, for instance.
    pub(crate) fn replace(&mut self, recorded: &str, here: &str) {
        self.replaced.insert(recorded.to_owned(), here.to_owned());
    }

    /// The exchange as it is to be sent here.
    pub(crate) fn prepare(&self, exchange: &Exchange) -> Exchange {
        let mut exchange = exchange.clone();
        for (recorded, here) in &self.replaced {
            exchange.path = exchange.path.replace(recorded, here);
            exchange.body = exchange.body.map(|body| body.replace(recorded, here));
            let response = exchange.response.to_string().replace(recorded, here);
            exchange.response = serde_json::from_str(&response).unwrap();
        }
        exchange
    }

    /// What is different in the answer to a prepared exchange and not known to be, one line each.
    pub(crate) fn compare(&mut self, exchange: &Exchange, answer: &Answer) -> Vec<String> {
        self.learn(exchange, answer);
        let known = known();
        compare(exchange, answer)
            .into_iter()
            .filter(|difference| {
                !known
                    .iter()
                    .any(|(name, text)| matches(name, &exchange.name) && matches(text, difference))
            })
            .collect()
    }

    /// Notes what the id of something that was just made is here.
    fn learn(&mut self, exchange: &Exchange, answer: &Answer) {
        let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
            return;
        };
        if exchange.status != 201 {
            return;
        }
        if let (Some(recorded), Some(here)) =
            (exchange.response["Id"].as_str(), body["Id"].as_str())
        {
            self.replaced.insert(recorded.to_owned(), here.to_owned());
        }
    }
}

/// The known differences: patterns of an exchange's name and of the difference, each with its reason.
pub(crate) fn known() -> Vec<(String, String)> {
    let list: Vec<Value> = serde_json::from_str(DIFFERENCES).unwrap();
    list.iter()
        .flat_map(|entry| {
            assert!(
                entry["reason"]
                    .as_str()
                    .is_some_and(|reason| !reason.is_empty()),
                "{entry} has no reason"
            );
            let name = entry["exchange"].as_str().unwrap().to_owned();
            let differences = entry["differences"].as_array().unwrap().clone();
            differences
                .into_iter()
                .map(move |text| (name.clone(), text.as_str().unwrap().to_owned()))
        })
        .collect()
}

/// Whether `text` fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    loop {
        if matches(rest, text) {
            return true;
        }
        let mut characters = text.chars();
        if characters.next().is_none() {
            return false;
        }
        text = characters.as_str();
    }
}

/// Every difference between a recorded exchange and an answer.
pub(crate) fn compare(exchange: &Exchange, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if exchange.status != answer.status {
        let body = String::from_utf8_lossy(&answer.body);
        found.push(format!(
            "status {} != {}: {}",
            answer.status,
            exchange.status,
            body.trim()
        ));
        return found;
    }
    for (name, wanted) in &exchange.headers {
        let have = answer
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name));
        match have {
            None => found.push(format!("missing header {name}")),
            Some((_, value))
                if name != "X-Docker-Container-Path-Stat"
                    && Some(value.as_str()) != wanted.as_str() =>
            {
                found.push(format!("header {name}: {value} != {wanted}"));
            }
            Some(_) => {}
        }
    }
    match &exchange.response {
        Value::String(text) => streams(text, &answer.body, &mut found),
        recorded => match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body) => shapes(recorded, &body, "", &mut found),
            Err(_) => found.push(format!(
                "not JSON: {}",
                String::from_utf8_lossy(&answer.body)
            )),
        },
    }
    found
}

fn streams(recorded: &str, body: &[u8], found: &mut Vec<String>) {
    let here = String::from_utf8_lossy(body);
    if !recorded.trim_start().starts_with('{') {
        let (wanted, have) = (normal(recorded), normal(&here));
        if wanted != have {
            found.push(format!("body {have:?} != {wanted:?}"));
        }
        return;
    }
    // Of a stream of documents, the kinds of documents are compared: how many there are is a matter of time.
    let kinds = |text: &str| -> BTreeSet<String> {
        let keys = |line: &str| {
            let value: Value = serde_json::from_str(line.trim()).ok()?;
            let mut keys: Vec<_> = value.as_object()?.keys().cloned().collect();
            keys.sort();
            Some(keys.join(","))
        };
        text.lines().filter_map(keys).collect()
    };
    let (wanted, have) = (kinds(recorded), kinds(&here));
    for kind in wanted.difference(&have) {
        found.push(format!("missing line {kind}"));
    }
    for kind in have.difference(&wanted) {
        found.push(format!("extra line {kind}"));
    }
}

fn shapes(recorded: &Value, here: &Value, path: &str, found: &mut Vec<String>) {
    match (recorded, here) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(wanted), Value::Object(have)) if is_data(path) => {
            if let (Some(wanted), Some(have)) = (wanted.values().next(), have.values().next()) {
                shapes(wanted, have, &format!("{path}/*"), found);
            }
        }
        (Value::Object(wanted), Value::Object(have)) => {
            for (key, value) in wanted {
                match have.get(key) {
                    Some(other) => shapes(value, other, &format!("{path}/{key}"), found),
                    None => found.push(format!("missing {path}/{key}")),
                }
            }
            for key in have.keys().filter(|key| !wanted.contains_key(*key)) {
                found.push(format!("extra {path}/{key}"));
            }
        }
        (Value::Array(wanted), Value::Array(have)) => {
            if let (Some(wanted), Some(have)) = (wanted.first(), have.first()) {
                shapes(wanted, have, &format!("{path}/0"), found);
            }
        }
        (Value::String(wanted), Value::String(have)) if path == "/message" => {
            let (wanted, have) = (normal(wanted), normal(have));
            if wanted != have {
                found.push(format!("text {have:?} != {wanted:?}"));
            }
        }
        _ if kind(recorded) == kind(here) => {}
        _ => found.push(format!("type {path}: {} != {}", kind(here), kind(recorded))),
    }
}

fn is_data(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let last = parts.next().unwrap_or_default();
    let parent = parts.next().unwrap_or_default();
    DATA.iter().any(|key| match key.split_once('.') {
        Some((above, key)) => key == last && above == parent,
        None => *key == last,
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// A text with ids, times and versions made equal.
fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        let hex = word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match word.len() {
            64 if hex => out.push_str("<id>"),
            12 if hex => out.push_str("<short>"),
            _ => out.push_str(word),
        }
        word.clear();
    };
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            word.push(character);
        } else {
            flush(&mut word, &mut out);
            out.push(character);
        }
    }
    flush(&mut word, &mut out);
    let out = out
        .replace("version is 1.56", "version is 1.51")
        .replace("version is 1.40", "version is 1.24");
    times(&out)
}

/// Makes times of RFC 3339 equal.
fn times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest
        .find("T0")
        .or_else(|| rest.find("T1"))
        .or_else(|| rest.find("T2"))
    {
        let (start, end) = (
            at.saturating_sub(10),
            rest[at..].find('Z').map(|end| at + end),
        );
        let date = rest.get(start..at).is_some_and(|date| {
            date.len() == 10
                && date
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'-')
        });
        match end {
            Some(end) if date => {
                out.push_str(&rest[..start]);
                out.push_str("<time>");
                rest = &rest[end + 1..];
            }
            _ => {
                out.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

#[test]
fn the_comparison_finds_what_differs() {
    let exchange = |response: Value| Exchange {
        name: "x".to_owned(),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        body: None,
        status: 200,
        headers: Map::new(),
        response,
    };
    let answer = |body: Value| Answer {
        status: 200,
        headers: vec![],
        body: body.to_string().into_bytes(),
    };
    use serde_json::json;
    for (recorded, here, differences) in [
        (json!({"a": 1}), json!({"a": 2}), vec![]),
        (
            json!({"a": 1}),
            json!({"b": 2}),
            vec!["missing /a", "extra /b"],
        ),
        (
            json!({"a": [{"b": 1}]}),
            json!({"a": [{"b": "x"}]}),
            vec!["type /a/0/b: string != number"],
        ),
        (json!({"a": null}), json!({"a": {"b": 1}}), vec![]),
        (
            json!({"Labels": {"a": "b"}}),
            json!({"Labels": {"c": "d"}}),
            vec![],
        ),
        (
            json!({"Labels": {"a": "b"}}),
            json!({"Labels": {"c": 1}}),
            vec!["type /Labels/*: number != string"],
        ),
        (
            json!({"message": "no x"}),
            json!({"message": "no y"}),
            vec!["text \"no y\" != \"no x\""],
        ),
    ] {
        assert_eq!(compare(&exchange(recorded), &answer(here)), differences);
    }
    let id = |digit: &str| json!({"message": format!("container {} at 2026-11-21T01:52:00Z", digit.repeat(64))});
    assert!(compare(&exchange(id("a")), &answer(id("b"))).is_empty());
    assert!(matches("missing *", "missing /a") && matches("*", "") && !matches("a*c", "ab"));
}
