//! The Go types that Docker decodes request bodies into, and the check of a document against them.
//!
//! It gives the texts that Docker's clients know (`json: cannot unmarshal string into Go struct field …`), reads keys in
//! any case as Go does, and takes `null` for the zero value wherever it stands, so that what comes out of it can be
//! decoded strictly. Unknown keys are ignored, as by Docker.

mod container;
mod network;
mod other;

use std::fmt::Write;

use dhow_api::auth::AuthConfig;
use dhow_api::container::{Config, CreateRequest, UpdateRequest};
use dhow_api::exec::{ExecCreateRequest, ExecStartRequest};
use dhow_api::network::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use dhow_api::volume::VolumeCreateRequest;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A Go type, with its name where an error would say it.
#[derive(Debug)]
pub(super) enum Go {
    /// A kind of string.
    Text(&'static str),
    /// A kind of integer, with its least and greatest value.
    Number(&'static str, i64, u64),
    /// `bool`.
    Bool,
    /// A slice.
    List(&'static str, &'static Go),
    /// Two numbers; more are ignored, missing ones are 0.
    Pair(&'static Go),
    /// A map with keys of strings.
    Map(&'static str, &'static Go),
    /// A struct with its fields.
    Struct(&'static str, &'static [Fields]),
    /// A list of strings, or one.
    Words,
    /// Not looked at.
    Any,
}

/// Fields of a struct, by the names that JSON has for them.
pub(super) type Fields = &'static [(&'static str, Go)];

/// A type that requests are decoded into, with Docker's type of the same.
pub(crate) trait Body: DeserializeOwned + Default {
    /// The Go type.
    #[allow(private_interfaces, reason = "the types are this module's own affair")]
    const GO: &'static Go;
    /// The name that errors begin a path with.
    const ROOT: &'static str;
}

macro_rules! bodies {
    ($($body:ty: $go:expr, $root:literal;)+) => {$(
        impl Body for $body {
            #[allow(private_interfaces, reason = "the types are this module's own affair")]
            const GO: &'static Go = &$go;
            const ROOT: &'static str = $root;
        }
    )+};
}

bodies! {
    CreateRequest: container::CREATE, "";
    Config: container::COMMIT, "";
    UpdateRequest: container::UPDATE, "UpdateConfig";
    ExecCreateRequest: other::EXEC, "ExecOptions";
    ExecStartRequest: other::EXEC_START, "ExecStartOptions";
    NetworkCreateRequest: network::CREATE, "CreateRequest";
    NetworkConnectRequest: network::CONNECT, "ConnectOptions";
    NetworkDisconnectRequest: network::DISCONNECT, "DisconnectOptions";
    VolumeCreateRequest: other::VOLUME, "CreateOptions";
    AuthConfig: other::AUTH, "";
}

/// Checks a document against the type of `T` and makes it one that can be decoded: keys in their own case, no `null`.
///
/// # Errors
/// Go's text for the first value of a wrong type.
pub(super) fn check<T: Body>(document: Value) -> Result<Value, String> {
    if document.is_null() {
        return Ok(json!({}));
    }
    let mut place = Place {
        root: T::ROOT,
        path: Vec::new(),
    };
    T::GO.take(document, &mut place)
}

/// Where in the document the check is.
struct Place {
    root: &'static str,
    path: Vec<Step>,
}

enum Step {
    Field(&'static str),
    Key(String),
    Index(usize),
}

impl Place {
    fn within<T>(&mut self, step: Step, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let result = inner(self);
        self.path.pop();
        result
    }

    fn refuse<T>(&self, found: &str, wanted: &str) -> Result<T, String> {
        if self.path.is_empty() {
            return Err(format!(
                "json: cannot unmarshal {found} into Go value of type {wanted}"
            ));
        }
        let mut path = self.root.to_owned();
        for step in &self.path {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Field(name) => write!(path, ".{name}"),
                Step::Key(key) => write!(path, ".{}", key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => write!(path, ".{index}"),
            };
        }
        let kind = match self.path.last() {
            Some(Step::Index(_)) => "",
            _ => "Go struct field ",
        };
        Err(format!(
            "json: cannot unmarshal {found} into {kind}{path} of type {wanted}"
        ))
    }
}

/// Go's word for a JSON value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Go {
    /// What the type is called in errors.
    fn name(&self) -> &'static str {
        match self {
            Self::Text(name)
            | Self::Number(name, ..)
            | Self::List(name, _)
            | Self::Map(name, _)
            | Self::Struct(name, _) => name,
            Self::Bool => "bool",
            Self::Pair(_) => "[2]uint",
            Self::Words => "string",
            Self::Any => "any",
        }
    }

