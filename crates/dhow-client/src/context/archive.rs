//! Contexts as tar archives: `meta.json` and `tls/docker/*`.

use std::io::{self, Read, Write};

use serde_json::Value;

use super::ENDPOINT;
use super::store::{Material, create};
use crate::config::Config;
use crate::error::{Error, Result};
use dhow_golang::io_text;

/// An archive, and each file in it, may have this many bytes.
const LARGEST: u64 = 10 << 20;

/// Writes a context, which is its JSON and its certificates, as an archive.
///
/// # Errors
/// If `out` cannot be written.
pub fn export(document: &Value, material: &Material, out: impl Write) -> Result<()> {
    let document = document.to_string();
    let mut archive = tar::Builder::new(out);
    let mut add = |path: &str, folder: bool, mode: u32, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        header.set_entry_type(if folder {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        archive.append_data(&mut header, path, bytes)
    };
    let mut written = add("meta.json", false, 0o644, document.as_bytes())
        .and_then(|()| add("tls", true, 0o700, &[]));
    if !material.is_empty() {
        written = written.and_then(|()| add(&format!("tls/{ENDPOINT}"), true, 0o700, &[]));
    }
    for (file, bytes) in material {
        written =
            written.and_then(|()| add(&format!("tls/{ENDPOINT}/{file}"), false, 0o600, bytes));
    }
    written.and_then(|()| archive.finish()).map_err(Error::from)
}

/// Makes a context called `name` of an archive.
///
/// # Errors
/// If the name is taken or not one, or the archive is not one of a context; then nothing is kept.
pub fn import(config: &Config, name: &str, mut archive: impl Read) -> Result<()> {
    super::check_name(name)?;
    let mut bytes = Vec::new();
    archive.by_ref().take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::text("read exceeds the defined limit"));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(Error::text(
            "importing a zip file is not implemented: unpack it and make a tar archive of its content",
        ));
    }
    let (document, material) = read(&bytes)?;
    create(config, name, &document, &material)
}

fn read(bytes: &[u8]) -> Result<(Value, Material)> {
    let invalid = |error: io::Error| match error.raw_os_error() {
        Some(_) => Error::text(io_text(&error)),
        None => Error::text("archive/tar: invalid tar header"),
    };
    let mut document = None;
    let mut material = Material::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().map_err(invalid)? {
        let mut entry = entry.map_err(invalid)?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        // An archive may say of a file that it is far longer than itself.
        let read = entry.by_ref().take(LARGEST + 1).read_to_end(&mut content);
        if read.map_err(invalid)? as u64 > LARGEST {
            return Err(Error::text("read exceeds the defined limit"));
        }
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["meta.json"] => document = Some(parse(&content)?),
            ["tls", ENDPOINT, file] if !file.is_empty() && !matches!(*file, "." | "..") => {
                material.push(((*file).to_owned(), content));
            }
            ["tls", ..] => return Err(Error::text("archive format is invalid")),
            _ => return Err(Error::text(format!("{path}: unexpected context file"))),
        }
    }
    let document = document.ok_or_else(|| Error::text("invalid context: no metadata found"))?;
    Ok((document, material))
}

fn parse(content: &[u8]) -> Result<Value> {
    let document: Value =
        serde_json::from_slice(content).map_err(|error| Error::text(error.to_string()))?;
    if document.is_object() {
        Ok(document)
    } else {
        Err(Error::text("invalid context: its metadata is no object"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::{all, find, material, remove};
    use super::*;
    use serde_json::json;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    /// An archive of a few hundred bytes with a file of 20 MiB in which nothing is.
    fn sparse() -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..9].copy_from_slice(b"meta.json");
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(0);
        let end = b"00120000000\0";
        let gnu = header.as_gnu_mut().unwrap();
        gnu.sparse[0].offset = *end;
        gnu.sparse[0].numbytes = *b"00000000000\0";
        gnu.realsize = *end;
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, &[][..]).unwrap();
        archive.into_inner().unwrap()
    }

    #[test]
    fn a_context_survives_the_way_out_and_in() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::load(folder.path().to_path_buf()).unwrap();
        let document = json!({"Metadata": {}, "Endpoints": {"docker": {"Host": "tcp://a:1"}}});
        let keys = vec![("ca.pem".to_owned(), b"ca".to_vec())];
        create(&config, "one", &document, &keys).unwrap();
        let mut bytes = Vec::new();
        let document = find(&config, "one").unwrap().document;
        export(&document, &keys, &mut bytes).unwrap();
        import(&config, "two", bytes.as_slice()).unwrap();
        assert_eq!(material(&config, "two").unwrap(), keys);
        let hosts: Vec<_> = all(&config).into_iter().map(|c| (c.name, c.host)).collect();
        let host = "tcp://a:1".to_owned();
        assert_eq!(
            hosts,
            [("one".to_owned(), host.clone()), ("two".to_owned(), host)]
        );
        remove(&config, "one").unwrap();
        remove(&config, "two").unwrap();
        assert!(all(&config).is_empty());
    }

    #[test]
    fn what_is_no_context_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::load(folder.path().to_path_buf()).unwrap();
        let large = vec![0; usize::try_from(LARGEST).unwrap() + 1];
        for (bytes, text) in [
            (
                archive(&[("evil/key.pem", b"x")]),
                "evil/key.pem: unexpected context file",
            ),
            (
                archive(&[("../ca.pem", b"x")]),
                "../ca.pem: unexpected context file",
            ),
            (
                archive(&[("meta.json", b"{}"), ("tls/x", b"x")]),
                "archive format is invalid",
            ),
            (
                archive(&[("meta.json", b"{}"), ("tls/docker/..", b"x")]),
                "archive format is invalid",
            ),
            (
                archive(&[("meta.json", b"{}"), ("tls/../../x", b"x")]),
                "archive format is invalid",
            ),
            (archive(&[]), "invalid context: no metadata found"),
            (
                b"-----BEGIN CERTIFICATE-----".repeat(40),
                "archive/tar: invalid tar header",
            ),
            (large, "read exceeds the defined limit"),
            (sparse(), "read exceeds the defined limit"),
        ] {
            let error = import(&config, "bad", bytes.as_slice()).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        assert!(!folder.path().join("contexts").exists());
    }
}
