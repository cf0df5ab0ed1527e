//! What is made of a result: an image in the store, in registries, or files for the client.
//!
//! An image is *composed* first, purely: each platform's configuration gets its layers and times. Then its documents are
//! *written* into the content store: configurations, manifests, attestations, and an index where there is more than one
//! manifest. Last it is *named*, pushed, or packed for the client.

mod attest;
mod compose;
mod files;
mod layers;
mod layout;
mod sbom;
mod write;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dhow_distribution::Credentials;
use dhow_oci::{Descriptor, Digest, Reference};
use jiff::Timestamp;

use crate::builder::BuilderConfig;
use crate::client::ExportedFiles;
use crate::error::Error;
use crate::plan::Plan;
use crate::request::{BuildRequest, Export, ImageOptions, Outcome};
use crate::resolve::tell::Telling;
use crate::result::Root;

/// Carries out all of a request's exports; `roots` are the results of the plan's targets, in their order.
///
/// Whoever calls this holds the layers and blobs until it returns.
///
/// # Errors
/// The first export that failed.
pub async fn export(
    request: &BuildRequest,
    kit: &BuilderConfig,
    plan: &Plan,
    roots: &[Root],
) -> Result<Outcome, Error> {
    if request.options.squash && !request.exports.is_empty() {
        return Err(Error::NotImplemented(
            "squashing the layers of an image".into(),
        ));
    }
    let exporting = Exporting {
        request,
        kit,
        plan,
        roots,
    };
    let mut outcome = Outcome::default();
    for (position, export) in request.exports.iter().enumerate() {
        exporting.one(position, export, &mut outcome).await?;
    }
    Ok(outcome)
}

/// What exports are made of.
#[derive(Clone, Copy)]
struct Exporting<'a> {
    request: &'a BuildRequest,
    kit: &'a BuilderConfig,
    plan: &'a Plan,
    roots: &'a [Root],
}

/// An image whose documents are in the content store.
struct Written {
    /// A manifest or an index.
    target: Descriptor,
    /// The configuration, if there is one platform.
    config: Option<Digest>,
    /// All manifests, configurations, layers and the index itself.
    blobs: Vec<Descriptor>,
    /// The first platform's provenance.
    provenance: Option<String>,
}

