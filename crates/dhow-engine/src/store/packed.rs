//! Records in little room: of the ten thousand containers somebody may have, few are looked at.
//!
//! A record packed is its JSON, compressed with the first record that was packed as the dictionary: containers of one
//! machine are much alike. It lives in memory only.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

use crate::container::ContainerRecord;

/// A level that is quick; the dictionary does the work.
const LEVEL: i32 = 1;

/// What packs and unpacks, from the first packing on. One is enough: it takes some ten microseconds.
static PACKER: Mutex<Option<Packer>> = Mutex::new(None);

struct Packer {
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
}

fn packer() -> MutexGuard<'static, Option<Packer>> {
    PACKER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Packer {
    fn new(dictionary: &[u8]) -> Option<Self> {
        Some(Self {
            compressor: Compressor::with_dictionary(LEVEL, dictionary).ok()?,
            decompressor: Decompressor::with_dictionary(dictionary).ok()?,
        })
    }
}

/// A record in little room.
pub(crate) struct Packed {
    bytes: Box<[u8]>,
    /// The length of the JSON.
    length: usize,
}

impl Packed {
    /// Packs a record; nothing when there is no memory for doing it.
    pub(crate) fn new(record: &ContainerRecord) -> Option<Self> {
        let json = serde_json::to_vec(record).ok()?;
        let mut packer = packer();
        if packer.is_none() {
            *packer = Packer::new(&json);
        }
        let bytes = packer.as_mut()?.compressor.compress(&json).ok()?;
        Some(Self {
            bytes: bytes.as_slice().into(),
            length: json.len(),
        })
    }

    /// The record again.
    pub(crate) fn unpack(&self) -> Option<ContainerRecord> {
        let mut packer = packer();
        let decompressor = &mut packer.as_mut()?.decompressor;
        let json = decompressor.decompress(&self.bytes, self.length).ok()?;
        drop(packer);
        serde_json::from_slice(&json).ok()
    }
}
