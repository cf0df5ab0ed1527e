//! The data templates work on.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::Error;

/// A method that templates can call: `{{.Label "name"}}`.
pub type Function = Rc<dyn Fn(&[Value]) -> Result<Value, Error>>;

/// A Go value, as templates see it.
#[derive(Clone, Default)]
pub enum Value {
    /// No value: a key that a map does not have. Prints `<no value>`.
    #[default]
    Absent,
    /// JSON's `null` in untyped data. Prints `<no value>`.
    Null,
    /// A nil pointer in typed data. Prints `<nil>`.
    Nil,
    /// A nil slice or map in typed data, and how it prints: `[]` or `map[]`.
    Zero(&'static str),
    /// A boolean.
    Bool(bool),
    /// Any integer.
    Int(i128),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Text(Rc<str>),
    /// A slice.
    List(Rc<[Value]>),
    /// A map, in the order of its keys, as Go prints and ranges over it.
    Map(Rc<BTreeMap<String, Value>>),
    /// A Go struct with methods.
    Record(Rc<dyn Record>),
    /// A method; called where it is named.
    Function(Function),
}

/// Something with named fields, like a Go struct: an unknown name is an error.
pub trait Record {
    /// The Go type's name for error texts, such as `*formatter.ContainerContext`.
    fn type_name(&self) -> &str;
    /// The field or method called `name`.
    fn field(&self, name: &str) -> Option<Value>;
    /// The record as JSON text.
    fn json(&self) -> String;
    /// The record as Go's `%v` prints it.
    fn display(&self) -> String {
        self.json()
    }
}

impl Value {
    /// Whether `if` takes the value for true: neither zero nor empty nor nil.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Self::Absent | Self::Null | Self::Nil | Self::Zero(_) => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            Self::Record(_) | Self::Function(_) => true,
        }
    }

    /// The name of the Go type for error texts.
    #[must_use]
    pub fn type_name(&self) -> String {
        match self {
            Self::Absent | Self::Null | Self::Nil => "interface {}",
            Self::Zero("[]") => "[]interface {}",
            Self::Zero(_) => "map[string]interface {}",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Record(record) => record.type_name(),
            Self::Function(_) => "func",
        }
        .to_owned()
    }
}

impl fmt::Display for Value {
    /// Prints as Go's `fmt.Print` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent | Self::Null | Self::Nil => f.write_str("<nil>"),
            Self::Zero(text) => f.write_str(text),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&float_text(*value)),
            Self::Text(text) => f.write_str(text),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    write!(f, "{space}{item}")?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("map[")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    write!(f, "{space}{key}:{value}")?;
                }
                f.write_str("]")
            }
            Self::Record(record) => f.write_str(&record.display()),
            Self::Function(_) => f.write_str("func"),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Go's shortest form of a number: an exponent below 1e-4 and from 1e21 on.
fn float_text(value: f64) -> String {
    let scientific = format!("{value:e}");
    let exponent: i32 = scientific
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    if value != 0.0 && !(-4..21).contains(&exponent) {
        let mantissa = scientific.split('e').next().unwrap_or_default();
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

/// The value as JSON, keys of maps in order, as Go's encoder writes it without escaping HTML.
#[must_use]
pub fn json_text(value: &Value) -> String {
    match value {
        Value::Absent | Value::Null | Value::Nil | Value::Zero(_) | Value::Function(_) => {
            "null".to_owned()
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => value.to_string(),
        Value::Text(text) => serde_json::Value::from(&**text).to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(json_text).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| {
                    format!(
                        "{}:{}",
                        serde_json::Value::from(key.as_str()),
                        json_text(value)
                    )
                })
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Record(record) => record.json(),
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value.into()),
                (_, Some(value)) => Self::Int(value.into()),
                _ => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(text.as_str().into()),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(entries) => Self::Map(Rc::new(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.into()))
                    .collect(),
            )),
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        (&value).into()
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(items.into())
    }
}
