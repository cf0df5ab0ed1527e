//! What is sent beside a call: values that are not ASCII are escaped, and marked so.

use tonic::metadata::{AsciiMetadataKey, MetadataMap, MetadataValue};

/// Adds a value, or several of the same name.
pub(super) fn add<'a>(
    map: &mut MetadataMap,
    name: &'static str,
    values: impl IntoIterator<Item = &'a str> + Clone,
) {
    let plain = |value: &str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let escape = !values.clone().into_iter().all(plain);
    let key = AsciiMetadataKey::from_static(name);
    for value in values {
        let value = match escape {
            true => query_escape(value),
            false => value.to_owned(),
        };
        if let Ok(value) = MetadataValue::try_from(value) {
            map.append(key.clone(), value);
        }
    }
    if escape && let Ok(key) = AsciiMetadataKey::from_bytes(format!("{name}-encoded").as_bytes()) {
        map.insert(key, MetadataValue::from_static("1"));
    }
}

/// As Go's `url.QueryEscape`.
fn query_escape(text: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            byte => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ascii_is_escaped() {
        let mut map = MetadataMap::new();
        add(&mut map, "plain", ["a b", "*.c"]);
        add(&mut map, "other", ["ä/b c", "d"]);
        let values = |name: &str| {
            let values = map.get_all(name).iter();
            values
                .map(|v| v.to_str().unwrap_or("?").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(values("plain"), ["a b", "*.c"]);
        assert!(map.get("plain-encoded").is_none());
        assert_eq!(values("other"), ["%C3%A4%2Fb+c", "d"]);
        assert_eq!(values("other-encoded"), ["1"]);
    }
}
