//! What a real engine answers to requests that are wrong, odd or just right, asked of this daemon.
//!
//! `fixtures/strictness.jsonl` has a request a line and, for each version it was made at (`*` where all answers are
//! equal), the status, the content type and the error's text. It was recorded with Docker Engine 28.5; where this
//! daemon answers differently on purpose, `fixtures/strictness.json` says why.
//!
//! The engine has a created container `stopped`, a running one `running`, one that keeps the volume `used`, a network
//! `net` and a volume `vol`; what a request makes is removed again.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use dhow_testkit::Engine;
use dhow_testkit::http::{Body, Client, Response};
use serde_json::{Value, json};

const REQUESTS: &str = include_str!("fixtures/strictness.jsonl");
const DIFFERENCES: &str = include_str!("fixtures/strictness.json");
const VERSIONS: [&str; 3] = ["1.24", "1.40", "1.51"];

/// One request, and the answers to it by version.
struct Asked {
    method: String,
    path: String,
    body: Option<String>,
    kind: String,
    answers: Value,
}

impl Asked {
    fn read(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().map(ToOwned::to_owned);
        Self {
            method: text("method").unwrap(),
            path: text("path").unwrap(),
            body: text("body"),
            kind: text("type").unwrap_or_default(),
            answers: line["answers"].clone(),
        }
    }

    fn name(&self) -> String {
        let body = self.body.as_deref().unwrap_or_default();
        format!("{} {} {body}", self.method, self.path)
            .trim()
            .to_owned()
    }

    fn expected(&self, version: &str) -> Value {
        let own = self.answers.get(version);
        own.unwrap_or_else(|| &self.answers["*"]).clone()
    }

    fn ask(&self, client: &mut Client, version: &str) -> Response {
        let body = match &self.body {
            None => Body::Empty,
            Some(body) => Body::Bytes(&self.kind, body.as_bytes()),
        };
        let path = format!("/v{version}{}", self.path);
        client
            .request(&self.method, &path, body)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }
}

/// The status, the content type and the error's text.
fn told(response: &Response) -> Value {
    let kind = response.header("content-type").unwrap_or_default();
    let text = match response.json()["message"].as_str() {
        Some(text) if response.status >= 400 => json!(text),
        _ if response.status >= 400 => json!(response.text()),
        _ => Value::Null,
    };
    json!([response.status, kind, text])
}

/// An answer without what is another one each time: ids.
fn plain(answer: &Value) -> Value {
    let is_id = |word: &str| {
        matches!(word.len(), 12 | 64) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let Some(text) = answer[2].as_str() else {
        return answer.clone();
    };
    let words = text.split_inclusive(|character: char| !character.is_ascii_alphanumeric());
    let replaced: String = words
        .map(|word| {
            let bare = word.trim_end_matches(|character: char| !character.is_ascii_alphanumeric());
            if is_id(bare) {
                word.replace(bare, "ID")
            } else {
                word.to_owned()
            }
        })
        .collect();
    json!([answer[0], answer[1], replaced.trim_end()])
}

/// Removes what a request has made.
fn undo(client: &mut Client, asked: &Asked, response: &Response) {
    if response.status != 201 {
        return;
    }
    let made = response.json();
    let path = match asked.path.split('?').next().unwrap_or_default() {
        "/containers/create" => format!("/containers/{}?v=1", made["Id"].as_str().unwrap()),
        "/networks/create" => format!("/networks/{}", made["Id"].as_str().unwrap()),
        "/volumes/create" if made["Name"] != "vol" => {
            format!("/volumes/{}", made["Name"].as_str().unwrap())
        }
        _ => return,
    };
    assert_eq!(client.delete(&path).unwrap().status, 204, "{path}");
}

fn set_up(engine: &Engine) -> Client {
    engine.import_busybox();
    let mut client = engine.client();
    for (path, body) in [
        (
            "/containers/create?name=stopped",
            json!({"Image": "busybox:latest", "Cmd": ["true"]}),
        ),
        (
            "/containers/create?name=running",
            json!({"Image": "busybox:latest", "Cmd": ["sleep", "100000"]}),
        ),
        (
            "/containers/create?name=holder",
            json!({"Image": "busybox:latest", "HostConfig": {"Binds": ["used:/x"]}}),
        ),
        ("/networks/create", json!({"Name": "net"})),
        ("/volumes/create", json!({"Name": "vol"})),
    ] {
        assert_eq!(
            client.post(path, Some(&body)).unwrap().status,
            201,
            "{path}"
        );
    }
    let started = client.post("/containers/running/start", None).unwrap();
    assert_eq!(started.status, 204, "{}", started.text());
    client
}

/// The differences that are meant: what is asked, and why.
fn known() -> BTreeMap<String, String> {
    let groups: Vec<Value> = serde_json::from_str(DIFFERENCES).unwrap();
    let mut known = BTreeMap::new();
    for group in &groups {
        let reason = group["reason"].as_str().unwrap();
        for request in group["requests"].as_array().unwrap() {
            known.insert(request.as_str().unwrap().to_owned(), reason.to_owned());
        }
    }
    known
}

#[test]
fn requests_are_answered_as_by_a_real_engine() {
    if !dhow_testkit::root_or_skip("the strictness of the API") {
        return;
    }
    let engine = Engine::start();
    let mut client = set_up(&engine);
    let mut known = known();
    let mut different = Vec::new();
    for line in REQUESTS.lines() {
        let asked = Asked::read(line);
        let mut fits = true;
        for version in VERSIONS {
            let response = asked.ask(&mut client, version);
            let (here, there) = (plain(&told(&response)), plain(&asked.expected(version)));
            if here != there {
                fits = false;
                if !known.contains_key(&asked.name()) {
                    different.push(format!(
                        "{} at {version}:\n  {here}\n  {there}",
                        asked.name()
                    ));
                }
            }
            undo(&mut client, &asked, &response);
        }
        if !fits {
            known.remove(&asked.name());
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(known.is_empty(), "no longer different: {known:#?}");
}
