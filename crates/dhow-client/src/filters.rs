//! `--filter key=value`.

use serde_json::{Map, Value, json};

/// Filters in the form of the API: for each key, the set of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(Map<String, Value>);

impl Filters {
    /// Reads `key=value`s; anything else was refused before.
    pub fn new(values: &[String]) -> Self {
        let mut filters = Self::default();
        for value in values {
            if let Some((key, value)) = value.split_once('=') {
                filters.add(&key.trim().to_lowercase(), value.trim());
            }
        }
        filters
    }

    /// Adds a value to a key's set.
    pub fn add(&mut self, key: &str, value: &str) {
        self.0.entry(key).or_insert_with(|| json!({}))[value] = Value::Bool(true);
    }

    /// Whether any value is asked of `key`.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The `filters` parameter; nothing where there is no filter.
    pub fn to_json(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| Value::Object(self.0.clone()).to_string())
    }
}
