//! What the cache holds, and removing it.

use std::collections::{HashMap, HashSet};

use dhow_oci::Digest;
use jiff::Timestamp;

use super::bounds::value;
use super::{Cache, Entry};
use crate::error::Error;
use crate::usage::{CacheKind, CacheUsage, Comparison, Filter, PruneOptions, Pruned};

/// Something that goes as a whole: all records of one layer, or a cache mount.
#[derive(Debug)]
struct Group {
    usage: CacheUsage,
    holder: Holder,
    value: f64,
}

#[derive(Debug)]
enum Holder {
    /// Records, their chain, and those they stand on.
    Steps {
        keys: Vec<Digest>,
        chain: Option<Digest>,
        below: Vec<Digest>,
    },
    Mount(String),
}

impl Cache {
    /// What there is, the newest last.
    ///
    /// # Errors
    /// When the records of images can't be read.
    pub(crate) fn usage(&self) -> Result<Vec<CacheUsage>, Error> {
        for (name, _, in_use) in self.mounts.list() {
            if in_use {
                self.mounts.measure(&name);
            }
        }
        let mut all: Vec<CacheUsage> = self
            .groups()?
            .into_iter()
            .map(|group| group.usage)
            .collect();
        all.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.id.cmp(&b.id)));
        Ok(all)
    }

    fn groups(&self) -> Result<Vec<Group>, Error> {
        let now = Timestamp::now();
        let named = self.config.images.named_content()?;
        let index = self.lock();
        let mut by_chain: HashMap<Option<Digest>, Vec<(Digest, &Entry)>> = HashMap::new();
        for (key, entry) in index.iter() {
            by_chain.entry(entry.chain).or_default().push((*key, entry));
        }
        let known: HashSet<Digest> = by_chain.keys().copied().flatten().collect();
        let mut groups = Vec::new();
        for (chain, mut entries) in by_chain {
            entries.sort_by_key(|(key, entry)| (entry.created, *key));
            groups.push(steps(chain, &entries, &known, &named, now));
        }
        drop(index);
        groups.extend(
            self.mounts
                .list()
                .into_iter()
                .map(|(name, record, in_use)| Group {
                    usage: CacheUsage {
                        id: name.clone(),
                        parents: Vec::new(),
                        kind: match record.git {
                            true => CacheKind::SourceGit,
                            false => CacheKind::ExecCacheMount,
                        },
                        description: match record.git {
                            true => format!("git snapshot for {}", record.id),
                            false => format!("cached mount {} from exec", record.id),
                        },
                        in_use,
                        shared: false,
                        mutable: true,
                        size: record.size,
                        created: record.created,
                        last_used: record.last_used,
                        uses: record.uses,
                    },
                    holder: Holder::Mount(name),
                    value: 0.0,
                }),
        );
        for group in &mut groups {
            if let Holder::Mount(_) = group.holder {
                group.value = mount_value(&group.usage, now);
            }
        }
        Ok(groups)
    }

    /// Removes what `options` pick and no build uses, the least valuable first, and nothing that something else of the
    /// cache stands on.
    ///
    /// # Errors
    /// When records can't be written, or a filter is none.
    pub(crate) fn prune(&self, options: &PruneOptions) -> Result<Pruned, Error> {
        let filters = compile(&options.filters)?;
        let keep = self.bytes_to_keep(options)?;
        let mut total = self.total();
        let mut pruned = Pruned::default();
        let mut groups = self.groups()?;
        groups.sort_by(|a, b| b.value.total_cmp(&a.value));
        // From the end, that is from the least value; what is stood on waits for what stands on it.
        loop {
            let standing: HashSet<Digest> = groups.iter().flat_map(stands_on).copied().collect();
            let pick = groups.iter().rposition(|group| {
                let free = match &group.holder {
                    Holder::Steps { chain, .. } => {
                        chain.is_none_or(|chain| !standing.contains(&chain))
                    }
                    Holder::Mount(_) => true,
                };
                free && wanted(&group.usage, options, &filters)
            });
            let Some(pick) = pick.filter(|_| keep.is_none_or(|keep| total > keep)) else {
                break;
            };
            let group = groups.remove(pick);
            if self.remove_group(&group.holder)? {
                total = total.saturating_sub(group.usage.size);
                pruned.removed.push(group.usage);
            }
        }
        if !pruned.removed.is_empty() {
            self.config.images.collect_garbage()?;
        }
        pruned.reclaimed = pruned
            .removed
            .iter()
            .filter(|usage| !usage.shared)
            .map(|usage| usage.size)
            .sum();
        Ok(pruned)
    }

    fn remove_group(&self, holder: &Holder) -> Result<bool, Error> {
        match holder {
            Holder::Mount(name) => self.mounts.remove(name),
            Holder::Steps { keys, .. } => {
                let used = |key: &Digest| self.lock().get(key).is_some_and(|entry| entry.users > 0);
                if keys.iter().any(used) {
                    return Ok(false);
                }
                self.forget(keys)?;
                Ok(true)
            }
        }
    }

    /// How much stays; `None`: nothing does that is picked.
    fn bytes_to_keep(&self, options: &PruneOptions) -> Result<Option<u64>, Error> {
        let set = |value: Option<u64>| value.filter(|value| *value > 0);
        let (most, free) = (set(options.most), set(options.free));
        let reserved = set(options.reserved);
        if most.is_none() && free.is_none() && reserved.is_none() {
            return Ok(None);
        }
        let mut keep = most;
        if let Some(free) = free {
            let short = free.saturating_sub(self.disk()?.free);
            if short > 0 {
                let left = self.total().saturating_sub(short);
                keep = Some(keep.map_or(left, |keep| keep.min(left)));
            } else if keep.is_none() && reserved.is_none() {
                keep = Some(u64::MAX);
            }
        }
        Ok(Some(keep.unwrap_or(0).max(reserved.unwrap_or(0))))
    }
}

