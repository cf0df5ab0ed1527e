//! The files of contexts: made, replaced and removed.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{DEFAULT, ENDPOINT};
use crate::config::Config;
use crate::error::{Error, Result};
use dhow_golang::io_text;

/// Certificates and keys of a context's engine, by file name: `ca.pem`, `cert.pem`, `key.pem`.
pub type Material = Vec<(String, Vec<u8>)>;

/// Checks a name for a new context.
///
/// # Errors
/// If it is empty, reserved, or holds what a name may not.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::text("context name cannot be empty"));
    }
    if name == DEFAULT {
        return Err(Error::text("\"default\" is a reserved context name"));
    }
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = characters.clone().count() > 0
        && characters.all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c));
    if first && rest {
        return Ok(());
    }
    Err(Error::text(format!(
        "context name {name:?} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
    )))
}

/// Whether a context has that name.
#[must_use]
pub fn exists(config: &Config, name: &str) -> bool {
    meta_folder(config, name).join("meta.json").exists()
}

/// Keeps a new context; `document` is its JSON, whose name it gets.
///
/// # Errors
/// If the name is not one or is taken, or files cannot be written; then nothing is kept.
pub fn create(config: &Config, name: &str, document: &Value, material: &Material) -> Result<()> {
    check_name(name)?;
    if exists(config, name) {
        return Err(Error::text(format!("context {name:?} already exists")));
    }
    let kept = write_material(config, name, material).and_then(|()| write(config, name, document));
    if kept.is_err() {
        // The reason is reported; what is left of the attempt is of no use to anybody.
        let _ = fs::remove_dir_all(meta_folder(config, name));
        let _ = fs::remove_dir_all(tls_folder(config, name));
    }
    kept
}

/// Changes a context; its certificates only where some are given.
///
/// # Errors
/// If files cannot be written.
pub fn replace(
    config: &Config,
    name: &str,
    document: &Value,
    material: Option<&Material>,
) -> Result<()> {
    if let Some(material) = material {
        let folder = tls_folder(config, name);
        gone(fs::remove_dir_all(&folder)).map_err(|error| failed(&folder, &error))?;
        write_material(config, name, material)?;
    }
    write(config, name, document)
}

/// Removes a context.
///
/// # Errors
/// If there is none of that name, or files cannot be removed.
pub fn remove(config: &Config, name: &str) -> Result<()> {
    if !exists(config, name) {
        return Err(Error::text(format!("context {name:?} does not exist")));
    }
    for folder in [meta_folder(config, name), tls_folder(config, name)] {
        gone(fs::remove_dir_all(&folder)).map_err(|error| failed(&folder, &error))?;
    }
    Ok(())
}

/// A context's certificates and keys, by file name.
///
/// # Errors
/// If one of them cannot be read.
pub fn material(config: &Config, name: &str) -> Result<Material> {
    let folder = tls_folder(config, name).join(ENDPOINT);
    let mut found = Material::new();
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let bytes = fs::read(&path).map_err(|error| failed(&path, &error))?;
        found.push((entry.file_name().to_string_lossy().into_owned(), bytes));
    }
    found.sort();
    Ok(found)
}

/// Where a context's description and its certificates are kept.
#[must_use]
pub fn folders(config: &Config, name: &str) -> (PathBuf, PathBuf) {
    (meta_folder(config, name), tls_folder(config, name))
}

/// The folder of a context's description.
pub(super) fn meta_folder(config: &Config, name: &str) -> PathBuf {
    folder(config, "meta", name)
}

/// The folder of a context's certificates.
fn tls_folder(config: &Config, name: &str) -> PathBuf {
    folder(config, "tls", name)
}

fn folder(config: &Config, kind: &str, name: &str) -> PathBuf {
    let id = dhow_oci::Digest::of(name.as_bytes());
    config.folder.join("contexts").join(kind).join(id.hex())
}

fn write(config: &Config, name: &str, document: &Value) -> Result<()> {
    let mut document = document.clone();
    document["Name"] = name.into();
    let folder = meta_folder(config, name);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    write_file(
        &folder.join("meta.json"),
        0o644,
        document.to_string().as_bytes(),
    )
}

fn write_material(config: &Config, name: &str, material: &Material) -> Result<()> {
    if material.is_empty() {
        return Ok(());
    }
    let folder = tls_folder(config, name).join(ENDPOINT);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| failed(&folder, &error))?;
    material
        .iter()
        .try_for_each(|(file, bytes)| write_file(&folder.join(file), 0o600, bytes))
}

/// Writes a file in one step.
fn write_file(path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(path, &error)
    })
}

fn gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::text(format!("open {}: {}", path.display(), io_text(error)))
}
