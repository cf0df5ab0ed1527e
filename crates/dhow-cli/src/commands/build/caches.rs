//! Caches elsewhere: in registries, in the image itself, and in folders of this side.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use dhow_golang::io_text;
use dhow_options::flags::Parsed;
use dhow_session::messages::{CacheOptions, CacheOptionsEntry};
use serde_json::{Value, json};

use super::flags::fields;

/// The name that a cache has in its folder's index where none is given.
const TAG: &str = "latest";
/// Under which the index has it.
const NAME: &str = "org.opencontainers.image.ref.name";

/// What is asked of the engine, and the folders that it may use for it.
#[derive(Default)]
pub(super) struct Caches {
    pub(super) options: CacheOptions,
    pub(super) stores: BTreeMap<String, PathBuf>,
    /// Folders that get a new cache, with its name there.
    written: Vec<(PathBuf, String)>,
    /// What is not used, and why.
    pub(super) warnings: Vec<String>,
}

/// What `--cache-from` and `--cache-to` say.
pub(super) fn read(flags: &Parsed) -> Result<Caches, String> {
    let mut caches = Caches::default();
    for text in flags.list("cache-from") {
        let entry = entry(&text)?;
        caches.source(entry)?;
    }
    for text in flags.list("cache-to") {
        let entry = entry(&text)?;
        caches.target(entry)?;
    }
    Ok(caches)
}

/// One cache: a reference alone is one in a registry.
fn entry(text: &str) -> Result<CacheOptionsEntry, String> {
    let fields = fields(text)?;
    if let [(key, reference)] = fields.as_slice()
        && key.is_empty()
    {
        return Ok(CacheOptionsEntry {
            r#type: "registry".into(),
            attrs: HashMap::from([("ref".to_owned(), reference.clone())]),
        });
    }
    let mut entry = CacheOptionsEntry::default();
    for (key, value) in fields {
        match key.as_str() {
            "" => return Err(format!("invalid value {value}")),
            "type" => entry.r#type = value,
            _ => {
                entry.attrs.insert(key, value);
            }
        }
    }
    match entry.r#type.as_str() {
        "" => Err(format!("type required form> {text:?}")),
        _ => Ok(entry),
    }
}

impl Caches {
    fn source(&mut self, mut entry: CacheOptionsEntry) -> Result<(), String> {
        if entry.r#type == "local" {
            let folder = entry.attrs.get("src").filter(|folder| !folder.is_empty());
            let folder = folder.ok_or("local cache importer requires src")?.clone();
            let index = match index(Path::new(&folder)) {
                Ok(index) => index,
                // There is none yet, as before the first build.
                Err(error) => {
                    let text = io_text(&error);
                    self.warnings.push(format!(
                        "local cache import at {folder} not found due to err: {text}"
                    ));
                    return Ok(());
                }
            };
            if !entry.attrs.contains_key("digest") {
                let tag = entry.attrs.get("tag").map_or(TAG, String::as_str);
                let digest = named(&index, tag).ok_or(
                    "local cache importer requires either explicit digest, \"latest\" tag or custom tag on index.json",
                )?;
                entry.attrs.insert("digest".into(), digest);
            }
            self.stores.insert(format!("local:{folder}"), folder.into());
        }
        self.options.imports.push(entry);
        Ok(())
    }

    fn target(&mut self, entry: CacheOptionsEntry) -> Result<(), String> {
        if entry.r#type == "local" {
            let folder = entry.attrs.get("dest").filter(|folder| !folder.is_empty());
            let folder = folder.ok_or("local cache exporter requires dest")?.clone();
            let made = std::fs::create_dir_all(&folder);
            made.map_err(|error| format!("mkdir {folder}: {}", io_text(&error)))?;
            let tag = entry.attrs.get("tag").map_or(TAG, String::as_str);
            self.written.push((PathBuf::from(&folder), tag.to_owned()));
            self.stores.insert(format!("local:{folder}"), folder.into());
        }
        self.options.exports.push(entry);
        Ok(())
    }

    /// Names the new cache in the folders that got it; `manifest` is its descriptor.
    pub(super) fn finish(&self, manifest: Option<&String>) -> Result<(), String> {
        let Some(manifest) = manifest.map(|text| super::order::json(text)) else {
            return Ok(());
        };
        for (folder, tag) in &self.written {
            let named = name(folder, tag, manifest.clone());
            named.map_err(|error| format!("{}: {}", folder.display(), io_text(&error)))?;
        }
        Ok(())
    }
}

fn index(folder: &Path) -> std::io::Result<Value> {
    let bytes = std::fs::read(folder.join("index.json"))?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// The digest of what has that name; of the only one, where there is no other.
fn named(index: &Value, tag: &str) -> Option<String> {
    let manifests = index["manifests"].as_array()?;
    let known = manifests
        .iter()
        .find(|manifest| manifest["annotations"][NAME] == tag);
    let only = manifests.first().filter(|_| manifests.len() == 1);
    Some(known.or(only)?["digest"].as_str()?.to_owned())
}

/// Gives a manifest its name in a folder's index, in one step.
fn name(folder: &Path, tag: &str, mut manifest: Value) -> std::io::Result<()> {
    manifest["annotations"][NAME] = json!(tag);
    let empty = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
    });
    let mut index = index(folder).unwrap_or(empty);
    if let Some(manifests) = index["manifests"].as_array_mut() {
        manifests.retain(|manifest| manifest["annotations"][NAME] != tag);
        manifests.push(manifest);
    }
    let layout = folder.join("oci-layout");
    std::fs::write(layout, r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let beside = folder.join(format!(".{}", dhow_session::random_id()));
    std::fs::write(&beside, index.to_string())?;
    std::fs::rename(beside, folder.join("index.json"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn caches_are_read_as_buildx_does() {
        let read = entry("user/app:cache").unwrap();
        assert_eq!(
            (read.r#type.as_str(), read.attrs["ref"].as_str()),
            ("registry", "user/app:cache")
        );
        let read = entry("type=registry,ref=x,mode=max").unwrap();
        assert_eq!(read.attrs["mode"], "max");
        assert!(entry("ref=x").is_err());
    }

    #[test]
    fn caches_have_names_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (tag, digest) in [
            ("latest", "sha256:a"),
            ("other", "sha256:b"),
            ("latest", "sha256:c"),
        ] {
            name(folder.path(), tag, json!({ "digest": digest })).unwrap();
        }
        let index = index(folder.path()).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(named(&index, "latest").unwrap(), "sha256:c");
        assert_eq!(named(&index, "other").unwrap(), "sha256:b");
        assert!(named(&index, "none").is_none());
    }
}
