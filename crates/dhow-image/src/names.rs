//! Names of images: given, taken away, by Docker's rules.

use std::collections::HashSet;

use dhow_metadata::Transaction;
use dhow_oci::{Descriptor, Digest, Reference};
use jiff::Timestamp;

use crate::lookup::{Found, Named, with_target};
use crate::records::{ImageRecord, dangling_key, reference_of};
use crate::store::Store;
use crate::{Deleted, Error, Image, InUse, Pruned};

/// Tells who uses an image.
pub(crate) type Users<'a> = &'a dyn Fn(&Digest) -> Option<InUse>;

impl Store {
    /// Makes `key` lead to `target`. The image it led to before stays, without a name if this was its last.
    pub(crate) fn put_name(
        &self,
        key: &str,
        target: &Descriptor,
        parent: Option<Digest>,
    ) -> Result<(), Error> {
        self.change_names(|tx| put_name(tx, key, target, parent))
    }

    /// Gives the image `source` the name `target` too.
    pub(crate) fn tag(&self, source: &str, target: &Reference) -> Result<(), Error> {
        if target.digest().is_some() {
            return Err(Error::Invalid(
                "refusing to create a tag with a digest reference".into(),
            ));
        }
        let found = self.find(source)?;
        let key = target.clone().with_default_tag().canonical();
        self.change_names(|tx| {
            // The image must still have a record: collection spares only what has one.
            let records = tx.list::<ImageRecord>()?;
            let parent = records
                .into_iter()
                .find(|(_, record)| record.target.digest == found.target.digest)
                .ok_or_else(|| Error::NotFound(source.to_owned()))?
                .1
                .parent;
            put_name(tx, &key, &found.target, parent)
        })
    }

    /// Removes a name or an image, as moby's `ImageDelete` with the containerd image store.
    pub(crate) fn remove(
        &self,
        name: &str,
        force: bool,
        prune: bool,
        users: Users<'_>,
    ) -> Result<Vec<Deleted>, Error> {
        let found = self.find(name)?;
        let id = found.target.digest;
        let Some(reference) = found.reference.clone() else {
            return self.remove_all(&found, force, prune, !force, users);
        };
        let same = same_names(&found, &reference);
        if same.len() != found.all.len() {
            return self.untag(&same);
        }
        if let Some(user) = users(&id) {
            let reference = found
                .named
                .as_ref()
                .map_or_else(|| reference.familiar(), |(key, _)| shown(key));
            if !force {
                return Err(Error::Conflict {
                    reference,
                    how: "must be forced",
                    reason: format!(
                        "container {} is using its referenced image {}",
                        short(&user.container),
                        id.short()
                    ),
                });
            }
            self.strip(&found)?;
            return Ok(vec![Deleted::Untagged(reference)]);
        }
        // All names are of one repository: not "multiple repositories".
        self.remove_all(&found, force, prune, false, users)
    }

    /// Removes an image with all its names, and with `prune` the nameless images it was made from.
    fn remove_all(
        &self,
        found: &Found,
        force: bool,
        prune: bool,
        only_single: bool,
        users: Users<'_>,
    ) -> Result<Vec<Deleted>, Error> {
        let id = found.target.digest;
        refuse_if_used(&id, force, users)?;
        if only_single && found.all.len() > 1 {
            return Err(Error::Conflict {
                reference: id.short(),
                how: "must be forced",
                reason: "image is referenced in multiple repositories".into(),
            });
        }
        let mut deleted = self.untag(&found.all)?;
        deleted.push(Deleted::Deleted(id));
        let mut parent = found.all.iter().find_map(|(_, record)| record.parent);
        while let Some(next) = parent.take().filter(|_| prune) {
            let Some(grandparent) = self.remove_nameless(&next, users)? else {
                break;
            };
            deleted.push(Deleted::Deleted(next));
            parent = grandparent;
        }
        self.collect_garbage()?;
        Ok(deleted)
    }

    /// Removes an image if it has no name and nobody uses it; returns its parent then.
    fn remove_nameless(
        &self,
        id: &Digest,
        users: Users<'_>,
    ) -> Result<Option<Option<Digest>>, Error> {
        let all = with_target(&self.records()?, id);
        let nameless = !all.is_empty() && all.iter().all(|(key, _)| reference_of(key).is_none());
        if !nameless || users(id).is_some() {
            return Ok(None);
        }
        self.untag(&all)?;
        Ok(Some(all.iter().find_map(|(_, record)| record.parent)))
    }

