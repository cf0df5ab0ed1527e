//! Whether there is room for an image, before anything of it is fetched.

use std::collections::BTreeMap;
use std::io;

use dhow_oci::{Descriptor, Digest};

use crate::Error;
use crate::lookup::chain_list;
use crate::store::Store;

impl Store {
    /// Checks that what is known of the layers' sizes fits on the disk: the blobs that aren't here, and at least as
    /// much once more for the files in them.
    pub(crate) fn has_room(&self, layers: &[Descriptor], diff_ids: &[Digest]) -> Result<(), Error> {
        let (mut blobs, mut files) = (0_u64, 0_u64);
        for (layer, chain) in layers.iter().zip(chain_list(diff_ids)) {
            if !self.content.contains(&layer.digest) {
                let parts = self.content.parts_size(&layer.digest);
                blobs = blobs.saturating_add(layer.size.saturating_sub(parts));
            }
            if !self.snapshots.contains(&chain)? {
                files = files.saturating_add(layer.size);
            }
        }
        let (content, snapshots) = (self.content.room()?, self.snapshots.room()?);
        // By file system, as the two stores may be on one or on two.
        let mut needed: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for ((device, free), bytes) in [(content, blobs), (snapshots, files)] {
            let entry = needed.entry(device).or_insert((0, free));
            entry.0 = entry.0.saturating_add(bytes);
        }
        match needed.into_values().find(|(needed, free)| needed > free) {
            Some((needed, free)) => Err(Error::NoRoom { needed, free }),
            None => Ok(()),
        }
    }
}

/// Whether the error is that of a full disk.
pub(crate) fn is_full(error: &Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        let full = error.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        });
        if full {
            return true;
        }
        source = error.source();
    }
    false
}
