//! Looking whether records, layers and folders agree.

use std::collections::HashSet;

use dhow_image::{Finding, HeldContent};

use super::{AliasRecord, Cache, StepRecord, digests, held_key};
use crate::error::Error;

impl Cache {
    /// Looks at everything; what is wrong with a record is set right by forgetting it. Blocking.
    ///
    /// # Errors
    /// When the records can't be read or written.
    pub(crate) fn check(&self, repair: bool) -> Result<Vec<Finding>, Error> {
        let db = &self.config.db;
        let mut found = Vec::new();
        let mut names = HashSet::new();
        for (name, record) in db.list::<StepRecord>()? {
            let root = record.root();
            let held = db.get::<HeldContent>(&held_key(&name))?.unwrap_or_default();
            let problem = if !self.is_whole(&root) {
                "its layers are missing"
            } else if digests(&root).any(|digest| !held.digests.contains(&digest)) {
                "its layers are not held"
            } else {
                names.insert(name);
                continue;
            };
            let subject = format!("build cache record {} ({name})", record.description);
            let mut finding = Finding::new(subject, problem);
            if repair && let Ok(key) = name.parse() {
                self.forget(&[key])?;
                finding.repaired = true;
            }
            found.push(finding);
        }
        for (name, _) in db.list::<HeldContent>()? {
            let Some(key) = name
                .strip_prefix("build/")
                .filter(|key| !names.contains(*key))
            else {
                continue;
            };
            // One that was made since is not in the list, but there.
            if db.get::<StepRecord>(key)?.is_some() {
                continue;
            }
            let subject = format!("content held for the build cache record {key}");
            let mut finding = Finding::new(subject, "there is no such record");
            if repair {
                finding.repaired = db.delete::<HeldContent>(&name)?;
            }
            found.push(finding);
        }
        for (name, alias) in db.list::<AliasRecord>()? {
            if db.get::<StepRecord>(&alias.key.to_string())?.is_some() {
                continue;
            }
            let subject = format!("build cache key {name}");
            let mut finding = Finding::new(subject, "leads to no record");
            if repair {
                finding.repaired = db.delete::<AliasRecord>(&name)?;
            }
            found.push(finding);
        }
        found.extend(self.mounts.check());
        Ok(found)
    }
}
