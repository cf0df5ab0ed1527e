//! `config.json`, the settings that are kept between runs.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// `config.json`, kept whole so that writing it back loses nothing.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `~/.docker`, where contexts and plugins are too.
    pub folder: PathBuf,
    values: Map<String, Value>,
}

impl Config {
    /// Reads the file in `folder`; a missing one is empty.
    ///
    /// # Errors
    /// If the file is not JSON.
    pub fn load(folder: PathBuf) -> Result<Self> {
        let path = folder.join("config.json");
        let values = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Error::text(format!(
                    "Error loading config file: {}: {error}",
                    path.display()
                ))
            })?,
            Err(_) => Map::new(),
        };
        Ok(Self { folder, values })
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    /// A text setting, where it is one.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// The texts of a setting that is a list.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        let list = self.values.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }

    /// A setting that is an object.
    pub fn object(&self, key: &str) -> Option<&Map<String, Value>> {
        self.values.get(key).and_then(Value::as_object)
    }

    /// The object under `key`, made where there is none.
    pub fn object_mut(&mut self, key: &str) -> &mut Map<String, Value> {
        let value = self
            .values
            .entry(key)
            .or_insert_with(|| Value::Object(Map::new()));
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        value.as_object_mut().expect("it was made an object above")
    }

    /// Changes a setting; [`Self::save`] keeps it.
    pub fn set(&mut self, key: &str, value: Value) {
        self.values.insert(key.to_owned(), value);
    }

    /// Drops a setting.
    pub fn unset(&mut self, key: &str) {
        self.values.shift_remove(key);
    }

    /// Writes the file back, readable by its owner only, in one step.
    pub fn save(&self) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path();
        let failed = |error| Error::io(format!("write {}", path.display()), error);
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        // Where the file is a link, what it leads to is replaced.
        let target = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let temporary = target.with_extension(format!("json{}", std::process::id()));
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&self.values, &mut serializer)
            .map_err(|error| Error::text(error.to_string()))?;
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| std::fs::rename(&temporary, &target));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written.map_err(failed)
    }
}
