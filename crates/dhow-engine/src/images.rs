//! Images: the image store, with events told and the images of containers protected.

use std::collections::HashMap;
use std::sync::Arc;

use dhow_distribution::Credentials;
use dhow_image::{
    Attestation, Deleted, HistoryEntry, Image, ImportOptions, InUse, PlatformImage, ProgressSender,
    Pruned,
};
use dhow_oci::{Digest, Platform, Reference};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Result;
use crate::events::EventKind;
use crate::filters::Filters;
use crate::services::{Services, blocking};

/// An image in a list.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    /// The image.
    pub image: Image,
    /// How many containers were made from it.
    pub containers: usize,
    /// Bytes it shares with other images, when asked for.
    pub shared_size: Option<u64>,
}

/// Images, each named by a reference, its id or the beginning of its id.
#[derive(Debug, Clone)]
pub struct Images {
    pub(crate) services: Arc<Services>,
}

impl Images {
    /// The image of that name.
    ///
    /// # Errors
    /// There is none, or the name is malformed.
    pub fn inspect(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        Ok(self.services.images.resolve(name, platform)?)
    }

    /// The images that pass the filters (`before`, `dangling`, `label`, `reference`, `since`, `until`), newest first.
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub fn list(&self, filters: &Filters, shared_size: bool) -> Result<Vec<ImageSummary>> {
        let store = &self.services.images;
        let query = Query::new(store, filters)?;
        let uses = self.uses();
        let mut list = Vec::new();
        for image in store.list()? {
            if !query.accepts(&image) {
                continue;
            }
            let containers = uses.get(&image.id).map_or(0, Vec::len);
            let shared_size = if shared_size {
                Some(store.shared_size(&image)?)
            } else {
                None
            };
            list.push(ImageSummary {
                image,
                containers,
                shared_size,
            });
        }
        Ok(list)
    }

    /// The full ids of containers, by the manifest they were made from.
    #[must_use]
    pub fn containers(&self) -> HashMap<Digest, Vec<String>> {
        let mut containers = HashMap::<Digest, Vec<String>>::new();
        for container in self.services.containers.all() {
            let image = container.outline().image.clone();
            let manifest = image.manifest.as_ref().map_or(image.id, |one| one.digest);
            let of_it = containers.entry(manifest).or_default();
            of_it.push(container.id.clone());
        }
        containers
    }

