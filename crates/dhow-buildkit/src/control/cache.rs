//! What the cache holds, and what is removed from it. The copies of clients' folders are part of it.

use std::time::{Duration, SystemTime};

use bollard_buildkit_proto::moby::buildkit::v1 as control;
use dhow_builder::usage::{CacheUsage, Comparison, Filter, PruneOptions};
use dhow_filesync::FolderUsage;
use jiff::Timestamp;
use tonic::Status;

use crate::failure;
use crate::service::Shared;
use crate::time::{stamp, stamp_of};

/// The records that fit the filters, of which one has to fit.
pub(super) fn usage(
    shared: &Shared,
    request: &control::DiskUsageRequest,
) -> Result<Vec<control::UsageRecord>, Status> {
    let filters = filters(&request.filter)?;
    let held = shared
        .maker
        .usage()
        .map_err(|error| failure::status_of(&error))?;
    let mut records: Vec<_> = held.iter().map(record_of).collect();
    records.extend(shared.folders.usage().iter().map(record_of_folder));
    records.retain(|record| filters.is_empty() || filters.iter().any(|f| fits(record, f)));
    if let Ok(age @ 1..) = u64::try_from(request.age_limit) {
        let oldest = SystemTime::now() - Duration::from_nanos(age);
        let oldest = stamp_of(oldest).unwrap_or_default().seconds;
        records.retain(|record| {
            let used = record.last_used_at.or(record.created_at);
            used.is_none_or(|used| used.seconds <= oldest)
        });
    }
    Ok(records)
}

/// Removes what is asked for, and says what that was.
pub(super) fn prune(
    shared: &Shared,
    request: &control::PruneRequest,
) -> Result<Vec<control::UsageRecord>, Status> {
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let filters = filters(&request.filter)?;
    let options = PruneOptions {
        all: request.all,
        unused_for: positive(request.keep_duration).map(Duration::from_nanos),
        filters: Vec::new(),
        reserved: positive(request.reserved_space),
        most: positive(request.max_used_space),
        free: positive(request.min_free_space),
    };
    let mut removed = Vec::new();
    // Each filter picks for itself.
    let alternatives = if filters.is_empty() {
        vec![Vec::new()]
    } else {
        filters
    };
    for filter in alternatives {
        removed.extend(prune_folders(shared, &options, &filter));
        let options = PruneOptions {
            filters: filter,
            ..options.clone()
        };
        let pruned = shared.maker.prune(&options);
        let pruned = pruned.map_err(|error| failure::status_of(&error))?;
        removed.extend(pruned.removed.iter().map(record_of));
    }
    Ok(removed)
}

/// Removes the copies of clients' folders that fit, unless as much may stay.
fn prune_folders(
    shared: &Shared,
    options: &PruneOptions,
    filter: &[Filter],
) -> Vec<control::UsageRecord> {
    let bounded = options.reserved.is_some() || options.most.is_some() || options.free.is_some();
    let mut removed = Vec::new();
    for folder in shared.folders.usage() {
        let record = record_of_folder(&folder);
        let unused = folder.used.elapsed().unwrap_or_default();
        let old = options.unused_for.is_none_or(|age| unused >= age);
        if !bounded && old && fits(&record, filter) && shared.folders.remove(&folder.id) {
            removed.push(record);
        }
    }
    removed
}

fn record_of(held: &CacheUsage) -> control::UsageRecord {
    #[allow(deprecated, reason = "the message has the field")]
    control::UsageRecord {
        id: held.id.clone(),
        mutable: held.mutable,
        in_use: held.in_use,
        size: i64::try_from(held.size).unwrap_or(i64::MAX),
        parent: String::new(),
        created_at: Some(stamp(held.created)),
        last_used_at: held.last_used.map(stamp),
        usage_count: i64::try_from(held.uses).unwrap_or(i64::MAX),
        description: held.description.clone(),
        record_type: held.kind.name().into(),
        shared: held.shared,
        parents: held.parents.clone(),
    }
}

fn record_of_folder(folder: &FolderUsage) -> control::UsageRecord {
    control::UsageRecord {
        id: folder.id.clone(),
        mutable: true,
        in_use: folder.in_use,
        size: i64::try_from(folder.bytes).unwrap_or(i64::MAX),
        created_at: stamp_of(folder.used),
        last_used_at: stamp_of(folder.used),
        usage_count: 1,
        description: format!("local source for {}", folder.key.name),
        record_type: "source.local".into(),
        ..control::UsageRecord::default()
    }
}

