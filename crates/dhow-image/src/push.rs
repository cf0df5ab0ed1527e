//! Pushing: blobs the registry lacks, then the manifests, the name last.

use std::sync::Arc;

use bytes::Bytes;
use dhow_distribution::{Credentials, Repository};
use dhow_oci::{Descriptor, Platform, Reference, media_type};
use futures::{TryStreamExt, stream};
use serde_json::json;

use crate::lookup::is_image;
use crate::meter::Meter;
use crate::records::{SourceRecord, reference_of};
use crate::store::{DocumentRef, LARGEST_DOCUMENT, Store};
use crate::{Error, Progress, ProgressDetail, ProgressSender};

/// How many blobs are sent at the same time, Docker's default.
const PARALLEL_BLOBS: usize = 5;

/// What is to be sent, manifests in the order to send them, the one that gets the name last.
struct Plan {
    blobs: Vec<Descriptor>,
    manifests: Vec<Descriptor>,
    /// Set when only one platform's manifest is sent for an index that isn't here as a whole.
    instead_of: Option<Descriptor>,
}

impl Store {
    /// Pushes the image called `reference`; without tag and digest, all tags of that repository.
    pub(crate) async fn push(
        self: &Arc<Self>,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<(), Error> {
        tell(
            progress,
            Progress::line(format!(
                "The push refers to repository [{}]",
                reference.name()
            )),
        )
        .await;
        if reference.tag().is_some() || reference.digest().is_some() {
            return self
                .push_one(reference, platform, credentials, progress)
                .await;
        }
        let mut tags: Vec<Reference> = self
            .records()?
            .iter()
            .filter_map(|(key, _)| reference_of(key))
            .filter(|other| other.tag().is_some() && other.name() == reference.name())
            .collect();
        tags.sort();
        if tags.is_empty() {
            return Err(Error::NotTagged(reference.familiar_name()));
        }
        for tag in tags {
            self.push_one(&tag, platform, credentials, progress).await?;
        }
        Ok(())
    }

    async fn push_one(
        self: &Arc<Self>,
        reference: &Reference,
        platform: Option<&Platform>,
        credentials: &Credentials,
        progress: &ProgressSender,
    ) -> Result<(), Error> {
        let missing = || Error::NoTag(reference.familiar());
        let found = self.find(&reference.canonical()).map_err(|_| missing())?;
        if found.named.is_none() {
            return Err(missing());
        }
        let reach = self.reach(&found.target);
        let _lease = self.leases.take(reach.blobs);
        let plan = self.plan(&found.target, platform, reference)?;
        let repository = self.registry.repository(reference, credentials);
        self.push_blobs(&plan.blobs, &repository, reference, progress)
            .await?;
        for (n, manifest) in plan.manifests.iter().enumerate() {
            let bytes = self.content.read(&manifest.digest, LARGEST_DOCUMENT)?;
            let last = n + 1 == plan.manifests.len();
            let target = match reference.tag() {
                Some(tag) if last => tag.to_owned(),
                _ => manifest.digest.to_string(),
            };
            repository
                .push_manifest(&target, &manifest.media_type, Bytes::from(bytes))
                .await?;
        }
        let Some(sent) = plan.manifests.last() else {
            return Ok(());
        };
        let name = reference
            .tag()
            .map_or_else(|| sent.digest.to_string(), str::to_owned);
        let text = format!("{name}: digest: {} size: {}", sent.digest, sent.size);
        tell(progress, Progress::line(text)).await;
        let aux = json!({"Tag": name, "Digest": sent.digest.to_string(), "Size": sent.size});
        let result = Progress {
            detail: Some(ProgressDetail::default()),
            aux: Some(aux),
            ..Progress::default()
        };
        tell(progress, result).await;
        if let Some(index) = &plan.instead_of {
            let aux = json!({
                "manifestPushedInsteadOfIndex": true,
                "originalIndex": index,
                "selectedManifest": sent,
            });
            tell(
                progress,
                Progress {
                    aux: Some(aux),
                    ..Progress::default()
                },
            )
            .await;
        }
        Ok(())
    }

    /// What to send: everything the image leads to, or only the platform's manifest where not all is here.
    fn plan(
        &self,
        target: &Descriptor,
        platform: Option<&Platform>,
        reference: &Reference,
    ) -> Result<Plan, Error> {
        let DocumentRef::Index(index) = self.manifest_or_index(target)? else {
            return self.plan_manifest(target, platform, reference);
        };
        let complete = index.manifests.iter().all(|m| self.is_here(m));
        if platform.is_some() || !complete {
            let mut plan = self.plan_manifest(target, platform, reference)?;
            plan.instead_of = platform.is_none().then(|| target.clone());
            return Ok(plan);
        }
        let mut plan = Plan {
            blobs: Vec::new(),
            manifests: Vec::new(),
            instead_of: None,
        };
        for descriptor in &index.manifests {
            self.plan_blobs(descriptor, &mut plan)?;
        }
        plan.manifests.push(target.clone());
        Ok(plan)
    }

    fn plan_manifest(
        &self,
        target: &Descriptor,
        platform: Option<&Platform>,
        reference: &Reference,
    ) -> Result<Plan, Error> {
        let loaded = self
            .choose(target, platform)?
            .ok_or_else(|| Error::WrongPlatform {
                reference: reference.familiar(),
                platform: platform.cloned().unwrap_or_else(Platform::host).to_string(),
            })?;
        let mut plan = Plan {
            blobs: Vec::new(),
            manifests: Vec::new(),
            instead_of: None,
        };
        self.plan_blobs(&loaded.descriptor, &mut plan)?;
        Ok(plan)
    }

    fn plan_blobs(&self, descriptor: &Descriptor, plan: &mut Plan) -> Result<(), Error> {
        let DocumentRef::Manifest(manifest) = self.manifest_or_index(descriptor)? else {
            return Err(Error::Invalid(format!(
                "{} is an index within an index",
                descriptor.digest
            )));
        };
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let known = plan.blobs.iter().any(|other| other.digest == blob.digest);
            // Layers that may not be distributed stay with whoever has them.
            if !known && !media_type::is_foreign(&blob.media_type) {
                plan.blobs.push(blob.clone());
            }
        }
        plan.manifests.push(descriptor.clone());
        Ok(())
    }

