//! What is in a synced folder, as a file beside it: a head, then an entry a file in the order of a walk.
//!
//! The index is removed before the folder is changed and written anew when it is in step again. It also names the boot
//! in which it was written: after another one the files may not have reached the disk, and the folder is begun anew.

use std::fs;
use std::io::Write;
use std::path::Path;

use prost::Message;

use crate::{Error, Stat};

/// The first bytes; another form of entries gets other ones.
const MAGIC: &[u8] = b"dhow-filesync 1\n";

/// A file of the folder.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entry {
    /// Its metadata, as the client gave them.
    #[prost(message, required, tag = "1")]
    pub(crate) stat: Stat,
    /// The SHA-256 of a regular file's content; empty for others.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) digest: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Head {
    #[prost(string, tag = "1")]
    boot: String,
    #[prost(string, tag = "2")]
    shared_key: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    scope: String,
    #[prost(uint64, tag = "5")]
    bytes: u64,
}

/// What an index is of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) key: crate::FolderKey,
    /// The bytes of all regular files.
    pub(crate) bytes: u64,
}

/// Reads an index; nothing if there is none that can be relied on.
pub(crate) fn read(file: &Path) -> Option<(About, Vec<Entry>)> {
    let bytes = fs::read(file).ok()?;
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let about = head(&mut rest)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        entries.push(Entry::decode_length_delimited(&mut rest).ok()?);
    }
    Some((about, entries))
}

/// Reads an index's head only.
pub(crate) fn read_about(file: &Path) -> Option<About> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(file)
        .ok()?
        .take(64 * 1024)
        .read_to_end(&mut bytes)
        .ok()?;
    head(&mut bytes.strip_prefix(MAGIC)?)
}

fn head(rest: &mut &[u8]) -> Option<About> {
    let head = Head::decode_length_delimited(rest).ok()?;
    (head.boot == boot()).then_some(About {
        key: crate::FolderKey {
            shared_key: head.shared_key,
            name: head.name,
            scope: head.scope,
        },
        bytes: head.bytes,
    })
}

/// Writes an index, beside and renamed.
pub(crate) fn write(file: &Path, about: &About, entries: &[Entry]) -> Result<(), Error> {
    let head = Head {
        boot: boot(),
        shared_key: about.key.shared_key.clone(),
        name: about.key.name.clone(),
        scope: about.key.scope.clone(),
        bytes: about.bytes,
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend(head.encode_length_delimited_to_vec());
    for entry in entries {
        bytes.extend(entry.encode_length_delimited_to_vec());
    }
    let beside = file.with_extension("new");
    let written = fs::File::create(&beside)
        .and_then(|mut new| new.write_all(&bytes))
        .and_then(|()| fs::rename(&beside, file));
    written.map_err(|error| Error::file("write", file.to_string_lossy(), error))
}

/// The kernel's name of this boot.
fn boot() -> String {
    let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id");
    static BOOT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BOOT.get_or_init(|| read().unwrap_or_default().trim().to_owned())
        .clone()
}
