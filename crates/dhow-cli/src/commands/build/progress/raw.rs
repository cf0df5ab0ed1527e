//! Progress as JSON, a message a line, in the form of BuildKit's `rawjson`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dhow_session::Timestamp;
use dhow_session::messages::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning};
use serde_json::{Map, Value, json};

/// A message as a line; nothing if there is nothing in it.
pub(super) fn lines(status: &StatusResponse) -> String {
    let mut message = Map::new();
    let mut add = |key: &str, values: Vec<Value>| {
        if !values.is_empty() {
            message.insert(key.to_owned(), Value::Array(values));
        }
    };
    add("vertexes", status.vertexes.iter().map(vertex).collect());
    add("statuses", status.statuses.iter().map(task).collect());
    add("logs", status.logs.iter().map(log).collect());
    add("warnings", status.warnings.iter().map(warning).collect());
    match message.is_empty() {
        true => String::new(),
        false => format!("{}\n", Value::Object(message)),
    }
}

/// An object without what is empty.
fn object(fields: Vec<(&str, Value)>) -> Value {
    let told = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        _ => true,
    };
    let fields = fields.into_iter().filter(|(_, value)| told(value));
    Value::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn time(time: Option<&Timestamp>) -> Value {
    let stamp = time.and_then(|t| jiff::Timestamp::new(t.seconds, t.nanos).ok());
    stamp.map_or(Value::Null, |stamp| json!(stamp.to_string()))
}

fn vertex(vertex: &Vertex) -> Value {
    object(vec![
        ("digest", json!(vertex.digest)),
        ("inputs", json!(vertex.inputs)),
        ("name", json!(vertex.name)),
        ("started", time(vertex.started.as_ref())),
        ("completed", time(vertex.completed.as_ref())),
        ("cached", json!(vertex.cached)),
        ("error", json!(vertex.error)),
    ])
}

fn task(task: &VertexStatus) -> Value {
    let total = match task.total {
        0 => Value::Null,
        total => json!(total),
    };
    object(vec![
        ("id", json!(task.id)),
        ("vertex", json!(task.vertex)),
        ("name", json!(task.name)),
        ("total", total),
        ("current", json!(task.current)),
        ("timestamp", time(task.timestamp.as_ref())),
        ("started", time(task.started.as_ref())),
        ("completed", time(task.completed.as_ref())),
    ])
}

fn log(log: &VertexLog) -> Value {
    object(vec![
        ("vertex", json!(log.vertex)),
        ("stream", json!(log.stream)),
        ("data", json!(STANDARD.encode(&log.msg))),
        ("timestamp", time(log.timestamp.as_ref())),
    ])
}

fn warning(warning: &VertexWarning) -> Value {
    let encoded = |bytes: &Vec<u8>| json!(STANDARD.encode(bytes));
    let source = warning.info.as_ref().map(|info| {
        json!({
            "filename": info.filename,
            "data": STANDARD.encode(&info.data),
            "language": info.language,
        })
    });
    let at = |line: i32| json!({ "line": line });
    let ranges = warning.ranges.iter().map(|range| {
        json!({
            "start": range.start.as_ref().map(|position| at(position.line)),
            "end": range.end.as_ref().map(|position| at(position.line)),
        })
    });
    object(vec![
        ("vertex", json!(warning.vertex)),
        ("level", json!(warning.level)),
        ("short", encoded(&warning.short)),
        (
            "detail",
            Value::Array(warning.detail.iter().map(encoded).collect()),
        ),
        ("url", json!(warning.url)),
        ("sourceInfo", source.unwrap_or_default()),
        ("range", Value::Array(ranges.collect())),
    ])
}
