//! Finding images: by name, digest or the beginning of an id; listing them; what they weigh.

use std::collections::{HashMap, HashSet};

use dhow_oci::{Descriptor, Digest, Platform, Reference, chain_id, media_type};

use crate::records::{ImageRecord, reference_of};
use crate::store::{DocumentRef, Loaded, Store};
use crate::{Error, Image, PlatformImage};

/// Annotations by which BuildKit marks attestations.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// A record with its key.
pub(crate) type Named = (String, ImageRecord);

/// What a user's words lead to.
pub(crate) struct Found {
    /// The record named, if it was named; an id leads to an image, not to one of its names.
    pub(crate) named: Option<Named>,
    /// The image.
    pub(crate) target: Descriptor,
    /// Every record of the image.
    pub(crate) all: Vec<Named>,
    /// The words as a reference, unless they were an id.
    pub(crate) reference: Option<Reference>,
}

impl Store {
    /// Finds the image that `name` means.
    pub(crate) fn find(&self, name: &str) -> Result<Found, Error> {
        let records = self.records()?;
        let digest = name
            .parse::<Digest>()
            .ok()
            .or_else(|| Digest::from_hex(name).ok());
        if let Some(digest) = digest {
            return found_id(&records, |id| *id == digest)
                .ok_or_else(|| Error::NotFound(digest.to_string()));
        }
        let reference = Reference::parse(name)?.with_default_tag();
        let missing = || Error::NotFound(reference.familiar());
        if let Some(digest) = reference.digest() {
            let same_name = |(key, record): &&Named| {
                record.target.digest == *digest
                    && reference_of(key).is_some_and(|r| r.name() == reference.name())
            };
            let named = records
                .iter()
                .find(same_name)
                .cloned()
                .ok_or_else(missing)?;
            return Ok(found_named(&records, named, reference));
        }
        let key = reference.canonical();
        if let Some(named) = records.iter().find(|(k, _)| *k == key).cloned() {
            return Ok(found_named(&records, named, reference));
        }
        let Some(prefix) = id_prefix(name) else {
            return Err(missing());
        };
        let ids: HashSet<Digest> = records
            .iter()
            .map(|(_, record)| record.target.digest)
            .filter(|id| id.hex().starts_with(prefix))
            .collect();
        if ids.len() > 1 {
            return Err(Error::Ambiguous(name.to_owned()));
        }
        let id = ids.into_iter().next().ok_or_else(missing)?;
        found_id(&records, |other| *other == id).ok_or_else(missing)
    }

    /// The image for `platform`, or this machine's.
    pub(crate) fn resolve(&self, name: &str, platform: Option<&Platform>) -> Result<Image, Error> {
        let found = self.find(name)?;
        let loaded = self.choose(&found.target, platform)?.ok_or_else(|| {
            let platform = platform.cloned().unwrap_or_else(Platform::host);
            Error::WrongPlatform {
                reference: name.to_owned(),
                platform: platform.to_string(),
            }
        })?;
        self.image(&found.target, loaded, &found.all)
    }

    /// Every image, newest first.
    pub(crate) fn list(&self) -> Result<Vec<Image>, Error> {
        let mut by_target: HashMap<Digest, Vec<Named>> = HashMap::new();
        for named in self.records()?.iter() {
            by_target
                .entry(named.1.target.digest)
                .or_default()
                .push(named.clone());
        }
        let mut images = Vec::with_capacity(by_target.len());
        for (id, records) in by_target {
            let target = records[0].1.target.clone();
            let image = self
                .choose_any(&target)
                .and_then(|loaded| self.image(&target, loaded, &records));
            match image {
                Ok(image) => images.push(image),
                Err(error) => tracing::warn!(image = %id, %error, "image is broken"),
            }
        }
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(images)
    }

    /// The manifest of `target` for `platform`; without one, this machine's. `None` when none fits.
    ///
    /// A plain manifest is taken whatever it is for unless a platform is asked for, as Docker does.
    pub(crate) fn choose(
        &self,
        target: &Descriptor,
        platform: Option<&Platform>,
    ) -> Result<Option<Loaded>, Error> {
        match self.manifest_or_index(target)? {
            DocumentRef::Manifest(_) => {
                let loaded = self.loaded(target)?;
                let fits = platform.is_none_or(|p| p.matches(&loaded.config.platform()));
                Ok(fits.then_some(loaded))
            }
            DocumentRef::Index(index) => {
                if let Some(platform) = platform {
                    return self.best_available(&index.manifests, platform);
                }
                match self.best_available(&index.manifests, &Platform::host())? {
                    Some(loaded) => Ok(Some(loaded)),
                    None => self.first_available(&index.manifests),
                }
            }
        }
    }

    /// The manifest of `target` that fits best, or any that is here.
    fn choose_any(&self, target: &Descriptor) -> Result<Loaded, Error> {
        self.choose(target, None)?
            .ok_or_else(|| Error::Invalid(format!("{} has no manifest here", target.digest)))
    }