impl Exporting<'_> {
    fn telling(&self, name: &str) -> Telling {
        Telling::begin(&self.request.listener, &self.request.id, name)
    }

    async fn one(
        &self,
        position: usize,
        export: &Export,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        match export {
            Export::Image { names, push, image } => {
                let telling = self.telling("exporting to image");
                let result = self.image(names, *push, image, &telling).await;
                let (written, names) = telling.end(result)?;
                note(outcome, &written, &names);
            }
            Export::Local { split } => {
                let telling = self.telling("exporting to client directory");
                let result = self.directory(position, *split, &telling).await;
                telling.end(result)?;
            }
            Export::Tar => {
                let telling = self.telling("exporting to client tarball");
                let result = self.tar(position, &telling).await;
                telling.end(result)?;
            }
            Export::Oci { .. } | Export::Docker { .. } => {
                let kind = match export {
                    Export::Docker { .. } => "docker",
                    _ => "oci",
                };
                let telling = self.telling(&format!("exporting to {kind} image format"));
                let result = self.layout(position, export, &telling).await;
                note(outcome, &telling.end(result)?, &[]);
            }
        }
        Ok(())
    }

    /// An image in the store, and in the registries of its names.
    async fn image(
        &self,
        names: &[Reference],
        push: bool,
        options: &ImageOptions,
        telling: &Telling,
    ) -> Result<(Written, Vec<String>), Error> {
        let (written, _pause) = self.written(options, telling).await?;
        let started = Timestamp::now();
        let images = self.kit.images.clone();
        let (target, owned) = (written.target.clone(), names.to_vec());
        let image = blocking(move || Ok(images.name(&target, &owned)?)).await?;
        let shown: Vec<String> = names.iter().map(Reference::canonical).collect();
        for name in &shown {
            telling.task(format!("naming to {name}"), started);
        }
        if image.chain.is_none() && !image.config.rootfs.diff_ids.is_empty() {
            let started = Timestamp::now();
            let images = self.kit.images.clone();
            blocking(move || Ok(images.unpack(&image).map(drop)?)).await?;
            telling.task("unpacking", started);
        }
        if push {
            for name in names {
                self.push(name, telling).await?;
            }
        }
        Ok((written, shown))
    }

    async fn push(&self, name: &Reference, telling: &Telling) -> Result<(), Error> {
        let started = Timestamp::now();
        let name = name.clone().with_default_tag();
        let credentials = credentials(self.request, name.domain()).await;
        let (sender, mut told) = tokio::sync::mpsc::channel(16);
        let pushing = self.kit.images.push(&name, None, &credentials, &sender);
        tokio::pin!(pushing);
        let result = loop {
            tokio::select! {
                result = &mut pushing => break result,
                _ = told.recv() => {}
            }
        };
        result?;
        telling.task("pushing layers", started);
        telling.task(
            format!("pushing manifest for {}", name.canonical()),
            started,
        );
        Ok(())
    }

    /// Has the image's documents in the content store; nothing is removed from that while the second is held.
    async fn written(
        &self,
        options: &ImageOptions,
        telling: &Telling,
    ) -> Result<(Written, dhow_image::Pause), Error> {
        let started = Timestamp::now();
        let pause = self.kit.images.pause_collection();
        let composed = compose::compose(self.plan, self.roots);
        let epoch = self.plan.epoch;
        let (kit, owned) = (self.kit.clone(), options.clone());
        let composed = blocking(move || layers::prepared(&kit, composed, &owned, epoch)).await?;
        telling.task("exporting layers", started);
        let started = Timestamp::now();
        let provenance = attest::Invocation::of(self.request, self.plan);
        let (kit, owned) = (self.kit.clone(), options.clone());
        let multi = self.request.options.multi_platform;
        let written =
            blocking(move || write::write(&kit, &composed, &owned, multi, &provenance)).await?;
        telling.task(format!("writing image {}", written.target.digest), started);
        Ok((written, pause))
    }

    async fn directory(
        &self,
        position: usize,
        split: Option<bool>,
        telling: &Telling,
    ) -> Result<(), Error> {
        let started = Timestamp::now();
        let split = split.unwrap_or(self.plan.targets.len() > 1);
        let views = self.views();
        let (kit, epoch) = (self.kit.clone(), self.plan.epoch);
        let folder = blocking(move || files::folder(&kit, &views, split, epoch)).await?;
        let path = folder.path().to_owned();
        self.hand_over(position, ExportedFiles::Directory(path))
            .await?;
        telling.task("copying files", started);
        drop(folder);
        Ok(())
    }

    async fn tar(&self, position: usize, telling: &Telling) -> Result<(), Error> {
        let started = Timestamp::now();
        let views = self.views();
        let (kit, epoch) = (self.kit.clone(), self.plan.epoch);
        let file = blocking(move || files::tar(&kit, &views, epoch)).await?;
        let path = file.path().to_owned();
        self.hand_over(position, ExportedFiles::File(path)).await?;
        telling.task("sending tarball", started);
        Ok(())
    }

    async fn layout(
        &self,
        position: usize,
        export: &Export,
        telling: &Telling,
    ) -> Result<Written, Error> {
        let (names, tar, options, docker) = match export {
            Export::Oci { names, tar, image } => (names, *tar, image, false),
            Export::Docker { names, image } => (names, true, image, true),
            _ => return Err(Error::invalid("this is no layout")),
        };
        let (written, pause) = self.written(options, telling).await?;
        let started = Timestamp::now();
        let layout = layout::Layout {
            target: written.target.clone(),
            blobs: written.blobs.clone(),
            names: names.clone(),
            docker,
        };
        let kit = self.kit.clone();
        let (path, kept) = blocking(move || layout.made(&kit, tar)).await?;
        let files = match tar {
            true => ExportedFiles::File(path),
            false => ExportedFiles::Directory(path),
        };
        self.hand_over(position, files).await?;
        telling.task("sending tarball", started);
        drop((kept, pause));
        Ok(written)
    }

    fn views(&self) -> Vec<files::View> {
        let targets = self.plan.targets.iter().zip(self.roots);
        targets
            .map(|(target, root)| files::View {
                platform: target.platform.clone(),
                chain: root.chain_id(),
            })
            .collect()
    }

    async fn hand_over(&self, position: usize, files: ExportedFiles) -> Result<(), Error> {
        let received = self.request.client.receive(position, files).await;
        received.map_err(|source| Error::Client {
            what: "the client did not take what was exported".into(),
            source,
        })
    }
}

/// Tells in the outcome what was exported.
fn note(outcome: &mut Outcome, written: &Written, names: &[String]) {
    let target = &written.target;
    let mut noted = BTreeMap::from([(
        "containerimage.digest".to_owned(),
        target.digest.to_string(),
    )]);
    if let Some(config) = written.config {
        noted.insert("containerimage.config.digest".into(), config.to_string());
    }
    if let Ok(json) = serde_json::to_vec(target) {
        noted.insert("containerimage.descriptor".into(), STANDARD.encode(json));
    }
    if let Some(provenance) = &written.provenance {
        noted.insert(
            "buildx.build.provenance".into(),
            STANDARD.encode(provenance),
        );
    }
    if !names.is_empty() {
        noted.insert("image.name".into(), names.join(","));
    }
    outcome.metadata.extend(noted);
    outcome.image = Some(target.clone());
    outcome.config = written.config;
    outcome.names.extend(names.iter().cloned());
}

/// What the client shows to a registry.
pub(crate) async fn credentials(request: &BuildRequest, registry: &str) -> Credentials {
    match request.client.credentials(registry).await {
        Some((name, token)) if name.is_empty() => Credentials {
            identity_token: token,
            ..Credentials::default()
        },
        Some((name, password)) => Credentials::basic(name, password),
        None => Credentials::anonymous(),
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Cancelled)?
}

#[cfg(test)]
mod tests;
