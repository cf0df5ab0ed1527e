//! Volumes.

use std::collections::BTreeMap;

use crate::ApiVersion;

/// Before 1.42 a prune took named volumes too.
pub(crate) fn prune(version: ApiVersion, filters: &mut BTreeMap<String, Vec<String>>) {
    if version.before(42) {
        filters
            .entry("all".to_owned())
            .or_insert_with(|| vec!["true".to_owned()]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::TESTED;
    use super::*;

    #[test]
    fn old_prunes_take_named_volumes() {
        for minor in TESTED {
            let mut filters = BTreeMap::new();
            prune(ApiVersion::new(1, minor), &mut filters);
            assert_eq!(filters.contains_key("all"), minor < 42, "1.{minor}");
        }
    }
}
