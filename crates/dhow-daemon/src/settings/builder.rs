//! The section `builder` of `daemon.json`, and the features.

use std::collections::BTreeMap;
use std::path::Path;

use dhow_builder::usage::{Bounds, Comparison, Filter, PruneOptions};
use serde::Deserialize;
use serde_json::Value;

/// What is left free on the disk where nothing else is said, unless that is a larger part of a small one.
const FREE: u64 = 1 << 30;

/// The builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuilderSettings {
    /// How large the cache may grow.
    pub(crate) bounds: Bounds,
    /// What is pruned from time to time, one rule after the other.
    pub(crate) policy: Vec<PruneOptions>,
    /// What builds may be allowed: `network.host`, `security.insecure`, `device`.
    pub(crate) entitlements: Vec<String>,
    /// Whether clients are told to build with BuildKit's protocol.
    pub(crate) buildkit: bool,
}

/// `builder`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(super) struct Section {
    gc: Gc,
    entitlements: Entitlements,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Gc {
    enabled: Option<bool>,
    /// The name that the reserved space had before Docker 28.
    default_keep_storage: Option<Amount>,
    default_reserved_space: Option<Amount>,
    default_max_used_space: Option<Amount>,
    default_min_free_space: Option<Amount>,
    policy: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Rule {
    all: bool,
    keep_storage: Option<Amount>,
    reserved_space: Option<Amount>,
    max_used_space: Option<Amount>,
    min_free_space: Option<Amount>,
    /// `unused-for=48h`; as a list, or as an object of lists.
    filter: Filters,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Filters {
    List(Vec<String>),
    Object(BTreeMap<String, BTreeMap<String, bool>>),
}

impl Default for Filters {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Entitlements {
    network_host: Option<bool>,
    security_insecure: Option<bool>,
    device: Option<bool>,
}

/// Bytes: a number, a size (`20GB`), or a part of the disk (`20%`).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Amount {
    Bytes(u64),
    Text(String),
}

impl Amount {
    fn bytes(&self, disk: u64) -> Result<u64, String> {
        let text = match self {
            Self::Bytes(bytes) => return Ok(*bytes),
            Self::Text(text) => text.trim(),
        };
        let fail = || format!("invalid size: '{text}'");
        if let Some(percent) = text.strip_suffix('%') {
            let percent: u64 = percent.trim().parse().map_err(|_| fail())?;
            if percent > 100 {
                return Err(fail());
            }
            return Ok(disk / 100 * percent);
        }
        super::keys::bytes(text).ok_or_else(fail)
    }
}

/// Bytes of the disk that the data root is on, or will be.
pub(super) fn disk(data_root: &Path) -> u64 {
    let there = data_root.ancestors().find(|path| path.exists());
    let disk = there.and_then(|path| rustix::fs::statvfs(path).ok());
    disk.map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// Reads the section; `disk` is the size of the disk the cache is on.
///
/// # Errors
/// A value can't be; the text is without the setting's name.
pub(super) fn settings(
    section: &Section,
    features: &BTreeMap<String, Value>,
    disk: u64,
) -> Result<BuilderSettings, String> {
    let gc = &section.gc;
    let amount = |amount: &Option<Amount>| {
        let bytes = amount.as_ref().map(|amount| amount.bytes(disk));
        bytes.transpose()
    };
    let rule = |rule: &Rule| -> Result<PruneOptions, String> {
        let mut options = PruneOptions {
            all: rule.all,
            reserved: amount(&rule.reserved_space)?.or(amount(&rule.keep_storage)?),
            most: amount(&rule.max_used_space)?,
            free: amount(&rule.min_free_space)?,
            ..PruneOptions::default()
        };
        filters(&rule.filter, &mut options)?;
        Ok(options)
    };
    let enabled = gc.enabled.unwrap_or(true);
    let (reserved, most) = (
        amount(&gc.default_reserved_space)?,
        amount(&gc.default_max_used_space)?,
    );
    let bounds = if enabled {
        Bounds {
            // What was kept at most, before there was a name for that.
            most: most.or(amount(&gc.default_keep_storage)?),
            free_percent: match amount(&gc.default_min_free_space)? {
                Some(free) => percent(free, disk),
                None => percent(FREE, disk).min(Bounds::default().free_percent),
            },
            reserved: reserved.unwrap_or(0),
        }
    } else {
        Bounds {
            most: None,
            free_percent: 0,
            reserved: 0,
        }
    };
    let policy = gc.policy.iter().filter(|_| enabled).map(rule);
    Ok(BuilderSettings {
        bounds,
        policy: policy.collect::<Result<_, _>>()?,
        entitlements: entitlements(&section.entitlements),
        buildkit: features.get("buildkit").is_none_or(is_on),
    })
}

/// As much of the disk, in percent, rounded up.
fn percent(bytes: u64, disk: u64) -> u8 {
    let percent = u128::from(bytes)
        .saturating_mul(100)
        .div_ceil(u128::from(disk.max(1)));
    u8::try_from(percent.min(100)).unwrap_or(100)
}

/// As in dockerd: only `security.insecure` has to be asked for.
fn entitlements(wish: &Entitlements) -> Vec<String> {
    let all = [
        ("network.host", wish.network_host.unwrap_or(true)),
        ("security.insecure", wish.security_insecure.unwrap_or(false)),
        ("device", wish.device.unwrap_or(true)),
    ];
    let allowed = all.into_iter().filter(|(_, allowed)| *allowed);
    allowed.map(|(name, _)| name.to_owned()).collect()
}

fn filters(filters: &Filters, options: &mut PruneOptions) -> Result<(), String> {
    let list: Vec<String> = match filters {
        Filters::List(list) => list.clone(),
        Filters::Object(object) => object
            .iter()
            .flat_map(|(key, values)| values.keys().map(move |value| format!("{key}={value}")))
            .collect(),
    };
    for text in &list {
        let comparisons = [
            ("~=", Comparison::Matches),
            ("!=", Comparison::NotEqual),
            ("==", Comparison::Equal),
            ("=", Comparison::Equal),
        ];
        let split = comparisons.into_iter().find_map(|(sign, comparison)| {
            let (field, value) = text.split_once(sign)?;
            Some((field.trim(), comparison, value.trim()))
        });
        let (field, comparison, value) = split.unwrap_or((text.trim(), Comparison::Equal, ""));
        if matches!(field, "unused-for" | "until") {
            let nanoseconds = dhow_golang::parse_duration(value)
                .map_err(|error| format!("filter {text:?}: {error}"))?;
            let unused = std::time::Duration::from_nanos(nanoseconds.unsigned_abs());
            options.unused_for = Some(unused);
            continue;
        }
        options.filters.push(Filter {
            field: field.to_owned(),
            comparison,
            value: value.to_owned(),
        });
    }
    Ok(())
}

fn is_on(value: &Value) -> bool {
    match value {
        Value::Bool(on) => *on,
        Value::String(text) => !matches!(text.as_str(), "false" | "0" | "f" | "F" | "False"),
        _ => true,
    }
}

/// What is said of features that are chosen and can't be.
pub(super) fn warnings(features: &BTreeMap<String, Value>) -> Vec<String> {
    // Images are kept as with that one, whatever is chosen.
    let known = ["buildkit", "containerd-snapshotter", "cdi"];
    let unknown = features.keys().filter(|key| !known.contains(&key.as_str()));
    unknown
        .map(|key| format!("feature {key:?} has no effect here: there is no such feature"))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn read(section: Value) -> Result<BuilderSettings, String> {
        let section: Section = serde_json::from_value(section).unwrap();
        settings(&section, &BTreeMap::new(), 1000 << 30)
    }

    #[test]
    fn nothing_said_is_docker_s_default() {
        let settings = read(json!({})).unwrap();
        // A gibibyte of a thousand, rounded up.
        assert_eq!(settings.bounds.free_percent, 1);
        assert_eq!((settings.bounds.most, settings.bounds.reserved), (None, 0));
        assert_eq!(settings.entitlements, ["network.host", "device"]);
        assert!(settings.policy.is_empty() && settings.buildkit);
    }

    #[test]
    fn bounds_are_sizes_or_parts_of_the_disk() {
        let settings = read(json!({"gc": {
            "enabled": true, "defaultKeepStorage": "20GB", "defaultMinFreeSpace": "15%",
            "defaultReservedSpace": 5,
            "policy": [
                {"filter": ["unused-for=48h", "type==source.local"], "keepStorage": "10GB"},
                {"all": true, "maxUsedSpace": "10%"},
            ]
        }, "entitlements": {"security-insecure": true, "network-host": false}}))
        .unwrap();
        assert_eq!(settings.bounds.most, Some(20 << 30));
        assert_eq!(settings.bounds.free_percent, 15);
        assert_eq!(settings.bounds.reserved, 5);
        let [first, second] = settings.policy.as_slice() else {
            panic!("two rules");
        };
        assert_eq!(first.unused_for, Some(Duration::from_secs(48 * 3600)));
        assert_eq!(first.filters[0].field, "type");
        assert_eq!(first.reserved, Some(10 << 30));
        assert_eq!(second.most, Some(100 << 30));
        assert_eq!(settings.entitlements, ["security.insecure", "device"]);
    }

    #[test]
    fn what_can_not_be_is_refused() {
        for gc in [
            json!({"defaultKeepStorage": "many"}),
            json!({"defaultMinFreeSpace": "101%"}),
            json!({"policy": [{"filter": ["unused-for=soon"]}]}),
        ] {
            assert!(read(json!({ "gc": gc })).is_err());
        }
        let off = read(json!({"gc": {"enabled": false}})).unwrap();
        assert_eq!((off.bounds.most, off.bounds.free_percent), (None, 0));
    }
}
