//! `GET /system/df`: which kinds of things are measured, and in which of its two forms.

use dhow_api::disk_usage::BuildCache;
use dhow_engine::system::Kinds;
use dhow_golang::parse_bool;
use serde_json::{Value, json};

use crate::ApiVersion;
use crate::error::{ApiError, Result};
use crate::request::Query;

/// Which parts of the answer are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What is measured.
    pub kinds: Kinds,
    /// The build cache.
    pub build_cache: bool,
    /// The lists as API 1.51 has them.
    pub legacy: bool,
    /// Sums for each kind, since 1.52.
    pub usage: bool,
    /// Each item beside the sums.
    pub items: bool,
}

/// What a request asks for: until 1.51 lists; since 1.52 sums, with items when `verbose` says so, and with the old
/// lists as well where it says nothing at all; before 1.42 everything, whatever `type` says.
///
/// # Errors
/// A type or the value of `verbose` is unknown.
pub(crate) fn wanted(version: ApiVersion, query: &Query) -> Result<Wanted> {
    let kinds = query.all("type");
    let everything = version.before(42) || kinds.is_empty();
    let mut wanted = Wanted {
        kinds: Kinds {
            images: everything,
            containers: everything,
            volumes: everything,
        },
        build_cache: everything,
        legacy: true,
        usage: !version.before(52),
        items: true,
    };
    for kind in kinds.iter().filter(|_| !everything) {
        match kind.as_str() {
            "image" => wanted.kinds.images = true,
            "container" => wanted.kinds.containers = true,
            "volume" => wanted.kinds.volumes = true,
            "build-cache" => wanted.build_cache = true,
            other => {
                return Err(ApiError::invalid(format!("unknown object type: {other}")));
            }
        }
    }
    if !version.before(52)
        && let Some(verbose) = query.some("verbose")
    {
        wanted.legacy = false;
        wanted.items = parse_bool(verbose)
            .map_err(|_| ApiError::invalid(format!("invalid value for verbose: {verbose}")))?;
    }
    Ok(wanted)
}

/// Before 1.42 there was the builder's size beside the records of its cache.
pub(crate) fn builder_size(usage: &mut Value) {
    let records = usage["BuildCache"].as_array();
    let sizes = records.into_iter().flatten();
    let size: i64 = sizes.filter_map(|record| record["Size"].as_i64()).sum();
    if let Some(usage) = usage.as_object_mut() {
        usage.insert("BuilderSize".to_owned(), json!(size));
    }
}

/// Before 1.42 a record had one parent, since then it has several.
pub(crate) fn record(version: ApiVersion, record: &mut BuildCache) {
    if version.before(42) {
        record.parents.clear();
    } else {
        record.parent.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::TESTED;
    use super::*;

    #[test]
    fn the_form_depends_on_version_and_verbosity() {
        for minor in TESTED {
            let version = ApiVersion::new(1, minor);
            let ask = |text: &str| wanted(version, &Query::parse(text));
            let plain = ask("").unwrap();
            assert!(plain.legacy && plain.items, "1.{minor}");
            assert_eq!(plain.usage, minor >= 52, "1.{minor}");
            let brief = ask("verbose=0").unwrap();
            assert_eq!(brief.legacy, minor < 52, "1.{minor}");
            assert_eq!(brief.items, minor < 52, "1.{minor}");
            assert_eq!(ask("verbose=x").is_err(), minor >= 52, "1.{minor}");
            let some = ask("type=image&type=volume").unwrap();
            assert!(some.kinds.images && some.kinds.volumes, "1.{minor}");
            assert_eq!(some.kinds.containers, minor < 42, "1.{minor}");
            assert_eq!(ask("type=x").is_err(), minor >= 42, "1.{minor}");
        }
    }
}