    fn is_here(&self, manifest: &Descriptor) -> bool {
        if !self.content.contains(&manifest.digest) {
            return false;
        }
        match self.manifest_or_index(manifest) {
            Ok(DocumentRef::Manifest(document)) => {
                let mut blobs = document.layers.iter().chain([&document.config]);
                blobs.all(|blob| self.content.contains(&blob.digest))
            }
            _ => !is_image(manifest),
        }
    }

    async fn push_blobs(
        self: &Arc<Self>,
        blobs: &[Descriptor],
        repository: &Repository,
        reference: &Reference,
        progress: &ProgressSender,
    ) -> Result<(), Error> {
        for blob in blobs
            .iter()
            .filter(|blob| !media_type::is_config(&blob.media_type))
        {
            tell(progress, Progress::of(blob.digest.short(), "Preparing")).await;
        }
        stream::iter(blobs.iter().map(Ok))
            .try_for_each_concurrent(PARALLEL_BLOBS, |blob| async move {
                let result = self
                    .push_blob(blob, repository, reference, progress)
                    .await?;
                // The config is no layer; people are told of layers only.
                if !media_type::is_config(&blob.media_type) {
                    tell(progress, Progress::of(blob.digest.short(), result)).await;
                }
                Ok::<(), Error>(())
            })
            .await
    }

    /// Has a blob in the repository; returns how, as it is told.
    async fn push_blob(
        &self,
        blob: &Descriptor,
        repository: &Repository,
        reference: &Reference,
        progress: &ProgressSender,
    ) -> Result<String, Error> {
        if repository.blob_exists(&blob.digest).await? {
            self.remember_source(&blob.digest, reference)?;
            return Ok("Layer already exists".into());
        }
        for from in self.sources(blob, reference)? {
            if repository.mount_blob(&blob.digest, from.path()).await? {
                self.remember_source(&blob.digest, reference)?;
                return Ok(format!("Mounted from {}", from.path()));
            }
        }
        let file = self.content.open_blob(&blob.digest)?;
        let meter = Meter::new(progress, blob.digest.short(), blob.size);
        let silent = media_type::is_config(&blob.media_type);
        let sent = Arc::new(move |bytes| {
            if !silent {
                meter.pushing(bytes);
            }
        });
        repository.push_blob(blob, &file, sent).await?;
        self.remember_source(&blob.digest, reference)?;
        Ok("Pushed".into())
    }

    /// Other repositories of the same registry that are known to have the blob.
    fn sources(&self, blob: &Descriptor, reference: &Reference) -> Result<Vec<Reference>, Error> {
        let record = self
            .db
            .get::<SourceRecord>(&blob.digest.to_string())?
            .unwrap_or_default();
        Ok(record
            .repositories
            .iter()
            .filter_map(|name| Reference::parse(name).ok())
            .filter(|other| {
                other.domain() == reference.domain() && other.path() != reference.path()
            })
            .collect())
    }
}

async fn tell(progress: &ProgressSender, message: Progress) {
    // Nobody listening is no reason to stop.
    let _ = progress.send(message).await;
}
