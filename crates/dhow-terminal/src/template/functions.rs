//! Go's built-in functions and Docker's.

use std::cmp::Ordering;

use super::printf;
use super::value::{Value, json_text};

/// Why a call failed.
pub(crate) enum Failure {
    /// The arguments do not fit: Go blames the function's name.
    Arguments(String),
    /// One argument does not fit: Go blames it.
    Argument(usize, String),
    /// The function itself failed: Go blames the whole command.
    Call(String),
}

impl Failure {
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Arguments(message) | Self::Argument(_, message) | Self::Call(message) => message,
        }
    }
}

type Outcome = Result<Value, Failure>;

/// Name, least and most arguments, the function.
type Entry = (&'static str, usize, usize, fn(&[Value]) -> Outcome);

const ANY: usize = usize::MAX;

const FUNCTIONS: &[Entry] = &[
    ("and", 1, ANY, |args| Ok(args[0].clone())),
    ("or", 1, ANY, |args| Ok(args[0].clone())),
    ("not", 1, 1, |args| Ok(Value::Bool(!args[0].truth()))),
    ("len", 1, 1, length),
    ("index", 1, ANY, index),
    ("slice", 1, 4, slice),
    ("print", 0, ANY, |args| Ok(print(args).into())),
    ("println", 0, ANY, |args| Ok(println(args).into())),
    ("printf", 1, ANY, |args| {
        Ok(printf::format(&args[0].to_string(), &args[1..]).into())
    }),
    ("html", 0, ANY, |args| Ok(escape_html(&print(args)).into())),
    ("js", 0, ANY, |args| {
        Ok(serde_json::Value::from(print(args))
            .to_string()
            .trim_matches('"')
            .into())
    }),
    ("urlquery", 0, ANY, |args| {
        Ok(escape_query(&print(args)).into())
    }),
    ("eq", 1, ANY, equal),
    ("ne", 2, 2, |args| {
        Ok(Value::Bool(!same(&args[0], &args[1])?))
    }),
    ("lt", 2, 2, |args| ordered(args, |o| o == Ordering::Less)),
    ("le", 2, 2, |args| ordered(args, |o| o != Ordering::Greater)),
    ("gt", 2, 2, |args| ordered(args, |o| o == Ordering::Greater)),
    ("ge", 2, 2, |args| ordered(args, |o| o != Ordering::Less)),
    ("json", 1, 1, |args| Ok(json_text(&args[0]).into())),
    ("split", 2, 2, split),
    ("join", 2, 2, join),
    ("title", 1, 1, |args| Ok(title(&text(args, 0)?).into())),
    ("lower", 1, 1, |args| {
        Ok(text(args, 0)?.to_lowercase().into())
    }),
    ("upper", 1, 1, |args| {
        Ok(text(args, 0)?.to_uppercase().into())
    }),
    ("pad", 3, 3, pad),
    ("truncate", 2, 2, truncate),
];

pub(crate) fn exists(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

/// Calls `name`; for a table's `header`, the functions that change a text leave it as it is.
pub(crate) fn call(name: &str, args: &[Value], header: bool) -> Outcome {
    if header
        && matches!(
            name,
            "json" | "title" | "lower" | "upper" | "truncate" | "join"
        )
    {
        return Ok(args.first().cloned().unwrap_or_default());
    }
    let Some((_, least, most, function)) = FUNCTIONS.iter().find(|(known, ..)| *known == name)
    else {
        return Err(Failure::Arguments(format!(
            "{name:?} is not a defined function"
        )));
    };
    if args.len() < *least || args.len() > *most {
        let least_text = if most == least {
            String::new()
        } else {
            "at least ".to_owned()
        };
        return Err(Failure::Arguments(format!(
            "wrong number of args for {name}: want {least_text}{least} got {}",
            args.len()
        )));
    }
    function(args)
}

fn text(args: &[Value], at: usize) -> Result<String, Failure> {
    match &args[at] {
        Value::Text(text) => Ok(text.to_string()),
        Value::Absent | Value::Null | Value::Nil => Err(Failure::Argument(
            at,
            "invalid value; expected string".to_owned(),
        )),
        other => {
            let name = other.type_name();
            Err(Failure::Argument(
                at,
                format!("wrong type for value; expected string; got {name}"),
            ))
        }
    }
}

fn whole(value: &Value) -> Result<i128, Failure> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::Null | Value::Nil | Value::Absent => Err(Failure::Call(
            "cannot index slice/array with nil".to_owned(),
        )),
        other => Err(Failure::Call(format!(
            "cannot index slice/array with type {}",
            other.type_name()
        ))),
    }
}