/// Filters as containerd writes them: `field==value,field~=value`; all conditions of one have to be met.
fn filters(texts: &[String]) -> Result<Vec<Vec<Filter>>, Status> {
    let conditions = |text: &String| text.split(',').map(condition).collect();
    let given = texts.iter().filter(|text| !text.is_empty());
    given.map(conditions).collect()
}

fn condition(text: &str) -> Result<Filter, Status> {
    let text = text.trim();
    let signs = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("~=", Comparison::Matches),
        ("=", Comparison::Equal),
    ];
    let split = signs.iter().find_map(|(sign, comparison)| {
        let (field, value) = text.split_once(sign)?;
        Some((field, *comparison, value))
    });
    let (field, comparison, value) = split.unwrap_or((text, Comparison::Equal, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if field.is_empty() || !field.chars().all(plain) {
        return Err(Status::invalid_argument(format!("invalid filter {text:?}")));
    }
    Ok(Filter {
        field: field.to_ascii_lowercase(),
        comparison,
        value: value.trim_matches('"').to_owned(),
    })
}

/// Whether a record meets all conditions.
fn fits(record: &control::UsageRecord, conditions: &[Filter]) -> bool {
    conditions.iter().all(|condition| {
        let flag = |value: bool| value.to_string();
        let actual = match condition.field.as_str() {
            "id" => record.id.clone(),
            "parents" | "parent" => record.parents.join(","),
            "type" => record.record_type.clone(),
            "description" => record.description.clone(),
            "inuse" => flag(record.in_use),
            "mutable" => flag(record.mutable),
            "immutable" => flag(!record.mutable),
            "shared" => flag(record.shared),
            "private" => flag(!record.shared),
            _ => return false,
        };
        compare(&actual, condition)
    })
}

fn compare(actual: &str, condition: &Filter) -> bool {
    // A field alone, or with a number, asks whether it is so.
    let wanted = match condition.value.as_str() {
        "" | "1" if matches!(actual, "true" | "false") => "true",
        "0" if matches!(actual, "true" | "false") => "false",
        value => value,
    };
    match condition.comparison {
        Comparison::Equal => actual == wanted,
        Comparison::NotEqual => actual != wanted,
        Comparison::Matches => match regex::Regex::new(wanted) {
            Ok(regex) => regex.is_match(actual),
            Err(_) => actual.starts_with(wanted),
        },
    }
}

/// Whether a build of the history fits one of the filters: `ref==…`, `status==error`, `startedAt>…`.
pub(super) fn fits_record(
    record: &control::BuildHistoryRecord,
    filters: &[String],
) -> Result<bool, Status> {
    if filters.is_empty() {
        return Ok(true);
    }
    for filter in filters {
        let mut all = true;
        for text in filter.split(',') {
            all &= meets(record, text.trim())?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

fn meets(record: &control::BuildHistoryRecord, text: &str) -> Result<bool, Status> {
    let refuse = || crate::order::not_implemented(format!("the history filter {text:?}"));
    if let Some((field, value)) = text.split_once(['<', '>']) {
        let older = text.contains('<');
        let value = value.trim_start_matches('=');
        let created = record.created_at.unwrap_or_default();
        let limit = match field {
            "startedAt" => value.parse::<Timestamp>().map_err(|_| refuse())?,
            _ => return Err(refuse()),
        };
        let before = created.seconds < limit.as_second();
        return Ok(before == older);
    }
    let condition = condition(text)?;
    let actual = match condition.field.as_str() {
        "ref" => record.r#ref.clone(),
        "repository" => {
            let attrs = &record.frontend_attrs;
            attrs.get("vcs:source").cloned().unwrap_or_default()
        }
        "status" => {
            let failed = record.error.as_ref();
            match failed {
                None => "completed",
                Some(error) if error.code == i32::from(tonic::Code::Cancelled) => "canceled",
                Some(_) => "error",
            }
            .into()
        }
        _ => return Err(refuse()),
    };
    Ok(compare(&actual, &condition))
}
