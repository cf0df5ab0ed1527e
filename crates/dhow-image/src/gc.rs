//! Garbage collection: what no name leads to goes.

use jiff::{SignedDuration, Timestamp};

use crate::lookup::Reach;
use crate::records::{LeaseRecord, SourceRecord};
use crate::store::Store;
use crate::{Error, HeldContent};

/// How long content of unfinished pulls is kept for the next attempt.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);

impl Store {
    /// Removes blobs and layers that no record and no lease leads to; returns the bytes won.
    pub(crate) fn collect_garbage(&self) -> Result<u64, Error> {
        let collection = self.leases.collect();
        let live = self.live()?;
        let mut won = 0;
        // Children before parents, so that each is free when its turn comes.
        let mut layers = self.snapshots.layers()?;
        let mut progress = true;
        while progress {
            progress = false;
            let mut left = Vec::new();
            for layer in layers {
                if live.chains.contains(&layer.chain_id) {
                    continue;
                }
                let removed = collection.unless_leased(&layer.chain_id, || {
                    self.snapshots.remove_layer(&layer.chain_id)
                });
                match removed {
                    Some(Ok(())) => {
                        won += layer.size;
                        progress = true;
                    }
                    Some(Err(dhow_snapshot::Error::InUse { .. })) => left.push(layer),
                    Some(Err(dhow_snapshot::Error::NoLayer(_))) | None => {}
                    Some(Err(error)) => return Err(error.into()),
                }
            }
            layers = left;
        }
        for (digest, size) in self.content.list()? {
            if live.blobs.contains(&digest) {
                continue;
            }
            if let Some(removed) =
                collection.unless_leased(&digest, || self.content.remove(&digest))
            {
                removed?;
                won += size;
                self.forget(&digest);
                self.db.delete::<SourceRecord>(&digest.to_string())?;
            }
        }
        self.content.prune_partials(UNFINISHED.unsigned_abs())?;
        Ok(won)
    }

    /// Everything that records and unfinished work lead to.
    pub(crate) fn live(&self) -> Result<Reach, Error> {
        let mut live = self.named()?;
        self.db.read(|tx| {
            tx.visit::<HeldContent>(|_, held| {
                live.blobs.extend(&held.digests);
                live.chains.extend(held.digests);
            })
        })?;
        let now = Timestamp::now();
        for (key, lease) in self.db.list::<LeaseRecord>()? {
            if now.duration_since(lease.since) > UNFINISHED {
                self.db.delete::<LeaseRecord>(&key)?;
            } else {
                live.blobs.extend(&lease.digests);
                live.chains.extend(lease.digests);
            }
        }
        Ok(live)
    }
}
