//! The build cache: its records, and what is pruned.

use std::collections::BTreeMap;
use std::time::Duration;

use dhow_api::disk_usage::{BuildCache, BuildPruneReport, Usage};
use dhow_builder::usage::{CacheUsage, Comparison, Filter, PruneOptions, Pruned};
use dhow_golang::{atoi, parse_duration};
use jiff::Timestamp;

use super::time;
use crate::ApiVersion;
use crate::error::{ApiError, Result};
use crate::request::Query;

/// The filters that are about a record's fields, in the engine's order.
const FIELDS: [&str; 9] = [
    "id",
    "parents",
    "description",
    "inuse",
    "type",
    "shared",
    "mutable",
    "immutable",
    "private",
];

/// The records of the cache.
pub(crate) fn records(usage: &[CacheUsage]) -> Vec<BuildCache> {
    usage.iter().map(record).collect()
}

fn record(usage: &CacheUsage) -> BuildCache {
    BuildCache {
        id: usage.id.clone(),
        parent: usage.parents.first().cloned().unwrap_or_default(),
        parents: usage.parents.clone(),
        r#type: usage.kind.name().to_owned(),
        description: usage.description.clone(),
        in_use: usage.in_use,
        shared: usage.shared,
        size: bytes(usage.size),
        created_at: time::rfc3339(usage.created),
        last_used_at: usage.last_used.map(time::rfc3339),
        usage_count: bytes(usage.uses),
    }
}

/// What the records take together.
pub(crate) fn sums(usage: &[CacheUsage]) -> Usage<BuildCache> {
    let total: u64 = usage
        .iter()
        .filter(|one| !one.shared)
        .map(|one| one.size)
        .sum();
    let free = |one: &&CacheUsage| !one.in_use && !one.shared;
    Usage {
        active_count: count(usage.iter().filter(|one| one.in_use).count()),
        items: None,
        reclaimable: bytes(usage.iter().filter(free).map(|one| one.size).sum()),
        total_count: count(usage.len()),
        total_size: bytes(total),
    }
}

fn bytes(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What was pruned.
pub(crate) fn pruned(pruned: &Pruned) -> BuildPruneReport {
    let removed: Vec<String> = pruned.removed.iter().map(|one| one.id.clone()).collect();
    BuildPruneReport {
        caches_deleted: (!removed.is_empty()).then_some(removed),
        space_reclaimed: pruned.reclaimed,
    }
}

/// What a prune asks for.
///
/// # Errors
/// A filter or a number is none; the texts are Docker's.
pub(crate) fn prune(
    version: ApiVersion,
    query: &Query,
    filters: BTreeMap<String, Vec<String>>,
) -> Result<PruneOptions> {
    let new = |key| match version.before(48) {
        true => Ok(None),
        false => number(query, key),
    };
    let reserved = match new("reserved-space")? {
        // The name that it had before 1.48.
        None => number(query, "keep-storage")?,
        some => some,
    };
    Ok(PruneOptions {
        all: query.flag("all"),
        unused_for: unused_for(&filters).map_err(failed)?,
        filters: conditions(filters).map_err(failed)?,
        reserved,
        most: new("max-used-space")?,
        free: new("min-free-space")?,
    })
}

fn failed(text: String) -> ApiError {
    ApiError::invalid(format!("failed to prune build cache: {text}"))
}

fn number(query: &Query, key: &str) -> Result<Option<u64>> {
    let Some(text) = query.some(key) else {
        return Ok(None);
    };
    let number = atoi(text).map_err(|error| {
        let text = format!("{key} is in bytes and expects an integer, got {text}: {error}");
        ApiError::invalid(text)
    })?;
    Ok(u64::try_from(number).ok().filter(|number| *number > 0))
}

fn unused_for(filters: &BTreeMap<String, Vec<String>>) -> Result<Option<Duration>, String> {
    let given = |key: &str| filters.get(key).filter(|values| !values.is_empty());
    let (key, values) = match (given("unused-for"), given("until")) {
        (Some(_), Some(_)) => {
            return Err("conflicting filters: \"until\" and \"unused-for\"".into());
        }
        (Some(values), None) => ("unused-for", values),
        (None, Some(values)) => ("until", values),
        (None, None) => return Ok(None),
    };
    let [value] = values.as_slice() else {
        return Err("filters expect only one value".into());
    };
    if let Ok(duration) = parse_duration(value) {
        return Ok(Some(Duration::from_nanos(duration.unsigned_abs())));
    }
    let time = dhow_engine::filters::parse_time(value, Timestamp::now()).map_err(|_| {
        format!(
            "\"{key}\" filter expects a duration (e.g., '24h') or a timestamp: failed to parse value as time or \
             duration: {value:?}"
        )
    })?;
    let ago = Timestamp::now().duration_since(time);
    Ok(Some(Duration::try_from(ago).unwrap_or_default()))
}

fn conditions(filters: BTreeMap<String, Vec<String>>) -> Result<Vec<Filter>, String> {
    let mut conditions = Vec::new();
    for (key, values) in filters {
        // A cache has no labels: with those of `system prune` Docker prunes it as without.
        if matches!(key.as_str(), "until" | "unused-for" | "label" | "label!") {
            continue;
        }
        if !FIELDS.contains(&key.as_str()) {
            return Err(format!("invalid filter '{key}'"));
        }
        let value = match values.as_slice() {
            [] => continue,
            [value] => value.clone(),
            _ => return Err("filters expect only one value".into()),
        };
        let comparison = if key == "id" {
            Comparison::Matches
        } else {
            Comparison::Equal
        };
        conditions.push(Filter {
            field: key,
            comparison,
            value,
        });
    }
    Ok(conditions)
}
