//! A container's log: what it is given when the container is made, and what its driver is told when it starts.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use dhow_container::spec::{ContainerConfig, HostConfig, LogConfig};
use dhow_logging::{Error, Origin};
use dhow_terminal::template::{Record, Template, Value};

use crate::container::ContainerRecord;

/// The bounds of `json-file` where nobody has set others: so much in so many files.
const BOUNDS: [(&str, &str); 2] = [("max-size", "20m"), ("max-file", "5")];

/// What a container asks for, with the engine's defaults.
pub(super) fn wished(wish: &LogConfig, default: &LogConfig) -> LogConfig {
    if !wish.driver.is_empty() && wish.driver != default.driver {
        return wish.clone();
    }
    let mut options = default.options.clone();
    options.extend(wish.options.clone());
    LogConfig {
        driver: default.driver.clone(),
        options,
    }
}

/// The log of a container that is made. `bounded`: a `json-file` without a size of its own does not grow forever.
pub(super) fn config(
    folder: &Path,
    id: &str,
    host: &HostConfig,
    bounded: bool,
) -> dhow_logging::LogConfig {
    let driver = host.log.driver.clone();
    let mut options = host.log.options.clone();
    // A wish for compressed files without a size is an error, as in Docker.
    if bounded && driver == "json-file" && !options.contains_key("compress") {
        bound(&mut options);
    }
    dhow_logging::LogConfig {
        path: dhow_logging::file(&driver, folder, id),
        driver,
        options,
        ..dhow_logging::LogConfig::default()
    }
}

fn bound(options: &mut BTreeMap<String, String>) {
    if options.contains_key("max-size") {
        return;
    }
    for (key, value) in BOUNDS {
        options.entry(key.into()).or_insert_with(|| value.into());
    }
}

/// The log of a container that is started: its driver learns whose output it gets.
///
/// # Errors
/// The tag's template or a pattern can't be used; with Docker's texts.
pub(super) fn for_start(record: &ContainerRecord) -> Result<dhow_logging::LogConfig, Error> {
    let mut log = record.log.clone();
    let config = &record.config;
    log.attributes = dhow_logging::attributes(&log.options, &config.labels, &config.env)
        .map_err(|error| Error::Driver(error.to_string()))?;
    let facts = Facts::of(record);
    log.origin = Origin {
        container_id: record.id.clone(),
        container_name: record.name.clone(),
        image_id: record.image.id.to_string(),
        image_name: config.image.clone(),
        command: facts.command(),
        created: record.created.to_string(),
        tag: tag(log.options.get("tag").map_or("", String::as_str), facts)?,
    };
    Ok(log)
}

fn tag(template: &str, facts: Facts) -> Result<String, Error> {
    if template.is_empty() {
        return Ok(String::new());
    }
    let facts = Value::Record(Rc::new(facts));
    Template::parse("log-tag", template)
        .and_then(|template| template.execute(&facts))
        .map_err(|error| Error::Driver(error.to_string()))
}

/// What the template of a tag can name.
struct Facts {
    id: String,
    name: String,
    image_id: String,
    image_name: String,
    path: String,
    args: Vec<String>,
    created: String,
    env: Vec<String>,
    labels: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
    log_path: String,
}

