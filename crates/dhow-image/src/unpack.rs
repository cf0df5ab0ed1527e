//! Having an image's layers unpacked that are here already.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use dhow_oci::{Descriptor, Digest, media_type};

use crate::Error;
use crate::fetch::{commit, unpack_stored};
use crate::layer::Unpacked;
use crate::lookup::chain_list;
use crate::store::{Loaded, Store};

/// How many layers are unpacked at the same time at most.
const MOST_WORKERS: usize = 4;

/// The most layers that an image may have: overlayfs joins 500 folders, some of which are a container's own.
const MOST_LAYERS: usize = 490;

/// Checks that the manifest `digest` has as many layers as its config tells of, and no more than can be mounted.
pub(crate) fn check_layers(digest: &Digest, layers: usize, told: usize) -> Result<(), Error> {
    if layers != told {
        return Err(Error::Invalid(format!(
            "{digest} has {layers} layers, its config {told}"
        )));
    }
    if layers > MOST_LAYERS {
        return Err(Error::Invalid(format!(
            "{digest} has {layers} layers, which is more than {MOST_LAYERS}"
        )));
    }
    Ok(())
}

/// A layer's number and what became of it.
type Outcome = (usize, Result<Unpacked, Error>);

impl Store {
    /// Unpacks what is not unpacked of an image whose blobs are here, several layers at once; returns the top layer's
    /// chain id.
    pub(crate) fn unpack(
        &self,
        image: &Loaded,
        told: &dyn Fn(&Digest),
    ) -> Result<Option<Digest>, Error> {
        let diff_ids = &image.config.rootfs.diff_ids;
        let layers = &image.manifest.layers;
        check_layers(&image.descriptor.digest, layers.len(), diff_ids.len())?;
        let chains = chain_list(diff_ids);
        let Some(top) = chains.last() else {
            return Ok(None);
        };
        if self.snapshots.contains(top)? {
            return Ok(Some(*top));
        }
        let _lease = self.leases.take(chains.iter().copied());
        let mut missing = Vec::new();
        for (n, layer) in layers.iter().enumerate() {
            if self.snapshots.contains(&chains[n])? {
                continue;
            }
            if media_type::layer_compression(&layer.media_type).is_none() {
                return Err(Error::MediaType {
                    digest: layer.digest,
                    media_type: layer.media_type.clone(),
                });
            }
            told(&diff_ids[n]);
            missing.push(n);
        }
        self.unpack_all(layers, &missing, |n, unpacked| {
            let parent = n.checked_sub(1).map(|below| chains[below]);
            commit(self, unpacked, &diff_ids[n], parent.as_ref()).map(drop)
        })?;
        Ok(Some(*top))
    }

    /// Unpacks the layers with the numbers `missing`, and hands each to `place` in that order.
    ///
    /// After the first error no layer is begun any more.
    fn unpack_all(
        &self,
        layers: &[Descriptor],
        missing: &[usize],
        mut place: impl FnMut(usize, Unpacked) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let [only] = missing {
            return place(*only, unpack_stored(self, &layers[*only])?);
        }
        let next = AtomicUsize::new(0);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let (sender, outcomes) = sync_channel(1);
            for _ in 0..missing.len().min(cores.clamp(1, MOST_WORKERS)) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || self.work_off(layers, missing, next, &sender));
            }
            drop(sender);
            // Those that were done before the ones below them.
            let mut early = BTreeMap::new();
            let mut result = Ok(());
            let mut wanted = missing.iter();
            let mut want = wanted.next();
            for (n, unpacked) in outcomes {
                match unpacked {
                    Ok(unpacked) if result.is_ok() => {
                        early.insert(n, unpacked);
                    }
                    Ok(_) => {}
                    Err(error) => result = result.and(Err(error)),
                }
                while result.is_ok()
                    && let Some(number) = want
                    && let Some(unpacked) = early.remove(number)
                {
                    result = place(*number, unpacked);
                    want = wanted.next();
                }
                if result.is_err() {
                    next.store(missing.len(), Ordering::Relaxed);
                }
            }
            match want {
                // A thread panicked.
                Some(_) if result.is_ok() => Err(Error::Cancelled("unpacking")),
                _ => result,
            }
        })
    }

    /// Unpacks the next layer as long as there is one.
    fn work_off(
        &self,
        layers: &[Descriptor],
        missing: &[usize],
        next: &AtomicUsize,
        outcomes: &SyncSender<Outcome>,
    ) {
        while let Some(number) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let unpacked = unpack_stored(self, &layers[*number]);
            if outcomes.send((*number, unpacked)).is_err() {
                return;
            }
        }
    }
}