fn length(args: &[Value]) -> Outcome {
    let length = match &args[0] {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        Value::Zero(_) => 0,
        Value::Absent | Value::Null | Value::Nil => {
            return Err(Failure::Call("len of nil pointer".to_owned()));
        }
        other => return Err(Failure::Call(format!("len of type {}", other.type_name()))),
    };
    Ok(Value::Int(i128::try_from(length).unwrap_or(i128::MAX)))
}

fn index(args: &[Value]) -> Outcome {
    let mut value = args[0].clone();
    for key in &args[1..] {
        value = match &value {
            Value::Map(entries) => match key {
                Value::Text(key) => entries
                    .get(&**key)
                    .cloned()
                    .unwrap_or_else(|| absent(entries)),
                other => {
                    let message = format!("value has type {}; should be string", other.type_name());
                    return Err(Failure::Call(message));
                }
            },
            Value::List(items) => {
                let wanted = whole(key)?;
                usize::try_from(wanted)
                    .ok()
                    .and_then(|at| items.get(at))
                    .cloned()
                    .ok_or_else(|| out_of_range(wanted))?
            }
            Value::Text(text) => {
                let wanted = whole(key)?;
                let byte = usize::try_from(wanted)
                    .ok()
                    .and_then(|at| text.as_bytes().get(at));
                let beyond = || Failure::Call("reflect: string index out of range".to_owned());
                Value::Int(i128::from(*byte.ok_or_else(beyond)?))
            }
            Value::Record(record) => match key {
                Value::Text(name) => record.field(name).unwrap_or_default(),
                _ => {
                    return Err(Failure::Call(format!(
                        "can't index item of type {}",
                        record.type_name()
                    )));
                }
            },
            Value::Zero("map[]") => Value::Absent,
            Value::Zero(_) => return Err(out_of_range(whole(key)?)),
            Value::Absent | Value::Null | Value::Nil => {
                return Err(Failure::Call("index of untyped nil".to_owned()));
            }
            other => {
                return Err(Failure::Call(format!(
                    "can't index item of type {}",
                    other.type_name()
                )));
            }
        };
    }
    Ok(value)
}

/// What indexing a map by a key it lacks gives: the zero value of what it holds, as far as that shows.
fn absent(entries: &std::collections::BTreeMap<String, Value>) -> Value {
    let texts = !entries.is_empty()
        && entries
            .values()
            .all(|value| matches!(value, Value::Text(_)));
    if texts { "".into() } else { Value::Absent }
}

fn out_of_range(index: i128) -> Failure {
    Failure::Call(format!("index out of range: {index}"))
}

fn slice(args: &[Value]) -> Outcome {
    let length = match &args[0] {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        other => {
            return Err(Failure::Call(format!(
                "can't slice item of type {}",
                other.type_name()
            )));
        }
    };
    let bound = |at: usize, default: usize| match args.get(at) {
        None => Ok(default),
        Some(value) => {
            let wanted = whole(value)?;
            usize::try_from(wanted)
                .ok()
                .filter(|&w| w <= length)
                .ok_or_else(|| out_of_range(wanted))
        }
    };
    let (from, to) = (bound(1, 0)?, bound(2, length)?);
    if from > to {
        return Err(Failure::Call(format!("invalid slice index: {from} > {to}")));
    }
    match &args[0] {
        Value::List(items) => Ok(items[from..to].to_vec().into()),
        Value::Text(text) => Ok(String::from_utf8_lossy(&text.as_bytes()[from..to])
            .into_owned()
            .into()),
        _ => Ok(Value::Absent),
    }
}