impl Facts {
    fn of(record: &ContainerRecord) -> Self {
        let config: &ContainerConfig = &record.config;
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            image_id: record.image.id.to_string(),
            image_name: config.image.clone(),
            path: record.path.clone(),
            args: record.args.clone(),
            // As Go prints a time.
            created: record
                .created
                .strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC")
                .to_string(),
            env: config.env.clone(),
            labels: config.labels.clone(),
            options: record.host.log.options.clone(),
            log_path: record.log.path.display().to_string(),
        }
    }

    fn command(&self) -> String {
        let mut words = vec![self.path.as_str()];
        words.extend(self.args.iter().map(String::as_str));
        words.join(" ")
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn start_of(text: &str) -> Value {
    Value::Text(text.get(..12).unwrap_or(text).into())
}

fn list(texts: &[String]) -> Value {
    Value::List(texts.iter().map(|item| text(item)).collect())
}

fn map(pairs: &BTreeMap<String, String>) -> Value {
    let pair = |(key, value): (&String, &String)| (key.clone(), text(value));
    Value::Map(Rc::new(pairs.iter().map(pair).collect()))
}

impl Record for Facts {
    fn type_name(&self) -> &str {
        "*logger.Info"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "ID" => start_of(&self.id),
            "FullID" | "ContainerID" => text(&self.id),
            "Name" => text(&self.name),
            "ContainerName" => text(&format!("/{}", self.name)),
            "ImageID" => start_of(&self.image_id),
            "ImageFullID" | "ContainerImageID" => text(&self.image_id),
            "ImageName" | "ContainerImageName" => text(&self.image_name),
            "DaemonName" => text("docker"),
            "Command" => text(&self.command()),
            "ContainerEntrypoint" => text(&self.path),
            "ContainerArgs" => list(&self.args),
            "ContainerCreated" => text(&self.created),
            "ContainerEnv" => list(&self.env),
            "ContainerLabels" => map(&self.labels),
            "Config" => map(&self.options),
            "LogPath" => text(&self.log_path),
            "Hostname" => text(&crate::host::machine::name()),
            _ => return None,
        })
    }

    fn json(&self) -> String {
        serde_json::json!({
            "Config": self.options,
            "ContainerID": self.id,
            "ContainerName": format!("/{}", self.name),
            "ContainerEntrypoint": self.path,
            "ContainerArgs": self.args,
            "ContainerImageID": self.image_id,
            "ContainerImageName": self.image_name,
            "ContainerEnv": self.env,
            "ContainerLabels": self.labels,
            "LogPath": self.log_path,
            "DaemonName": "docker",
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn facts() -> Facts {
        let pairs = |key: &str, value: &str| BTreeMap::from([(key.into(), value.into())]);
        Facts {
            id: "94425ea5f550626290ca56cfdbec6b923ee282764e20f0cd7aa1989050e6ef2a".into(),
            name: "b-l".into(),
            image_id: "sha256:e50e977cbb5e920c".into(),
            image_name: "busybox".into(),
            path: "echo".into(),
            args: vec!["hi".into()],
            created: "2026-11-21 11:35:04.411109486 +0000 UTC".into(),
            env: vec!["X=Y".into()],
            labels: pairs("a", "b"),
            options: pairs("tag", "t"),
            log_path: "/x".into(),
        }
    }

    /// As a real engine evaluated them.
    #[test]
    fn tags_are_dockers() {
        for (template, expected) in [
            ("", ""),
            ("plain", "plain"),
            (
                "{{.ID}}|{{.Name}}|{{.ImageID}}",
                "94425ea5f550|b-l|sha256:e50e9",
            ),
            (
                "{{.ContainerName}} {{.Command}} {{.DaemonName}}",
                "/b-l echo hi docker",
            ),
            (
                "{{.ContainerArgs}} {{.ContainerEnv}} {{.ContainerLabels}} {{.Config}}",
                "[hi] [X=Y] map[a:b] map[tag:t]",
            ),
            (
                "{{upper .Name}} {{.ContainerCreated}}",
                "B-L 2026-11-21 11:35:04.411109486 +0000 UTC",
            ),
        ] {
            assert_eq!(tag(template, facts()).unwrap(), expected);
        }
        for (template, text) in [
            ("{{", "template: log-tag:1: unclosed action"),
            (
                "{{.Foo}}",
                "template: log-tag:1:2: executing \"log-tag\" at <.Foo>: can't evaluate field Foo in type *logger.Info",
            ),
        ] {
            assert_eq!(tag(template, facts()).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn json_files_are_bounded_unless_they_say_otherwise() {
        let options = |pairs: &[(&str, &str)], bounded| {
            let mut host = HostConfig::default();
            host.log.driver = "json-file".into();
            host.log.options = pairs
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect();
            let log = config(Path::new("/c"), "id", &host, bounded);
            assert_eq!(log.path, Path::new("/c/id-json.log"));
            let pair = |(k, v): (&String, &String)| format!("{k}={v}");
            log.options.iter().map(pair).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(options(&[], true), "max-file=5 max-size=20m");
        assert_eq!(
            options(&[("max-file", "2")], true),
            "max-file=2 max-size=20m"
        );
        assert_eq!(options(&[("max-size", "1k")], true), "max-size=1k");
        assert_eq!(options(&[("compress", "true")], true), "compress=true");
        assert_eq!(options(&[], false), "");
    }
}
