//! Where results are looked for and written to besides here.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::CacheOptions;
use dhow_builder::request::{CacheSource, CacheTarget};
use dhow_oci::Reference;
use tonic::Status;

use super::{invalid, not_implemented};

fn reference(text: Option<&String>) -> Result<Reference, Status> {
    let text = text.ok_or_else(|| invalid("ref is required for a registry's cache"))?;
    let parsed = Reference::parse(text).map_err(|error| invalid(error.to_string()))?;
    Ok(parsed.with_default_tag())
}

/// Where results are looked for.
pub(crate) fn sources(cache: Option<&CacheOptions>) -> Result<Vec<CacheSource>, Status> {
    let Some(cache) = cache else {
        return Ok(Vec::new());
    };
    let mut sources = Vec::new();
    for text in &cache.import_refs_deprecated {
        sources.push(CacheSource::Registry(reference(Some(text))?));
    }
    for entry in &cache.imports {
        sources.push(source(&entry.r#type, &entry.attrs)?);
    }
    Ok(sources)
}

/// An entry of the list that front ends are given.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    r#type: String,
    #[serde(default)]
    attrs: HashMap<String, String>,
}

/// Where results are looked for, as front ends are told: a list in JSON.
pub(super) fn listed(text: &str) -> Result<Vec<CacheSource>, Status> {
    let entries: Vec<Entry> = serde_json::from_str(text)
        .map_err(|error| invalid(format!("failed to unmarshal cache-imports: {error}")))?;
    entries
        .iter()
        .map(|entry| source(&entry.r#type, &entry.attrs))
        .collect()
}

/// One such place.
pub(super) fn source(kind: &str, attrs: &HashMap<String, String>) -> Result<CacheSource, Status> {
    Ok(match kind {
        "registry" => CacheSource::Registry(reference(attrs.get("ref"))?),
        "local" => CacheSource::Local {
            store: store(attrs.get("src"), "src")?,
            digest: attrs
                .get("digest")
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| invalid("local cache importer requires digest"))?,
        },
        other => return Err(not_implemented(format!("the cache importer {other:?}"))),
    })
}

/// Where results are written to.
pub(crate) fn targets(cache: Option<&CacheOptions>) -> Result<Vec<CacheTarget>, Status> {
    let Some(cache) = cache else {
        return Ok(Vec::new());
    };
    if !cache.export_ref_deprecated.is_empty() {
        return Err(not_implemented(
            "cache exports as they were before BuildKit 0.4",
        ));
    }
    let mut targets = Vec::new();
    for entry in &cache.exports {
        let mode = entry.attrs.get("mode").map_or("min", String::as_str);
        let all = match mode {
            "min" | "" => false,
            "max" => true,
            mode => return Err(invalid(format!("invalid cache export mode {mode:?}"))),
        };
        // Ours: the directories of cache mounts as well.
        let mounts = entry.attrs.get("mounts").is_some_and(|text| text == "true");
        targets.push(match entry.r#type.as_str() {
            "inline" => CacheTarget::Inline,
            "registry" => CacheTarget::Registry {
                reference: reference(entry.attrs.get("ref"))?,
                all,
                mounts,
            },
            "local" => CacheTarget::Local {
                store: store(entry.attrs.get("dest"), "dest")?,
                all,
                mounts,
            },
            other => return Err(not_implemented(format!("the cache exporter {other:?}"))),
        });
    }
    Ok(targets)
}

/// The name of the content store that a client serves a folder as.
fn store(folder: Option<&String>, name: &str) -> Result<String, Status> {
    let folder = folder.filter(|folder| !folder.is_empty());
    let folder = folder.ok_or_else(|| invalid(format!("local cache requires {name}")))?;
    Ok(format!("local:{folder}"))
}
