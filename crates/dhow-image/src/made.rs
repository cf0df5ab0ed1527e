//! Images put together elsewhere: their documents are stored, then named.

use std::sync::Arc;

use dhow_oci::{Descriptor, Reference};

use crate::records::dangling_key;
use crate::store::Store;
use crate::{Error, Image};

impl Store {
    /// Gives what is stored its names; without any it is dangling.
    pub(crate) fn name_made(
        self: &Arc<Self>,
        target: &Descriptor,
        names: &[Reference],
    ) -> Result<Image, Error> {
        let mut keys: Vec<String> = names
            .iter()
            .map(|name| name.clone().with_default_tag().canonical())
            .collect();
        if keys.is_empty() && self.find(&target.digest.to_string()).is_err() {
            keys.push(dangling_key(&target.digest));
        }
        for key in keys {
            self.put_name(&key, target, None)?;
        }
        self.flush_in_background();
        let found = self.find(&target.digest.to_string())?;
        let loaded = self.choose(target, None)?;
        let loaded = loaded
            .ok_or_else(|| Error::Invalid(format!("{} has no manifest here", target.digest)))?;
        self.image(target, loaded, &found.all)
    }
}