    /// Removes records; each that is a name is told.
    fn untag(&self, records: &[Named]) -> Result<Vec<Deleted>, Error> {
        self.change_names(|tx| {
            let mut deleted = Vec::new();
            for (key, _) in records {
                if tx.delete::<ImageRecord>(key)? && reference_of(key).is_some() {
                    deleted.push(Deleted::Untagged(shown(key)));
                }
            }
            Ok(deleted)
        })
    }

    /// Takes all names of an image away but keeps it.
    fn strip(&self, found: &Found) -> Result<(), Error> {
        self.change_names(|tx| {
            for (key, _) in &found.all {
                tx.delete::<ImageRecord>(key)?;
            }
            let record = ImageRecord {
                target: found.target.clone(),
                tagged_at: Timestamp::now(),
                parent: found.all.iter().find_map(|(_, record)| record.parent),
            };
            Ok(tx.put(&dangling_key(&found.target.digest), &record)?)
        })
    }

    /// Removes what `select` picks and nobody uses.
    pub(crate) fn prune(
        &self,
        select: &dyn Fn(&Image) -> bool,
        users: Users<'_>,
    ) -> Result<Pruned, Error> {
        let mut pruned = Pruned::default();
        for image in self.list()? {
            if !select(&image) || users(&image.id).is_some() {
                continue;
            }
            let all = with_target(&self.records()?, &image.id);
            pruned.deleted.extend(self.untag(&all)?);
            pruned.deleted.push(Deleted::Deleted(image.id));
        }
        // Also what belongs to no image any more: who prunes wants the room.
        pruned.reclaimed = self.collect_garbage()?;
        Ok(pruned)
    }
}

fn put_name(
    tx: &Transaction<'_>,
    key: &str,
    target: &Descriptor,
    parent: Option<Digest>,
) -> Result<(), Error> {
    let now = Timestamp::now();
    if let Some(old) = tx.get::<ImageRecord>(key)?
        && old.target.digest != target.digest
    {
        let others = tx
            .list::<ImageRecord>()?
            .into_iter()
            .any(|(k, record)| k != key && record.target.digest == old.target.digest);
        if !others {
            let nameless = ImageRecord {
                tagged_at: now,
                ..old.clone()
            };
            tx.put(&dangling_key(&old.target.digest), &nameless)?;
        }
    }
    let record = ImageRecord {
        target: target.clone(),
        tagged_at: now,
        parent,
    };
    tx.put(key, &record)?;
    // An image with a name needs no nameless record any more.
    let nameless = dangling_key(&target.digest);
    if key != nameless {
        tx.delete::<ImageRecord>(&nameless)?;
    }
    Ok(())
}

/// The records that `reference` means: that tag, or with a digest every name in that repository.
fn same_names(found: &Found, reference: &Reference) -> Vec<Named> {
    let of_repository =
        |key: &str| reference_of(key).filter(|other| other.name() == reference.name());
    let same: Vec<Named> = found
        .all
        .iter()
        .filter(|(key, _)| {
            of_repository(key)
                .is_some_and(|other| reference.tag().is_none() || other.tag() == reference.tag())
        })
        .cloned()
        .collect();
    let others_with_tags = found.all.iter().any(|(key, _)| {
        of_repository(key).is_some_and(|other| other.tag().is_some())
            && !same.iter().any(|(k, _)| k == key)
    });
    if others_with_tags {
        return same;
    }
    // Digest names go with the last tag of their repository.
    let kept: HashSet<&str> = same.iter().map(|(key, _)| key.as_str()).collect();
    found
        .all
        .iter()
        .filter(|(key, _)| {
            kept.contains(key.as_str())
                || of_repository(key).is_some_and(|other| other.tag().is_none())
        })
        .cloned()
        .collect()
}

fn refuse_if_used(id: &Digest, force: bool, users: Users<'_>) -> Result<(), Error> {
    let Some(user) = users(id) else { return Ok(()) };
    let (how, state) = match user.running {
        true => ("cannot be forced", "running"),
        false => ("must be forced", "stopped"),
    };
    if !user.running && force {
        return Ok(());
    }
    Err(Error::Conflict {
        reference: id.short(),
        how,
        reason: format!(
            "image is being used by {state} container {}",
            short(&user.container)
        ),
    })
}

fn short(container: &str) -> &str {
    container.get(..12).unwrap_or(container)
}

fn shown(key: &str) -> String {
    reference_of(key).map_or_else(|| key.to_owned(), |reference| reference.familiar())
}
