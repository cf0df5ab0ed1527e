//! Having an image's layers unpacked that are here already.

use dhow_oci::{Digest, media_type};

use crate::Error;
use crate::fetch::{commit, unpack_stored};
use crate::lookup::chain_list;
use crate::store::{Loaded, Store};

impl Store {
    /// Unpacks what is not unpacked of an image whose blobs are here; returns the top layer's chain id.
    pub(crate) fn unpack(
        &self,
        image: &Loaded,
        told: &dyn Fn(&Digest),
    ) -> Result<Option<Digest>, Error> {
        let diff_ids = &image.config.rootfs.diff_ids;
        let layers = &image.manifest.layers;
        let chains = chain_list(diff_ids);
        let Some(top) = chains.last() else {
            return Ok(None);
        };
        if self.snapshots.contains(top)? {
            return Ok(Some(*top));
        }
        if layers.len() != diff_ids.len() {
            return Err(Error::Invalid(format!(
                "{} has {} layers, its config {}",
                image.descriptor.digest,
                layers.len(),
                diff_ids.len()
            )));
        }
        let _lease = self.leases.take(chains.iter().copied());
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
            let unpacked = unpack_stored(self, layer)?;
            let parent = n.checked_sub(1).map(|below| chains[below]);
            commit(self, unpacked, &diff_ids[n], parent.as_ref())?;
        }
        Ok(Some(*top))
    }
}
