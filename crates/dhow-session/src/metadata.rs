//! What is sent beside a call: values that are not ASCII are escaped, and marked so.

use tonic::metadata::MetadataMap;

/// All values of a name.
pub(crate) fn all(map: &MetadataMap, name: &str) -> Vec<String> {
    let escaped = map.contains_key(format!("{name}-encoded").as_str());
    let values = map.get_all(name).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .map(|text| match escaped {
            true => query_unescape(text),
            false => text.to_owned(),
        })
        .collect()
}

/// The first value of a name; empty where there is none.
pub(crate) fn first(map: &MetadataMap, name: &str) -> String {
    all(map, name).into_iter().next().unwrap_or_default()
}

/// As Go's `url.QueryUnescape`; what is not well formed stays as it is.
fn query_unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_where_they_are_marked() {
        let mut map = MetadataMap::new();
        for (name, value) in [
            ("plain", "a%20b+c"),
            ("other", "%C3%A4%2Fb+c%2"),
            ("other-encoded", "1"),
        ] {
            map.append(name, value.parse().expect("it is ASCII"));
        }
        assert_eq!(first(&map, "plain"), "a%20b+c");
        assert_eq!(all(&map, "other"), ["ä/b c%2"]);
        assert_eq!(first(&map, "none"), "");
    }
}
