//! Looking whether files and records agree: every blob and layer belongs to an image or to unfinished work, everything
//! an image needs is there, and, if asked for, every blob is what its digest says.

use std::collections::HashSet;
use std::io::{self, Read};

use dhow_oci::{Descriptor, Digest, Hasher, media_type};

use crate::Error;
use crate::store::{DocumentRef, Store};

const BUFFER: usize = 256 << 10;

/// How thoroughly to look, and what to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Read every blob and compare its digest.
    pub deep: bool,
    /// Remove what belongs to nobody, and blobs that are not what they should be: the next pull fetches them again.
    pub repair: bool,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about: `blob sha256:…`, `image debian:12`, `container web`.
    pub subject: String,
    /// What is wrong with it, in a sentence.
    pub problem: String,
    /// It was set right.
    pub repaired: bool,
}

impl Finding {
    /// Something that was only found.
    #[must_use]
    pub fn new(subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            problem: problem.into(),
            repaired: false,
        }
    }
}

impl Store {
    /// Looks at everything; what running work uses is left alone. Blocking and, when deep, long.
    pub(crate) fn check(&self, options: CheckOptions) -> Result<Vec<Finding>, Error> {
        // Before the records, so that what comes to a record meanwhile is known by the time it matters.
        let blobs = self.content.list()?;
        let layers = self.snapshots.layers()?;
        let live = self.live()?;
        let below_containers = self.snapshots.needed()?;
        let unowned = |digest: &Digest, owned: &HashSet<Digest>| {
            !owned.contains(digest) && !self.leases.protects(digest)
        };
        let loose_blobs = blobs
            .iter()
            .filter(|(digest, _)| unowned(digest, &live.blobs));
        let loose_layers = layers
            .iter()
            .map(|layer| (layer.chain_id, layer.size))
            .filter(|(id, _)| unowned(id, &live.chains) && !below_containers.contains(id));
        let loose_blobs: Vec<(Digest, u64)> = loose_blobs.copied().collect();
        let loose_layers: Vec<(Digest, u64)> = loose_layers.collect();
        if options.repair && !(loose_blobs.is_empty() && loose_layers.is_empty()) {
            self.collect_garbage()?;
            // What another collection is just removing is gone when it can be leased.
            let loose = loose_blobs.iter().chain(&loose_layers);
            drop(self.leases.take(loose.map(|(digest, _)| *digest)));
        }
        let mut found = Vec::new();
        let mut belongs_to_nobody = |kind: &str, digest: Digest, size: u64, is_there: bool| {
            found.push(Finding {
                subject: format!("{kind} {digest}"),
                problem: format!("belongs to no image; it takes {size} bytes"),
                repaired: !is_there,
            });
        };
        for (digest, size) in loose_blobs {
            belongs_to_nobody("blob", digest, size, self.content.contains(&digest));
        }
        for (id, size) in loose_layers {
            belongs_to_nobody("layer", id, size, self.snapshots.contains(&id)?);
        }
        let chains: HashSet<Digest> = layers.iter().map(|layer| layer.chain_id).collect();
        for layer in &layers {
            if let Some(parent) = layer.parent.filter(|parent| !chains.contains(parent)) {
                let problem = format!("stands on layer {parent}, which is missing");
                found.push(Finding::new(format!("layer {}", layer.chain_id), problem));
            }
        }
        for (name, record) in self.records()?.iter() {
            self.check_image(name, &record.target, 0, &mut found);
        }
        if options.deep {
            let wanted = blobs
                .iter()
                .filter(|(digest, _)| live.blobs.contains(digest));
            for (digest, _) in wanted {
                found.extend(self.check_blob(digest, options.repair)?);
            }
        }
        Ok(found)
    }

    fn check_image(&self, name: &str, target: &Descriptor, depth: usize, found: &mut Vec<Finding>) {
        let subject = || format!("image {name}");
        let is_document =
            media_type::is_index(&target.media_type) || media_type::is_manifest(&target.media_type);
        if depth > 4 || !is_document {
            return;
        }
        match self.manifest_or_index(target) {
            Ok(DocumentRef::Index(index)) => {
                // Of other platforms nothing needs to be here.
                let here = |manifest: &&Descriptor| self.content.contains(&manifest.digest);
                for manifest in index.manifests.iter().filter(here) {
                    self.check_image(name, manifest, depth + 1, found);
                }
            }
            Ok(DocumentRef::Manifest(manifest)) => {
                let parts = std::iter::once(&manifest.config).chain(&manifest.layers);
                for part in parts {
                    match self.content.size(&part.digest) {
                        Ok(size) if size == part.size => {}
                        Ok(size) => found.push(Finding::new(
                            subject(),
                            format!("{} has {size} bytes instead of {}", part.digest, part.size),
                        )),
                        Err(_) => found.push(Finding::new(
                            subject(),
                            format!("{} is missing: pull the image again", part.digest),
                        )),
                    }
                }
            }
            Err(error) => {
                let reason = dhow_errdefs::chain(&error).to_string();
                let problem = format!("{} can't be read: {reason}", target.digest);
                found.push(Finding::new(subject(), problem));
            }
        }
    }

    /// Compares a blob with its digest.
    fn check_blob(&self, digest: &Digest, repair: bool) -> Result<Option<Finding>, Error> {
        let Ok(mut file) = self.content.open_blob(digest) else {
            // Removed meanwhile.
            return Ok(None);
        };
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; BUFFER];
        let unreadable = loop {
            match file.read(&mut buffer) {
                Ok(0) => break None,
                Ok(length) => hasher.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(format!("can't be read: {error}")),
            }
        };
        let problem = match unreadable {
            Some(problem) => problem,
            None if hasher.finish() == *digest => return Ok(None),
            None => "is not what its digest says".to_owned(),
        };
        let mut finding = Finding::new(format!("blob {digest}"), problem);
        if repair {
            finding.repaired = self.content.remove(digest)?;
            self.forget(digest);
        }
        Ok(Some(finding))
    }
}