/// The chains of the layers below.
fn stands_on(group: &Group) -> &[Digest] {
    match &group.holder {
        Holder::Steps { below, .. } => below,
        Holder::Mount(_) => &[],
    }
}

fn steps(
    chain: Option<Digest>,
    entries: &[(Digest, &Entry)],
    known: &HashSet<Digest>,
    named: &HashSet<Digest>,
    now: Timestamp,
) -> Group {
    let (key, first) = entries[0];
    let parent = first.below.last().filter(|below| known.contains(below));
    let sum = |of: fn(&Entry) -> u64| entries.iter().map(|(_, entry)| of(entry)).sum();
    let usage = CacheUsage {
        id: crate::id::of(&chain.unwrap_or(key)),
        parents: parent.map(crate::id::of).into_iter().collect(),
        kind: CacheKind::Regular,
        description: first.description.clone(),
        in_use: entries.iter().any(|(_, entry)| entry.users > 0),
        shared: chain.is_some_and(|chain| named.contains(&chain)),
        mutable: false,
        size: first.size,
        created: first.created,
        last_used: entries
            .iter()
            .filter_map(|(_, entry)| entry.last_used)
            .max(),
        uses: sum(|entry| entry.uses),
    };
    Group {
        usage,
        holder: Holder::Steps {
            keys: entries.iter().map(|(key, _)| *key).collect(),
            chain,
            below: first.below.clone(),
        },
        value: entries
            .iter()
            .map(|(_, entry)| value(entry, now))
            .fold(0.0, f64::max),
    }
}

/// A cache mount is worth what filling it again takes: as long as fetching its bytes.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn mount_value(usage: &CacheUsage, now: Timestamp) -> f64 {
    let entry = Entry {
        chain: None,
        below: Vec::new(),
        size: usage.size,
        description: String::new(),
        created: usage.created,
        last_used: usage.last_used,
        uses: usage.uses,
        cost: std::time::Duration::from_secs_f64(usage.size as f64 / 10e6),
        users: 0,
        touched: false,
    };
    value(&entry, now)
}

/// What filters can be about.
const FIELDS: [&str; 10] = [
    "id",
    "parent",
    "parents",
    "type",
    "description",
    "inuse",
    "shared",
    "private",
    "mutable",
    "immutable",
];

/// A filter with what its value was understood as.
struct Compiled<'a> {
    filter: &'a Filter,
    pattern: Option<regex::Regex>,
}

fn compile(filters: &[Filter]) -> Result<Vec<Compiled<'_>>, Error> {
    filters
        .iter()
        .map(|filter| {
            let pattern = match filter.comparison {
                Comparison::Matches => Some(regex::Regex::new(&filter.value).map_err(|e| {
                    Error::invalid(format!("invalid filter {}: {e}", filter.value))
                })?),
                _ => None,
            };
            match FIELDS.contains(&filter.field.as_str()) {
                true => Ok(Compiled { filter, pattern }),
                false => Err(Error::invalid(format!("invalid filter '{}'", filter.field))),
            }
        })
        .collect()
}

fn wanted(usage: &CacheUsage, options: &PruneOptions, filters: &[Compiled<'_>]) -> bool {
    if usage.in_use {
        return false;
    }
    let extra = usage.shared || matches!(usage.kind, CacheKind::Internal | CacheKind::Frontend);
    if extra && !options.all {
        return false;
    }
    if let Some(age) = options.unused_for {
        let last = usage.last_used.unwrap_or(usage.created);
        if Timestamp::now().duration_since(last).unsigned_abs() < age {
            return false;
        }
    }
    filters.iter().all(|filter| fits(usage, filter))
}

fn fits(usage: &CacheUsage, compiled: &Compiled<'_>) -> bool {
    let filter = compiled.filter;
    let flag = match filter.field.as_str() {
        "inuse" => Some(usage.in_use),
        "shared" => Some(usage.shared),
        "private" => Some(!usage.shared),
        "mutable" => Some(usage.mutable),
        "immutable" => Some(!usage.mutable),
        _ => None,
    };
    if let Some(flag) = flag {
        let wanted = !matches!(filter.value.as_str(), "false" | "0");
        return (flag == wanted) != (filter.comparison == Comparison::NotEqual);
    }
    let parents = usage.parents.iter().map(String::as_str);
    let values: Vec<&str> = match filter.field.as_str() {
        "id" => vec![&usage.id],
        "type" => vec![usage.kind.name()],
        "description" => vec![&usage.description],
        _ => parents.collect(),
    };
    match filter.comparison {
        Comparison::Equal => values.contains(&filter.value.as_str()),
        Comparison::NotEqual => !values.contains(&filter.value.as_str()),
        Comparison::Matches => values.iter().any(|value| {
            value.starts_with(&filter.value)
                || compiled.pattern.as_ref().is_some_and(|p| p.is_match(value))
        }),
    }
}