    /// The manifests of an image, one per platform and attestation.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn platforms(&self, image: &Image) -> Result<Vec<PlatformImage>> {
        Ok(self.services.images.platforms(image)?)
    }

    /// Gives the image `source` another name.
    ///
    /// # Errors
    /// There is no such image.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<()> {
        let image = self.services.images.resolve(source, None)?;
        self.services.images.tag(source, target)?;
        let name = target.clone().with_default_tag().familiar();
        self.tell(&image, "tag", &name);
        Ok(())
    }

    /// Tells that a build has given an image these names.
    pub fn built(&self, names: &[String]) {
        for name in names {
            match self.services.images.resolve(name, None) {
                Ok(image) => {
                    let name = Reference::parse(name)
                        .map_or_else(|_| name.clone(), |name| name.with_default_tag().familiar());
                    self.tell(&image, "tag", &name);
                }
                // Somebody has taken the name away already, and told so.
                Err(error) => tracing::debug!(%error, "an image that was built is gone"),
            }
        }
    }

    /// Removes a name, or an image with all its names.
    ///
    /// # Errors
    /// There is no such image, or containers use it.
    pub async fn remove(&self, name: &str, force: bool, prune: bool) -> Result<Vec<Deleted>> {
        let image = self.services.images.resolve(name, None)?;
        let (services, wanted, uses) = (self.services.clone(), name.to_owned(), self.uses());
        let deleted = blocking(move || {
            services
                .images
                .remove(&wanted, force, prune, &|id| in_use(&uses, id))
        })
        .await?;
        self.tell_deleted(&image, &deleted);
        Ok(deleted)
    }

    /// Removes what no container uses (filters: `dangling`, `label`, `label!`, `until`).
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        filters.check(&["dangling", "label", "label!", "until"])?;
        let dangling_only = filters.flag("dangling", true)?;
        let until = filters.time("until", Timestamp::now())?;
        let (services, uses, filters) = (self.services.clone(), self.uses(), filters.clone());
        let pruned = blocking(move || {
            let select = |image: &Image| {
                let labels = &image.config.config.labels;
                (!dangling_only || image.is_dangling())
                    && until.is_none_or(|until| image.created.is_none_or(|created| created < until))
                    && filters.labels("label", labels)
                    && !filters.any_label("label!", labels)
            };
            services.images.prune(&select, &|id| in_use(&uses, id))
        })
        .await?;
        for deleted in &pruned.deleted {
            if let Deleted::Deleted(id) = deleted {
                self.tell_gone(id);
            }
        }
        let reclaimed = pruned.reclaimed.to_string();
        self.services
            .tell_other(EventKind::Image, "prune", "", &[("reclaimed", &reclaimed)]);
        Ok(pruned)
    }

    /// How the image, its variant for `platform` or for this machine, came about, newest step first.
    ///
    /// # Errors
    /// There is no such image, or none for the platform.
    pub fn history(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<HistoryEntry>> {
        Ok(self.services.images.history(name, platform)?)
    }

    /// The statements about the image, its variant for `platform` or for this machine, and with `texts` what they say.
    ///
    /// # Errors
    /// There is no such image, none for the platform, or a statement can't be read.
    pub fn attestations(
        &self,
        name: &str,
        platform: Option<&Platform>,
        texts: bool,
    ) -> Result<Vec<(Attestation, Option<Vec<u8>>)>> {
        let images = &self.services.images;
        let with_text = |attestation| {
            let text = texts.then(|| images.statement(&attestation)).transpose()?;
            Ok((attestation, text))
        };
        let all = images.attestations(name, platform)?;
        all.into_iter().map(with_text).collect()
    }

    /// Fetches an image from its registry.
    ///
    /// # Errors
    /// As the registry says.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<Image> {
        let image = self
            .services
            .images
            .pull(reference, platform, credentials, progress)
            .await?;
        self.tell_transfer(reference, "pull");
        Ok(image)
    }

    /// Fetches the images of all tags of a repository.
    ///
    /// # Errors
    /// As the registry says; what was fetched before stays.
    pub async fn pull_all(
        &self,
        repository: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<()> {
        let images = &self.services.images;
        let pulled = images
            .pull_all(repository, platform, credentials, progress)
            .await?;
        for (reference, _) in pulled {
            self.tell_transfer(&reference, "pull");
        }
        Ok(())
    }

    /// Sends an image to its registry.
    ///
    /// # Errors
    /// There is no such image, or as the registry says.
    pub async fn push(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<()> {
        self.services
            .images
            .push(reference, platform, credentials, progress)
            .await?;
        self.tell_transfer(reference, "push");
        Ok(())
    }

    /// Takes the images of an archive.
    ///
    /// # Errors
    /// The archive is malformed.
    pub async fn load(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        platforms: &[Platform],
        progress: &ProgressSender,
    ) -> Result<Vec<Image>> {
        let images = self
            .services
            .images
            .load(archive, platforms, progress)
            .await?;
        for image in &images {
            self.tell(image, "load", &image.id.to_string());
        }
        Ok(images)
    }

    /// Writes images as one archive.
    ///
    /// # Errors
    /// There is no such image (found before the first byte is written), or writing fails.
    pub async fn save(
        &self,
        names: &[String],
        platforms: &[Platform],
        out: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<()> {
        self.services.images.save(names, platforms, out).await?;
        for name in names {
            if let Ok(image) = self.services.images.resolve(name, platforms.first()) {
                self.tell(&image, "save", &image.id.to_string());
            }
        }
        Ok(())
    }

    /// Makes an image of a file system's archive.
    ///
    /// # Errors
    /// The archive is malformed.
    pub async fn import(
        &self,
        archive: impl AsyncRead + Send + Unpin + 'static,
        options: ImportOptions,
    ) -> Result<Image> {
        let name = options.reference.clone();
        let image = self.services.images.import(archive, options).await?;
        if let Some(name) = name {
            self.tell(&image, "tag", &name.with_default_tag().familiar());
        }
        self.tell(&image, "import", &image.id.to_string());
        Ok(image)
    }

    /// The containers by the image they were made from.
    fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for container in self.services.containers.all() {
            let record = container.outline();
            let running = record.state.status.is_running();
            let user = InUse {
                container: container.id.clone(),
                running,
            };
            let list = uses.entry(record.image.id).or_default();
            // A running one is named rather than a stopped one.
            if running {
                list.insert(0, user)
            } else {
                list.push(user)
            }
        }
        uses
    }

    pub(crate) fn tell(&self, image: &Image, action: &str, name: &str) {
        let mut attributes = image.config.config.labels.clone();
        attributes.insert("name".into(), name.to_owned());
        self.services
            .events
            .tell(EventKind::Image, action, image.id.to_string(), attributes);
    }

    fn tell_transfer(&self, reference: &Reference, action: &str) {
        let id = reference.clone().with_default_tag().familiar();
        let name = reference.familiar_name();
        self.services
            .tell_other(EventKind::Image, action, &id, &[("name", &name)]);
    }

    fn tell_deleted(&self, image: &Image, deleted: &[Deleted]) {
        for entry in deleted {
            match entry {
                Deleted::Untagged(name) => self.tell(image, "untag", name),
                Deleted::Deleted(id) => self.tell_gone(id),
            }
        }
    }

    fn tell_gone(&self, id: &Digest) {
        let id = id.to_string();
        self.services
            .tell_other(EventKind::Image, "delete", &id, &[("name", &id)]);
    }
}

type Uses = HashMap<Digest, Vec<InUse>>;

fn in_use(uses: &Uses, id: &Digest) -> Option<InUse> {
    uses.get(id).and_then(|users| users.first().cloned())
}

/// A list's filters, checked and looked up.
struct Query<'a> {
    filters: &'a Filters,
    dangling: Option<bool>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl<'a> Query<'a> {
    fn new(store: &dhow_image::Images, filters: &'a Filters) -> Result<Self> {
        filters.check(&[
            "before",
            "dangling",
            "label",
            "label!",
            "reference",
            "since",
            "until",
        ])?;
        let created = |key: &str| -> Result<Option<Timestamp>> {
            let times: Result<Vec<_>> = filters
                .get(key)
                .iter()
                .map(|name| Ok(store.resolve(name, None)?.created))
                .collect();
            Ok(times?.into_iter().flatten().next_back())
        };
        let dangling = filters
            .contains("dangling")
            .then(|| filters.flag("dangling", false))
            .transpose()?;
        Ok(Self {
            filters,
            dangling,
            before: created("before")?,
            since: created("since")?,
            until: filters.time("until", Timestamp::now())?,
        })
    }

    fn accepts(&self, image: &Image) -> bool {
        let labels = &image.config.config.labels;
        let created = image.created.unwrap_or(Timestamp::UNIX_EPOCH);
        self.dangling
            .is_none_or(|dangling| dangling == image.is_dangling())
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && self.until.is_none_or(|until| created < until)
            && self.filters.labels("label", labels)
            && !self.filters.any_label("label!", labels)
            && self.filters.any("reference", |pattern| {
                image.tags.iter().any(|tag| names(pattern, tag))
            })
    }
}

/// Whether a pattern (`*` and `?` within a path's part) fits a reference, its name, or its last parts.
fn names(pattern: &str, reference: &Reference) -> bool {
    let forms = [
        reference.familiar(),
        reference.familiar_name(),
        reference.name(),
        format!(
            "{}:{}",
            reference.name(),
            reference.tag().unwrap_or_default()
        ),
    ];
    forms
        .iter()
        .any(|form| fits(pattern.as_bytes(), form.as_bytes()))
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            fits(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(first, tail)| *first != b'/' && fits(pattern, tail))
        }
        (Some((b'?', rest)), Some((byte, tail))) => *byte != b'/' && fits(rest, tail),
        (Some((wanted, rest)), Some((byte, tail))) => wanted == byte && fits(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn patterns_fit_references() {
        let reference = Reference::parse("localhost:5000/team/app:1.2").unwrap();
        for (pattern, wanted) in [
            ("localhost:5000/team/app", true),
            ("localhost:5000/*/app:1.*", true),
            ("localhost:5000/*", false),
            ("*/*/app", true),
            ("app", false),
        ] {
            assert_eq!(names(pattern, &reference), wanted, "{pattern}");
        }
        let busybox = Reference::parse("busybox:latest").unwrap();
        assert!(names("busy*", &busybox) && names("busybox:lat?st", &busybox));
    }
}
