//! Keeping the cache within its bounds: what has the least value goes first.

use std::time::Duration;

use jiff::Timestamp;

use super::{Cache, Entry};
use crate::error::Error;
use crate::usage::{Bounds, PruneOptions};

impl Cache {
    /// Makes room for `wanted` more bytes before they are written.
    ///
    /// # Errors
    /// There would be less free on the disk than is always kept, and nothing more can be removed.
    pub(crate) fn make_room(&self, wanted: u64) -> Result<(), Error> {
        let bounds = self.config.bounds;
        let disk = self.disk()?;
        let keep_free = disk.size / 100 * u64::from(bounds.free_percent);
        let total = self.total();
        let over = bounds
            .most
            .map_or(0, |most| (total + wanted).saturating_sub(most));
        let short = (keep_free + wanted).saturating_sub(disk.free);
        let excess = over.max(short);
        if excess == 0 {
            return Ok(());
        }
        let target = total.saturating_sub(excess);
        if total > target && total > 0 {
            let options = PruneOptions {
                all: true,
                most: Some(target.max(1)),
                reserved: Some(bounds.reserved),
                ..PruneOptions::default()
            };
            self.prune(&options)?;
        }
        let free = self.disk()?.free;
        match short > 0 && free < keep_free {
            true => Err(full(&bounds, free)),
            false => Ok(()),
        }
    }

    /// Whether one more record of so many bytes would fit at all.
    pub(crate) fn fits(&self, size: u64) -> bool {
        self.config.bounds.most.is_none_or(|most| size <= most)
    }

    /// The bytes of all records, each layer counted once, and of cache mounts.
    pub(crate) fn total(&self) -> u64 {
        let index = self.lock();
        let mut seen = std::collections::HashSet::new();
        let layers: u64 = index
            .values()
            .filter(|entry| entry.chain.is_some_and(|chain| seen.insert(chain)))
            .map(|entry| entry.size)
            .sum();
        drop(index);
        let mounts: u64 = self
            .mounts
            .list()
            .iter()
            .map(|(_, mount, _)| mount.size)
            .sum();
        layers + mounts
    }

    pub(super) fn disk(&self) -> Result<Disk, Error> {
        let folder = &self.config.folder;
        let stat = rustix::fs::statvfs(folder)
            .map_err(|e| Error::file("look at", folder.display().to_string(), e))?;
        Ok(Disk {
            size: stat.f_blocks * stat.f_frsize,
            free: stat.f_bavail * stat.f_frsize,
        })
    }
}

/// The file system that the cache is on.
pub(super) struct Disk {
    pub(super) size: u64,
    pub(super) free: u64,
}

fn full(bounds: &Bounds, free: u64) -> Error {
    Error::Full(format!(
        "no space left for building: {free} bytes are free, and {} percent of the disk are kept free",
        bounds.free_percent
    ))
}

/// How much it would be missed: the time that making it took, for its bytes, the more the more often it was used and the
/// less the longer ago that is.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn value(entry: &Entry, now: Timestamp) -> f64 {
    let last = entry.last_used.unwrap_or(entry.created);
    let idle = now.duration_since(last).unsigned_abs() + Duration::from_secs(1);
    let cost = entry.cost.as_secs_f64() + 0.05;
    let uses = (entry.uses + 1) as f64;
    cost * uses / ((entry.size + 65_536) as f64 * idle.as_secs_f64())
}
