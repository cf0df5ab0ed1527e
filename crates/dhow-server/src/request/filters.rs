//! The `filters` parameter: `{"label": ["a=b"]}`, or `{"label": {"a=b": true}}` from old clients.

use std::collections::BTreeMap;

use dhow_engine::filters::Filters;
use serde::Deserialize;

use super::Query;
use crate::error::{ApiError, Result};

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

/// The filters of a request.
pub(crate) fn filters(query: &Query) -> Result<Filters> {
    filter_values(query).map(Filters::new)
}

/// The filters of a request, as values by key.
pub(crate) fn filter_values(query: &Query) -> Result<BTreeMap<String, Vec<String>>> {
    let Some(text) = query.some("filters") else {
        return Ok(BTreeMap::new());
    };
    let values: Option<BTreeMap<String, Option<Values>>> =
        serde_json::from_str(text).map_err(|_| ApiError::invalid("invalid filter"))?;
    let values = values.unwrap_or_default().into_iter().map(|(key, values)| {
        let values = match values {
            None => Vec::new(),
            Some(Values::List(values)) => values,
            Some(Values::Set(set)) => set
                .into_iter()
                .filter_map(|(value, wanted)| wanted.then_some(value))
                .collect(),
        };
        (key, values)
    });
    Ok(values.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn parse(text: &str) -> Result<Filters> {
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        filters(&Query::parse(&format!("filters={encoded}")))
    }

    #[test]
    fn both_forms_are_read() {
        for text in [
            r#"{"label":["a=b"]}"#,
            r#"{"label":{"a=b":true,"no":false}}"#,
        ] {
            assert_eq!(parse(text).unwrap().get("label"), ["a=b"], "{text}");
        }
        for text in ["", "null"] {
            assert!(parse(text).unwrap().is_empty(), "{text}");
        }
        assert!(!parse(r#"{"label":null}"#).unwrap().contains("label"));
    }

    #[test]
    fn anything_else_is_refused_in_dockers_words() {
        for text in ["{bad", "[]", r#"{"a":1}"#, r#"{"a":"b"}"#] {
            assert_eq!(parse(text).unwrap_err().message, "invalid filter", "{text}");
        }
    }
}