    /// The zero value, where a list or a map has `null`.
    fn zero(&self) -> Value {
        match self {
            Self::Text(_) => json!(""),
            Self::Number(..) => json!(0),
            Self::Bool => json!(false),
            Self::List(..) | Self::Words => json!([]),
            Self::Pair(_) => json!([0, 0]),
            Self::Map(..) | Self::Struct(..) => json!({}),
            Self::Any => Value::Null,
        }
    }

    fn take(&self, value: Value, place: &mut Place) -> Result<Value, String> {
        match (self, value) {
            (Self::Any, value) => Ok(value),
            (Self::Text(_), Value::String(text)) => Ok(Value::String(text)),
            (Self::Bool, Value::Bool(flag)) => Ok(Value::Bool(flag)),
            (Self::Number(name, least, most), Value::Number(number)) => {
                let signed = number.as_i64().is_some_and(|number| {
                    number >= *least && u64::try_from(number).unwrap_or(0) <= *most
                });
                if signed || number.as_u64().is_some_and(|number| number <= *most) {
                    return Ok(Value::Number(number));
                }
                place.refuse(&format!("number {number}"), name)
            }
            (Self::Words, value) => words(value),
            (Self::List(_, item), Value::Array(list)) => items(item, list, place),
            (Self::Pair(item), Value::Array(mut list)) => {
                list.truncate(2);
                list.resize(2, json!(0));
                items(item, list, place)
            }
            (Self::Map(_, item), Value::Object(map)) => {
                let mut taken = Map::new();
                for (key, value) in map {
                    let step = Step::Key(key.clone());
                    let value = place.within(step, |place| item.or_zero(value, place))?;
                    taken.insert(key, value);
                }
                Ok(Value::Object(taken))
            }
            (Self::Struct(_, fields), Value::Object(map)) => structure(fields, map, place),
            (_, value) => place.refuse(kind(&value), self.name()),
        }
    }

    fn or_zero(&self, value: Value, place: &mut Place) -> Result<Value, String> {
        if value.is_null() {
            Ok(self.zero())
        } else {
            self.take(value, place)
        }
    }
}

fn items(item: &Go, list: Vec<Value>, place: &mut Place) -> Result<Value, String> {
    let mut taken = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        taken.push(place.within(Step::Index(index), |place| item.or_zero(value, place))?);
    }
    Ok(Value::Array(taken))
}

fn structure(
    fields: &[Fields],
    map: Map<String, Value>,
    place: &mut Place,
) -> Result<Value, String> {
    let mut taken = Map::new();
    for (key, value) in map {
        let all = || fields.iter().flat_map(|part| part.iter());
        let field = all()
            .find(|(name, _)| *name == key)
            .or_else(|| all().find(|(name, _)| name.eq_ignore_ascii_case(&key)));
        let Some((name, go)) = field else {
            continue;
        };
        if value.is_null() {
            continue;
        }
        let value = place.within(Step::Field(name), |place| go.take(value, place))?;
        taken.insert((*name).to_owned(), value);
    }
    Ok(Value::Object(taken))
}

/// Docker's own decoder for commands: its errors know no path.
fn words(value: Value) -> Result<Value, String> {
    let fine = match &value {
        Value::String(_) => true,
        Value::Array(list) => list.iter().all(|word| word.is_string() || word.is_null()),
        _ => false,
    };
    if fine {
        return Ok(match value {
            Value::Array(list) => list
                .into_iter()
                .map(|word| Value::String(word.as_str().unwrap_or_default().to_owned()))
                .collect(),
            word => json!([word]),
        });
    }
    Err(format!(
        "json: cannot unmarshal {} into Go value of type string",
        kind(&value)
    ))
}

#[cfg(test)]
mod tests;
