//! `--filter key=value`.

use serde_json::{Map, Value, json};

/// Filters in the form of the API: for each key, the set of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters(Map<String, Value>);

impl Filters {
    pub(crate) fn new(values: &[String]) -> Self {
        let mut filters = Self::default();
        for value in values {
            if let Some((key, value)) = value.split_once('=') {
                filters.add(&key.trim().to_lowercase(), value.trim());
            }
        }
        filters
    }

    pub(crate) fn add(&mut self, key: &str, value: &str) {
        self.0.entry(key).or_insert_with(|| json!({}))[value] = Value::Bool(true);
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn to_json(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| Value::Object(self.0.clone()).to_string())
    }
}

/// Checks one value of `--filter`.
pub(crate) fn check(value: &str) -> Result<(), String> {
    if value.is_empty() || value.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".to_owned())
}
