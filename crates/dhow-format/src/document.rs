//! Documents for `inspect --format`: JSON that behaves like the Go struct it came from.
//!
//! Docker evaluates such a template on its typed struct first and, where that fails, on the bare JSON with missing
//! keys as errors. So fields are found by their Go names too (`.ID` for `Id`), and those that JSON leaves out have
//! their zero values (`.State.Health` is `<nil>`).

use std::rc::Rc;

use dhow_terminal::template::{Record, Value};
use serde_json::Value as Json;

use super::Error;

/// Objects with keys of any name; all others are structs.
const MAPS: [&str; 19] = [
    "Labels",
    "ExposedPorts",
    "Volumes",
    "Networks",
    "Ports",
    "PortBindings",
    "Tmpfs",
    "Sysctls",
    "StorageOpt",
    "Annotations",
    "DriverOpts",
    "Options",
    "Containers",
    "Data",
    "Status",
    "AuxiliaryAddresses",
    "Details",
    "Attributes",
    "Runtimes",
];

/// Fields that are pointers: `null` prints `<nil>`.
const POINTERS: [&str; 14] = [
    "Health",
    "Healthcheck",
    "Init",
    "OomKillDisable",
    "MemorySwappiness",
    "PidsLimit",
    "StopTimeout",
    "IPAMConfig",
    "SizeRw",
    "SizeRootFs",
    "UsageData",
    "ClusterVolume",
    "Descriptor",
    "ImageManifestDescriptor",
];

/// Fields that JSON leaves out when they are zero, by the struct they are in.
const OPTIONAL: &[(&str, &[&str], Zero)] = &[
    ("State", &["Health"], Zero::Pointer),
    (
        "",
        &[
            "SizeRw",
            "SizeRootFs",
            "Descriptor",
            "UsageData",
            "ContainerConfig",
        ],
        Zero::Pointer,
    ),
    (
        "",
        &[
            "Parent",
            "Comment",
            "Author",
            "Variant",
            "OsVersion",
            "DockerVersion",
            "Container",
        ],
        Zero::Text,
    ),
    ("", &["Status", "Containers"], Zero::Map),
    ("Config", &["AuxiliaryAddresses"], Zero::Map),
    ("Config", &["Healthcheck", "StopTimeout"], Zero::Pointer),
    (
        "Config",
        &["StopSignal", "MacAddress", "User", "WorkingDir"],
        Zero::Text,
    ),
    ("Config", &["ArgsEscaped", "NetworkDisabled"], Zero::Bool),
    ("Config", &["ExposedPorts", "Volumes", "Labels"], Zero::Map),
    (
        "Config",
        &["Shell", "OnBuild", "Env", "Cmd", "Entrypoint"],
        Zero::List,
    ),
    ("HostConfig", &["Init"], Zero::Pointer),
    ("HostConfig", &["Mounts"], Zero::List),
    (
        "HostConfig",
        &["Tmpfs", "Sysctls", "StorageOpt", "Annotations"],
        Zero::Map,
    ),
    ("Mounts", &["Name", "Driver"], Zero::Text),
];

#[derive(Clone, Copy)]
enum Zero {
    Pointer,
    Text,
    Bool,
    Map,
    List,
}

impl From<Zero> for Value {
    fn from(zero: Zero) -> Self {
        match zero {
            Zero::Pointer => Self::Nil,
            Zero::Text => "".into(),
            Zero::Bool => Self::Bool(false),
            Zero::Map => Self::Zero("map[]"),
            Zero::List => Self::Zero("[]"),
        }
    }
}

struct Document {
    /// The Go type, for errors.
    type_name: &'static str,
    /// The field it stands in; empty for the whole document.
    name: String,
    json: Json,
}

impl Record for Document {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn field(&self, name: &str) -> Option<Value> {
        if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return None;
        }
        let fields = self.json.as_object()?;
        let found = fields.get_key_value(name).or_else(|| {
            fields
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
        });
        if let Some((key, json)) = found {
            return Some(typed(&self.name, key, json));
        }
        OPTIONAL
            .iter()
            .find(|(parent, names, _)| *parent == self.name && names.contains(&name))
            .map(|(_, _, zero)| (*zero).into())
    }

    fn json(&self) -> String {
        self.json.to_string()
    }

    fn display(&self) -> String {
        let fields = self.json.as_object().into_iter().flatten();
        let fields: Vec<String> = fields
            .map(|(key, json)| typed(&self.name, key, json).to_string())
            .collect();
        let health = if self.name == "State" && self.field("Health").is_some_and(|h| !h.truth()) {
            " <nil>"
        } else {
            ""
        };
        format!("{{{}{health}}}", fields.join(" "))
    }
}