    fn best_available(
        &self,
        manifests: &[Descriptor],
        platform: &Platform,
    ) -> Result<Option<Loaded>, Error> {
        for descriptor in by_preference(manifests, platform) {
            if self.content.contains(&descriptor.digest) {
                return self.loaded(descriptor).map(Some);
            }
        }
        // Entries without a platform tell theirs in their configs.
        for descriptor in manifests
            .iter()
            .filter(|d| d.platform.is_none() && is_image(d))
        {
            if self.content.contains(&descriptor.digest) {
                let loaded = self.loaded(descriptor)?;
                if platform.matches(&loaded.config.platform()) {
                    return Ok(Some(loaded));
                }
            }
        }
        Ok(None)
    }

    fn first_available(&self, manifests: &[Descriptor]) -> Result<Option<Loaded>, Error> {
        manifests
            .iter()
            .find(|d| is_image(d) && self.content.contains(&d.digest))
            .map(|descriptor| self.loaded(descriptor))
            .transpose()
    }

    /// Puts together what is known of an image.
    pub(crate) fn image(
        &self,
        target: &Descriptor,
        loaded: Loaded,
        records: &[Named],
    ) -> Result<Image, Error> {
        let names: Vec<Reference> = records
            .iter()
            .filter_map(|(key, _)| reference_of(key))
            .collect();
        let mut digests: Vec<Reference> = names
            .iter()
            .map(|name| name.with_digest(target.digest))
            .collect();
        digests.sort();
        digests.dedup();
        let diff_ids = &loaded.config.rootfs.diff_ids;
        let chain = match diff_ids.is_empty() {
            true => None,
            false => {
                let chain = chain_id(diff_ids);
                self.snapshots.contains(&chain)?.then_some(chain)
            }
        };
        Ok(Image {
            id: target.digest,
            target: target.clone(),
            config_digest: loaded.manifest.config.digest,
            tags: names
                .into_iter()
                .filter(|name| name.tag().is_some())
                .collect(),
            digests,
            size: self.size(target)?,
            chain,
            created: loaded.config.created,
            last_tagged: records.iter().map(|(_, record)| record.tagged_at).max(),
            parent: records.iter().find_map(|(_, record)| record.parent),
            manifest: loaded.descriptor,
            config: loaded.config,
        })
    }

    /// The manifests of an image.
    pub(crate) fn platforms(&self, target: &Descriptor) -> Result<Vec<PlatformImage>, Error> {
        let manifests = match self.manifest_or_index(target)? {
            DocumentRef::Manifest(_) => vec![target.clone()],
            DocumentRef::Index(index) => index.manifests.clone(),
        };
        manifests
            .into_iter()
            .map(|descriptor| self.platform_image(descriptor))
            .collect()
    }

    fn platform_image(&self, descriptor: Descriptor) -> Result<PlatformImage, Error> {
        let mut image = PlatformImage {
            platform: descriptor
                .platform
                .clone()
                .unwrap_or_else(|| Platform::new("unknown", "unknown")),
            attests: attested(&descriptor),
            available: false,
            content_size: 0,
            unpacked_size: 0,
            descriptor,
        };
        if !self.content.contains(&image.descriptor.digest) {
            return Ok(image);
        }
        let DocumentRef::Manifest(manifest) = self.manifest_or_index(&image.descriptor)? else {
            return Ok(image);
        };
        let mut blobs = vec![&image.descriptor, &manifest.config];
        blobs.extend(&manifest.layers);
        image.available = blobs.iter().all(|blob| self.content.contains(&blob.digest));
        image.content_size = self.blobs_size(blobs.into_iter().map(|blob| blob.digest).collect());
        if media_type::is_config(&manifest.config.media_type)
            && let Ok(config) = self.config(&manifest.config.digest)
        {
            if image.descriptor.platform.is_none() {
                image.platform = config.platform();
            }
            if image.attests.is_none() {
                image.unpacked_size = self.layers_size(&chains(&config.rootfs.diff_ids))?;
            }
        }
        Ok(image)
    }

    /// Bytes of all blobs and layers an image leads to.
    pub(crate) fn size(&self, target: &Descriptor) -> Result<u64, Error> {
        let reach = self.reach(target);
        Ok(self.blobs_size(reach.blobs) + self.layers_size(&reach.chains)?)
    }

    /// Bytes of `image` that other images lead to as well.
    pub(crate) fn shared_size(&self, target: &Descriptor) -> Result<u64, Error> {
        let own = self.reach(target);
        let mut others = Reach::default();
        for (_, record) in self.records()?.iter() {
            if record.target.digest != target.digest {
                others.add(self.reach(&record.target));
            }
        }
        let blobs = own.blobs.intersection(&others.blobs).copied().collect();
        let chains: HashSet<Digest> = own.chains.intersection(&others.chains).copied().collect();
        Ok(self.blobs_size(blobs) + self.layers_size(&chains)?)
    }

    /// Bytes of everything images lead to.
    pub(crate) fn disk_usage(&self) -> Result<u64, Error> {
        let mut all = Reach::default();
        for (_, record) in self.records()?.iter() {
            all.add(self.reach(&record.target));
        }
        Ok(self.blobs_size(all.blobs) + self.layers_size(&all.chains)?)
    }

