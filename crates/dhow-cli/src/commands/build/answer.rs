//! What a build gave: ids, metadata, answers to questions, and why it failed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dhow_dockerfile::{Lines, excerpt};
use dhow_golang::io_text;
use dhow_options::flags::Parsed;
use dhow_session::Failure;
use serde_json::Value;

use super::order::{asked, json};
use crate::error::{Error, Result};
use crate::session::Session;

type Answer = HashMap<String, String>;

/// Shows where in the Dockerfile it went wrong.
pub(super) fn explain(session: &Session, failure: &Failure) {
    let Some(source) = &failure.lines else {
        return;
    };
    for (first, last) in &source.ranges {
        let lines = Lines {
            first: *first,
            last: *last,
        };
        let text = excerpt(&source.file, &source.text, lines);
        session.warn(text.trim_end());
    }
}

/// Prints and writes what was asked for.
pub(super) fn give(session: &Session, flags: &Parsed, answer: &Answer) -> Result<()> {
    let write = |flag: &str, text: String| match flags.text(flag) {
        "" => Ok(()),
        path => std::fs::write(path, text)
            .map_err(|error| super::failed(format!("open {path}: {}", io_text(&error)))),
    };
    let (call, as_json) = asked(flags);
    if !matches!(call.as_str(), "" | "build") {
        return reply(session, &call, as_json, answer);
    }
    let id = image_id(answer);
    write("iidfile", id.to_owned())?;
    write("metadata-file", metadata(answer))?;
    if flags.switch("quiet") || flags.text("progress") == "quiet" {
        session.println(id)?;
    }
    Ok(())
}

/// What the engine knows the image by.
fn image_id(answer: &Answer) -> &str {
    let config = answer.get("containerimage.config.digest");
    let id = config.or_else(|| answer.get("containerimage.digest"));
    id.map_or("", String::as_str)
}

/// The metadata as a document; what is JSON in it is part of it.
fn metadata(answer: &Answer) -> String {
    let mut document = BTreeMap::new();
    for (key, value) in answer {
        let decoded = STANDARD.decode(value).unwrap_or_default();
        let value = match serde_json::from_slice::<Value>(&decoded) {
            Ok(value @ Value::Object(_)) => value,
            _ => Value::String(value.clone()),
        };
        document.insert(key, value);
    }
    // Texts and documents can always be written.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// The answer to a question; a check that finds something fails.
fn reply(session: &Session, call: &str, as_json: bool, answer: &Answer) -> Result<()> {
    let text = |key: &str| answer.get(key).map_or("", String::as_str);
    if !answer.contains_key("result.json") {
        // BuildKit itself answers front ends on this side only.
        let text = format!("this engine does not answer to --call={call}");
        return Err(super::failed(text));
    }
    if as_json {
        session.println(text("result.json").trim_end())?;
    } else {
        if call == "check" {
            let found = json(text("result.json"))["warnings"]
                .as_array()
                .map_or(0, Vec::len);
            session.println(&match found {
                0 => "Check complete, no warnings found.".to_owned(),
                1 => "Check complete, 1 warning has been found!".to_owned(),
                many => format!("Check complete, {many} warnings have been found!"),
            })?;
        }
        session.print(text("result.txt"))?;
    }
    match text("result.statuscode") {
        "" | "0" => Ok(()),
        _ => Err(Error::exit(1)),
    }
}

/// Whether a path can be written to at all is found out before anything is built.
pub(super) fn check_place(path: &str) -> Result<(), String> {
    let parent = Path::new(path).parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    match parent.is_none_or(Path::is_dir) {
        true => Ok(()),
        false => Err(format!("open {path}: no such file or directory")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_documents_as_such() {
        let descriptor = STANDARD.encode(r#"{"size":5}"#);
        let answer = Answer::from([
            ("containerimage.digest".to_owned(), "sha256:ab".to_owned()),
            ("containerimage.descriptor".to_owned(), descriptor),
        ]);
        let document = json(&metadata(&answer));
        assert_eq!(document["containerimage.descriptor"]["size"], 5);
        assert_eq!(document["containerimage.digest"], "sha256:ab");
        assert_eq!(image_id(&answer), "sha256:ab");
    }
}