fn typed(parent: &str, name: &str, json: &Json) -> Value {
    match json {
        Json::Null if POINTERS.contains(&name) => Value::Nil,
        Json::Null if is_map(parent, name) => Value::Zero("map[]"),
        Json::Null => Value::Zero("[]"),
        Json::Object(fields) if is_map(parent, name) => Value::Map(Rc::new(
            fields
                .iter()
                .map(|(key, json)| (key.clone(), typed(name, "", json)))
                .collect(),
        )),
        Json::Object(_) => {
            let name = name.to_owned();
            Value::Record(Rc::new(Document {
                type_name: "struct",
                name,
                json: json.clone(),
            }))
        }
        Json::Array(items) => {
            Value::List(items.iter().map(|item| typed(parent, name, item)).collect())
        }
        simple => simple.into(),
    }
}

fn is_map(parent: &str, name: &str) -> bool {
    MAPS.contains(&name) || (parent == "LogConfig" && name == "Config")
}

/// The document as the typed struct Docker would have decoded it into.
pub fn value(json: &Json, type_name: &'static str) -> Value {
    Value::Record(Rc::new(Document {
        type_name,
        name: String::new(),
        json: json.clone(),
    }))
}

/// Keys of an image's `Config`, in the order of Docker's struct, which leaves out what is empty.
const IMAGE_CONFIG: [&str; 14] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
    "Healthcheck",
    "OnBuild",
    "Shell",
    "Memory",
];

/// An image's document with its `Config` as Docker's struct has it.
fn image(json: &Json) -> Json {
    let mut image = json.clone();
    if let Some(config) = image.get_mut("Config").and_then(Json::as_object_mut) {
        let mut tidy = serde_json::Map::new();
        for key in IMAGE_CONFIG {
            let empty = |value: &Json| match value {
                Json::Null | Json::Bool(false) => true,
                Json::String(text) => text.is_empty(),
                Json::Array(items) => items.is_empty(),
                Json::Object(fields) => fields.is_empty(),
                _ => false,
            };
            if let Some(value) = config.get(key).filter(|value| !empty(value)) {
                tidy.insert(key.to_owned(), value.clone());
            }
        }
        *config = tidy;
    }
    image
}

/// What `source` makes of the document of a `kind`.
///
/// # Errors
/// [`Error::Syntax`] where `source` is no template, [`Error::Execution`] where it asks for what is not there.
pub fn format(source: &str, kind: &str, json: &Json) -> Result<String, Error> {
    let template = super::parse(source)?;
    let typed = match kind {
        "image" => value(&image(json), "image.InspectResponse"),
        "volume" => value(json, "volume.Volume"),
        _ => value(json, "struct"),
    };
    match super::execute(&template, &typed) {
        // Docker keeps no bare JSON of volumes.
        Err(_) if kind != "volume" => {
            super::execute(&template.missing_key_is_an_error(), &json.into())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn go_names_json_names_and_zero_values_are_found() {
        let json = json!({
            "Id": "abc",
            "State": {"Status": "running", "Running": true, "Pid": 3},
            "Config": {"Labels": {"a": "b"}, "Env": ["X=1"], "Entrypoint": null, "Volumes": null},
            "HostConfig": {"NanoCpus": 5, "Binds": null, "Init": null},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "1.2.3.4"}}, "Ports": {"80/tcp": null}},
        });
        for (source, expected) in [
            ("{{.ID}} {{.State.Health}}", Ok("abc <nil>")),
            ("{{.Id}}", Ok("abc")),
            ("{{if .State.Health}}x{{else}}none{{end}}", Ok("none")),
            (
                "{{.Config.Labels}} {{.Config.Env}} {{.Config.Entrypoint}} {{.Config.Volumes}}",
                Ok("map[a:b] [X=1] [] map[]"),
            ),
            (
                "{{json .Config.Entrypoint}} {{json .Config.Labels}}",
                Ok("null {\"a\":\"b\"}"),
            ),
            (
                "{{.HostConfig.NanoCPUs}} {{.HostConfig.Binds}} {{.HostConfig.Init}}",
                Ok("5 [] <nil>"),
            ),
            (
                "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
                Ok("1.2.3.4"),
            ),
            (
                "{{range $p, $b := .NetworkSettings.Ports}}{{$p}}{{$b}}{{end}}",
                Ok("80/tcp[]"),
            ),
            (
                "{{index .Config.Labels \"a\"}}{{index .Config.Labels \"x\"}}",
                Ok("b"),
            ),
            (
                "{{.State.Foo}}",
                Err(
                    "template parsing error: template: :1:8: executing \"\" at <.State.Foo>: map has no entry for key \"Foo\"",
                ),
            ),
            (
                "{{.foo",
                Err("template parsing error: template: :1: unclosed action"),
            ),
            ("{{.State}}", Ok("{running true 3 <nil>}")),
        ] {
            let found = format(source, "container", &json).map_err(|error| error.to_string());
            assert_eq!(
                found,
                expected.map(str::to_owned).map_err(str::to_owned),
                "{source}"
            );
        }
    }
}