    fn blobs_size(&self, blobs: HashSet<Digest>) -> u64 {
        blobs
            .iter()
            .filter_map(|digest| self.content.size(digest).ok())
            .sum()
    }

    fn layers_size(&self, chains: &HashSet<Digest>) -> Result<u64, Error> {
        let mut size = 0;
        for chain in chains {
            match self.snapshots.layer(chain) {
                Ok(layer) => size += layer.size,
                Err(dhow_snapshot::Error::NoLayer(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(size)
    }

    /// Everything an image leads to, as far as it is here.
    pub(crate) fn reach(&self, target: &Descriptor) -> Reach {
        let mut reach = Reach::default();
        self.reach_into(target, &mut reach, 0);
        reach
    }

    fn reach_into(&self, target: &Descriptor, reach: &mut Reach, depth: usize) {
        // Indexes within indexes are allowed, endless ones are not possible but very deep ones are.
        if depth > 4 || !reach.blobs.insert(target.digest) {
            return;
        }
        let is_document =
            media_type::is_index(&target.media_type) || media_type::is_manifest(&target.media_type);
        if !is_document || !self.content.contains(&target.digest) {
            return;
        }
        match self.manifest_or_index(target) {
            Ok(DocumentRef::Index(index)) => {
                for manifest in &index.manifests {
                    self.reach_into(manifest, reach, depth + 1);
                }
            }
            Ok(DocumentRef::Manifest(manifest)) => {
                reach.blobs.insert(manifest.config.digest);
                reach
                    .blobs
                    .extend(manifest.layers.iter().map(|layer| layer.digest));
                if media_type::is_config(&manifest.config.media_type)
                    && let Ok(config) = self.config(&manifest.config.digest)
                {
                    reach.chains.extend(chains(&config.rootfs.diff_ids));
                }
            }
            Err(error) => tracing::warn!(manifest = %target.digest, %error, "can't be read"),
        }
    }
}

/// What an image leads to.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    pub(crate) blobs: HashSet<Digest>,
    pub(crate) chains: HashSet<Digest>,
}

impl Reach {
    pub(crate) fn add(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
        self.chains.extend(other.chains);
    }
}

/// The chain ids of all layers of a stack.
pub(crate) fn chains(diff_ids: &[Digest]) -> HashSet<Digest> {
    chain_list(diff_ids).into_iter().collect()
}

/// The chain ids of all layers of a stack, lowest first.
pub(crate) fn chain_list(diff_ids: &[Digest]) -> Vec<Digest> {
    (1..=diff_ids.len())
        .map(|n| chain_id(&diff_ids[..n]))
        .collect()
}

/// The manifests that run on `platform`, best first.
pub(crate) fn by_preference<'a>(
    manifests: &'a [Descriptor],
    platform: &Platform,
) -> Vec<&'a Descriptor> {
    let mut fitting: Vec<(usize, &Descriptor)> = manifests
        .iter()
        .filter(|descriptor| is_image(descriptor))
        .filter_map(|descriptor| Some((platform.rank(descriptor.platform.as_ref()?)?, descriptor)))
        .collect();
    fitting.sort_by_key(|(rank, _)| *rank);
    fitting
        .into_iter()
        .map(|(_, descriptor)| descriptor)
        .collect()
}

/// Whether an index's entry is an image and not something about one.
pub(crate) fn is_image(descriptor: &Descriptor) -> bool {
    descriptor.annotation(REFERENCE_TYPE).is_none()
        && (media_type::is_manifest(&descriptor.media_type) || descriptor.media_type.is_empty())
}

/// The manifest that an attestation is about.
pub(crate) fn attested(descriptor: &Descriptor) -> Option<Digest> {
    descriptor.annotation(REFERENCE_TYPE)?;
    descriptor.annotation(REFERENCE_DIGEST)?.parse().ok()
}

fn found_named(records: &[Named], named: Named, reference: Reference) -> Found {
    let target = named.1.target.clone();
    let all = with_target(records, &target.digest);
    Found {
        named: Some(named),
        target,
        all,
        reference: Some(reference),
    }
}

fn found_id(records: &[Named], is_it: impl Fn(&Digest) -> bool) -> Option<Found> {
    let target = records
        .iter()
        .find(|(_, r)| is_it(&r.target.digest))?
        .1
        .target
        .clone();
    let all = with_target(records, &target.digest);
    Some(Found {
        named: None,
        target,
        all,
        reference: None,
    })
}

/// The records that lead to the image `id`.
pub(crate) fn with_target(records: &[Named], id: &Digest) -> Vec<Named> {
    records
        .iter()
        .filter(|(_, record)| record.target.digest == *id)
        .cloned()
        .collect()
}

/// The digits, if `name` may be the beginning of an id.
fn id_prefix(name: &str) -> Option<&str> {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let hex = digits
        .bytes()
        .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (hex && (4..=64).contains(&digits.len())).then_some(digits)
}
