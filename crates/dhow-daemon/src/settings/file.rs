//! `daemon.json`: Docker's keys, and dockerd's complaints about it.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::Error;
use super::table::by_key;

/// Reads the file; one that need not be there and isn't is empty.
pub(super) fn read(path: &Path, required: bool) -> Result<Map<String, Value>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Ok(Map::new()),
        Err(source) => {
            return Err(Error::File {
                path: path.to_owned(),
                source,
            });
        }
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    serde_json::from_str(text).map_err(|error| complaint(path, error.to_string()))
}

fn complaint(path: &Path, text: String) -> Error {
    Error::Configuration {
        path: path.to_owned(),
        text,
    }
}

/// Puts the file and the flags together.
///
/// A key nobody knows, and one that is given twice, is refused as dockerd does. Runtimes may be in both.
pub(super) fn merge(
    path: &Path,
    mut file: Map<String, Value>,
    flags: &Map<String, Value>,
) -> Result<Map<String, Value>, Error> {
    let mut unknown: Vec<&str> = file
        .keys()
        .map(String::as_str)
        .filter(|key| by_key(key).is_none())
        .collect();
    unknown.sort_unstable();
    if !unknown.is_empty() {
        return Err(complaint(
            path,
            format!(
                "the following directives don't match any configuration option: {}",
                unknown.join(", ")
            ),
        ));
    }
    let mut twice: Vec<String> = flags
        .iter()
        .filter(|(key, _)| *key != "runtimes")
        .filter_map(|(key, flag)| {
            let file = file.get(key)?;
            let (flag, file) = (shown(flag), shown(file));
            Some(format!("{key}: (from flag: {flag}, from file: {file})"))
        })
        .collect();
    twice.sort_unstable();
    if !twice.is_empty() {
        return Err(complaint(
            path,
            format!(
                "the following directives are specified both as a flag and in the configuration file: {}",
                twice.join(", ")
            ),
        ));
    }
    for (key, value) in flags {
        match (file.get_mut(key), value) {
            (Some(Value::Object(have)), Value::Object(more)) => have.extend(more.clone()),
            _ => {
                file.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(file)
}

/// A value as Go's `%v` prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(shown).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let items: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", shown(value)))
                .collect();
            format!("map[{}]", items.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn merged(file: Value, flags: Value) -> Result<Map<String, Value>, String> {
        let path = Path::new("/etc/dhow/daemon.json");
        merge(path, object(file), &object(flags)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_is_refused_as_dockerd_refuses_it() {
        let start = "unable to configure the Docker daemon with file /etc/dhow/daemon.json: ";
        for (file, flags, text) in [
            (
                json!({"nosuch": 1, "debug": true, "also": 2}),
                json!({}),
                "the following directives don't match any configuration option: also, nosuch",
            ),
            (
                json!({"debug": false}),
                json!({"debug": true}),
                "the following directives are specified both as a flag and in the configuration file: debug: (from flag: \
                 true, from file: false)",
            ),
            (
                json!({"hosts": ["unix:///a"], "mtu": 3}),
                json!({"hosts": ["fd://", "tcp://x"], "mtu": 4}),
                "the following directives are specified both as a flag and in the configuration file: hosts: (from flag: \
                 [fd:// tcp://x], from file: [unix:///a]), mtu: (from flag: 4, from file: 3)",
            ),
        ] {
            assert_eq!(merged(file, flags).unwrap_err(), format!("{start}{text}"));
        }
    }

    #[test]
    fn flags_and_file_add_up() {
        let both = merged(
            json!({"debug": true, "runtimes": {"a": {"path": "/a"}}}),
            json!({"mtu": 1400, "runtimes": {"b": {"path": "/b"}}}),
        );
        assert_eq!(
            both.unwrap(),
            object(
                json!({"debug": true, "mtu": 1400, "runtimes": {"a": {"path": "/a"}, "b": {"path": "/b"}}})
            )
        );
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.json");
        assert!(read(&path, false).unwrap().is_empty());
        assert!(read(&path, true).is_err());
        std::fs::write(&path, "{bad").unwrap();
        assert!(read(&path, false).is_err());
        std::fs::write(&path, " \n").unwrap();
        assert!(read(&path, true).unwrap().is_empty());
    }
}