/// Go's `Sprint`: a space between operands where neither is a string.
fn print(args: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in args.iter().enumerate() {
        let texts = matches!(value, Value::Text(_))
            || at
                .checked_sub(1)
                .is_some_and(|before| matches!(args[before], Value::Text(_)));
        if at > 0 && !texts {
            out.push(' ');
        }
        out.push_str(&value.to_string());
    }
    out
}

fn println(args: &[Value]) -> String {
    let texts: Vec<String> = args.iter().map(ToString::to_string).collect();
    texts.join(" ") + "\n"
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
}

fn escape_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn equal(args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return Err(Failure::Call("missing argument for comparison".to_owned()));
    }
    for other in &args[1..] {
        if same(&args[0], other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn same(left: &Value, right: &Value) -> Result<bool, Failure> {
    use Value::{Absent, Bool, Float, Int, List, Map, Nil, Null, Record, Text, Zero};
    let nil = |value: &Value| matches!(value, Absent | Null | Nil | Zero(_));
    match (left, right) {
        (Bool(a), Bool(b)) => Ok(a == b),
        (Int(a), Int(b)) => Ok(a == b),
        #[allow(clippy::float_cmp, reason = "Go compares exactly")]
        (Float(a), Float(b)) => Ok(a == b),
        (Text(a), Text(b)) => Ok(a == b),
        (a, b) if nil(a) || nil(b) => Ok(nil(a) && nil(b)),
        (a @ (List(_) | Map(_) | Record(_)), _) => Err(Failure::Call(format!(
            "non-comparable type {a}: {}",
            a.type_name()
        ))),
        _ => Err(Failure::Call(
            "incompatible types for comparison".to_owned(),
        )),
    }
}

fn ordered(args: &[Value], holds: fn(Ordering) -> bool) -> Outcome {
    use Value::{Float, Int, Text};
    let order = match (&args[0], &args[1]) {
        (Int(a), Int(b)) => Some(a.cmp(b)),
        (Float(a), Float(b)) => a.partial_cmp(b),
        (Text(a), Text(b)) => Some(a.cmp(b)),
        (Int(_) | Float(_) | Text(_), Int(_) | Float(_) | Text(_)) => {
            return Err(Failure::Call(
                "incompatible types for comparison".to_owned(),
            ));
        }
        _ => return Err(Failure::Call("invalid type for comparison".to_owned())),
    };
    Ok(Value::Bool(order.is_some_and(holds)))
}

fn split(args: &[Value]) -> Outcome {
    let (source, separator) = (text(args, 0)?, text(args, 1)?);
    let parts: Vec<Value> = if separator.is_empty() {
        source.chars().map(|c| c.to_string().into()).collect()
    } else {
        source.split(separator.as_str()).map(Value::from).collect()
    };
    Ok(parts.into())
}

fn join(args: &[Value]) -> Outcome {
    let separator = text(args, 1)?;
    let parts: Vec<String> = match &args[0] {
        Value::List(items) => items.iter().map(ToString::to_string).collect(),
        Value::Map(entries) => entries.values().map(ToString::to_string).collect(),
        Value::Null | Value::Nil | Value::Absent | Value::Zero(_) => Vec::new(),
        other => {
            let message = format!("expected slice, got {}", other.type_name());
            return Err(Failure::Call(message));
        }
    };
    Ok(parts.join(&separator).into())
}

fn title(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || c == '_';
    }
    out
}

fn pad(args: &[Value]) -> Outcome {
    let source = text(args, 0)?;
    if source.is_empty() {
        return Ok(source.into());
    }
    let spaces = |at: usize| whole(&args[at]).map(|n| " ".repeat(usize::try_from(n).unwrap_or(0)));
    Ok(format!("{}{source}{}", spaces(1)?, spaces(2)?).into())
}

fn truncate(args: &[Value]) -> Outcome {
    let source = text(args, 0)?;
    let length = usize::try_from(whole(&args[1])?).unwrap_or(0);
    Ok(source.chars().take(length).collect::<String>().into())
}
