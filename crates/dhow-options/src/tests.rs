#![allow(clippy::unwrap_used, reason = "tests")]
//! What the flags of `create` come to. `tests/create.jsonl` holds, for each command line, what Docker's own client
//! sent (as the difference to what it sends for `create busybox`) or the error it printed.

use std::path::Path;

use serde_json::{Map, Value};

use crate::flags::{self, Flag, Outcome};

/// The flags of `create` that are no part of the body.
const OTHERS: &[Flag] = &[Flag::text("name", ""), Flag::text("platform", "")];

fn request(args: &[String]) -> Result<Value, String> {
    let Outcome::Parsed(parsed) = flags::parse(&[OTHERS, super::table::CONTAINER], false, args)?
    else {
        panic!("asked for help: {args:?}");
    };
    super::container::request(&parsed).map(|request| serde_json::to_value(request).unwrap())
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Without what is empty, however it is written.
fn tidy(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let tidied = fields.iter().map(|(key, value)| (key.clone(), tidy(value)));
            Value::Object(tidied.filter(|(_, value)| !is_blank(value)).collect())
        }
        other => other.clone(),
    }
}

/// The keys of `new` that differ from those of `base`; `null` for one that is gone.
fn difference(base: &Value, new: &Value) -> Value {
    let (base, new) = (base.as_object().unwrap(), new.as_object().unwrap());
    let mut different = Map::new();
    for (key, value) in new {
        match base.get(key) {
            Some(same) if same == value => {}
            Some(before) if key == "HostConfig" => {
                different.insert(key.clone(), difference(before, value));
            }
            _ => {
                different.insert(key.clone(), value.clone());
            }
        }
    }
    for key in base.keys().filter(|key| !new.contains_key(*key)) {
        different.insert(key.clone(), Value::Null);
    }
    Value::Object(different)
}

/// Runs in a folder of its own with the files the command lines name.
struct Folder {
    folder: tempfile::TempDir,
    before: std::path::PathBuf,
}

impl Folder {
    fn enter() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            (
                "good.env",
                "A=1\n# note\n\n  B=two words\nHOME_UNSET_X\nCARGO_PKG_NAME\n",
            ),
            ("bad.env", "bad name=1\n"),
            ("noname.env", "=x\n"),
            ("labels", "l1=v\nl2\n"),
            ("sec.json", "{ \"defaultAction\":  \"SCMP_ACT_ALLOW\" }"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let before = std::env::current_dir().unwrap();
        std::env::set_current_dir(folder.path()).unwrap();
        Self { folder, before }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::env::set_current_dir(&self.before);
    }
}

#[test]
fn flags_come_to_what_docker_sends() {
    let folder = Folder::enter();
    // A variable that is set in every test, in the place of the one the recording used.
    let variable = format!("CARGO_PKG_NAME={}", env!("CARGO_PKG_NAME"));
    let cases = include_str!("tests/create.jsonl")
        .replace("FROMENV=hello", &variable)
        .replace("FROMENV", "CARGO_PKG_NAME")
        .replace(
            "$PWD",
            &folder.path().canonicalize().unwrap().display().to_string(),
        );
    let base = tidy(&request(&["busybox".to_owned()]).unwrap());
    let mut wrong = Vec::new();
    for case in cases.lines() {
        let case: Value = serde_json::from_str(case).unwrap();
        let args: Vec<String> = serde_json::from_value(case["args"].clone()).unwrap();
        let expected = match case["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(tidy(&case["body"])),
        };
        let found = request(&args).map(|body| tidy(&difference(&base, &tidy(&body))));
        if found != expected {
            wrong.push(format!(
                "{args:?}\n  expected {expected:?}\n     found {found:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn comma_separated_values_may_be_quoted() {
    assert_eq!(
        super::csv("a,b=\"c").map(|fields| fields.len()),
        Err(r#"parse error on line 1, column 1: bare " in non-quoted-field"#.into())
    );
    assert_eq!(super::csv("\"a,b\",c").unwrap(), ["a,b", "c"]);
    assert_eq!(super::csv("\"a\"\"b\"").unwrap(), ["a\"b"]);
}
