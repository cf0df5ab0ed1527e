//! How an image came about.

use std::collections::HashMap;

use dhow_oci::{Digest, History, Platform};

use crate::lookup::{Named, chain_list};
use crate::records::reference_of;
use crate::store::Store;
use crate::{Error, HistoryEntry};

impl Store {
    /// The steps of an image's making, newest first.
    pub(crate) fn history(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Vec<HistoryEntry>, Error> {
        let found = self.find(name)?;
        let loaded = self.choose(&found.target, platform)?;
        let loaded = loaded.ok_or_else(|| match platform {
            None => Error::NotFound(name.to_owned()),
            Some(platform) => Error::WrongPlatform {
                reference: name.to_owned(),
                platform: platform.to_string(),
            },
        })?;
        let chains = chain_list(&loaded.config.rootfs.diff_ids);
        let mut entries: Vec<(HistoryEntry, usize)> = Vec::new();
        let mut layers = 0;
        for step in steps(&loaded.config.history, chains.len()) {
            let mut size = 0;
            if !step.empty_layer {
                size = chains
                    .get(layers)
                    .and_then(|chain| self.snapshots.layer(chain).ok())
                    .map_or(0, |layer| layer.size);
                layers += 1;
            }
            entries.push((entry(&step, size), layers));
        }
        self.name_steps(&mut entries, found.target.digest)?;
        Ok(entries.into_iter().rev().map(|(entry, _)| entry).collect())
    }

    /// Fills in which images, of those the image was made from, ended with which step.
    fn name_steps(
        &self,
        entries: &mut [(HistoryEntry, usize)],
        image: Digest,
    ) -> Result<(), Error> {
        let mut by_target: HashMap<Digest, Vec<Named>> = HashMap::new();
        for named in self.records()?.iter() {
            by_target
                .entry(named.1.target.digest)
                .or_default()
                .push(named.clone());
        }
        let mut next = Some(image);
        let mut end = entries.len();
        while let Some(id) = next.take() {
            let Some(records) = by_target.get(&id) else {
                break;
            };
            if id != image {
                let target = &records[0].1.target;
                let Some(parent) = self.choose(target, None)? else {
                    break;
                };
                let count = parent
                    .config
                    .history
                    .len()
                    .max(parent.manifest.layers.len());
                if count >= end {
                    break;
                }
                end = count;
            }
            let Some((entry, _)) = end.checked_sub(1).and_then(|at| entries.get_mut(at)) else {
                break;
            };
            entry.id = Some(id);
            entry.tags = records
                .iter()
                .filter_map(|(key, _)| reference_of(key))
                .filter(|reference| reference.tag().is_some())
                .map(|reference| reference.familiar())
                .collect();
            next = records.iter().find_map(|(_, record)| record.parent);
        }
        Ok(())
    }
}

/// The config's steps, and one for each layer they don't speak of.
fn steps(history: &[History], layers: usize) -> Vec<History> {
    let told = history.iter().filter(|step| !step.empty_layer).count();
    let untold = layers.saturating_sub(told);
    let mut steps = vec![History::default(); untold];
    steps.extend(history.iter().cloned());
    steps
}

fn entry(step: &History, size: u64) -> HistoryEntry {
    HistoryEntry {
        id: None,
        created: step.created,
        created_by: step.created_by.clone().unwrap_or_default(),
        comment: step.comment.clone().unwrap_or_default(),
        size,
        tags: Vec::new(),
    }
}
