//! What the tests share.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use dhow_archive::tar::{Header, Kind, Writer};
use dhow_archive::{Applied, ApplyOptions, Error, apply};
use tempfile::TempDir;

/// Whether the test may go on; says so if not.
pub(crate) fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: owners, devices and overlay marks need root");
    }
    root
}

/// An archive of these entries.
pub(crate) fn archive(entries: impl IntoIterator<Item = (Header, &'static [u8])>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (header, content) in entries {
        match header.kind {
            Kind::File => writer.bytes(header, content).unwrap(),
            _ => writer.entry(&header).unwrap(),
        }
    }
    writer.finish().unwrap()
}

pub(crate) fn dir(path: &str) -> (Header, &'static [u8]) {
    (Header::directory(path, 0o755).modified_at(1000), b"")
}

pub(crate) fn file(path: &str, content: &'static str) -> (Header, &'static [u8]) {
    (
        Header::file(path, 0o644, 0).modified_at(2000),
        content.as_bytes(),
    )
}

pub(crate) fn symlink(path: &str, target: &str) -> (Header, &'static [u8]) {
    (Header::symlink(path, target).modified_at(3000), b"")
}

pub(crate) fn hardlink(path: &str, target: &str) -> (Header, &'static [u8]) {
    (Header::hardlink(path, target), b"")
}

/// A new directory with the archive applied as a layer.
pub(crate) fn layer(
    entries: impl IntoIterator<Item = (Header, &'static [u8])>,
) -> (TempDir, Applied) {
    let (at, applied) = try_layer(&archive(entries));
    (at, applied.unwrap())
}

pub(crate) fn try_layer(tar: &[u8]) -> (TempDir, Result<Applied, Error>) {
    let at = tempfile::tempdir().unwrap();
    std::fs::set_permissions(
        at.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let applied = apply(tar, at.path(), &ApplyOptions::default());
    (at, applied)
}

pub(crate) fn open(path: &Path) -> File {
    File::open(path).unwrap()
}

/// Everything in a tree as text, by path: type, mode, owner, seconds of the time, content, attributes.
pub(crate) fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut listing = BTreeMap::new();
    list(root, Path::new(""), &mut listing);
    listing
}

fn list(root: &Path, path: &Path, listing: &mut BTreeMap<PathBuf, String>) {
    let full = root.join(path);
    let metadata = full.symlink_metadata().unwrap();
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        "dir".to_owned()
    } else if kind.is_symlink() {
        format!("link {:?}", full.read_link().unwrap())
    } else if kind.is_file() {
        let mut content = Vec::new();
        File::open(&full)
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        format!(
            "file {} {:?}",
            metadata.nlink(),
            String::from_utf8_lossy(&content)
        )
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else {
        let rdev = metadata.rdev();
        let letter = if kind.is_char_device() { 'c' } else { 'b' };
        format!(
            "{letter} {}:{}",
            rustix::fs::major(rdev),
            rustix::fs::minor(rdev)
        )
    };
    let (mode, owner) = (metadata.mode() & 0o7777, (metadata.uid(), metadata.gid()));
    let text = format!(
        "{what} {mode:o} {owner:?} {} {:?}",
        metadata.mtime(),
        attributes(&full)
    );
    if path != Path::new("") {
        listing.insert(path.to_owned(), text);
    }
    if kind.is_dir() {
        for entry in full.read_dir().unwrap() {
            list(root, &path.join(entry.unwrap().file_name()), listing);
        }
    }
}

/// The extended attributes of a file, without the notes overlayfs makes for itself.
pub(crate) fn attributes(path: &Path) -> BTreeMap<String, String> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap();
    let names = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let notes = [
        b"trusted.overlay.origin".as_slice(),
        b"trusted.overlay.impure",
    ];
    names
        .filter(|name| !notes.contains(name))
        .map(|name| {
            let mut value = vec![0; 4096];
            let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(name), text(&value[..length]))
        })
        .collect()
}

pub(crate) fn is_whiteout(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.file_type().is_char_device() && metadata.rdev() == 0)
}

pub(crate) fn is_opaque(path: &Path) -> bool {
    attributes(path)
        .get("trusted.overlay.opaque")
        .is_some_and(|value| value == "y")
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The names in an archive as the `tar` crate, another implementation, reads them.
pub(crate) fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            String::from_utf8_lossy(std::ffi::OsStr::from_bytes(&entry.path_bytes()).as_bytes())
                .into_owned()
        })
        .collect()
}
