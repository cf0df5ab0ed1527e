//! An image's root.

use std::collections::HashMap;
use std::sync::Arc;

use dhow_distribution::Credentials;
use dhow_image::{BaseImage, Progress};
use dhow_oci::{Digest, Platform};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::graph::ImageOp;
use crate::result::{Layer, Root};
use crate::solve::{Job, Task, Told};

/// Has the image here and unpacked, and tells how far its layers are; says whether it was all here before.
///
/// # Errors
/// When it can't be fetched.
pub(crate) async fn fetch(
    job: &Arc<Job>,
    op: &ImageOp,
    platform: &Platform,
    told: &Told,
) -> Result<(Root, bool), Error> {
    let reference = op.reference.with_digest(op.digest);
    let credentials = credentials(job, reference.domain()).await;
    let (sender, mut receiver) = mpsc::channel(64);
    let images = &job.cache.config.images;
    let fetching = async {
        let result = images
            .fetch(&reference, Some(platform), &credentials, &sender)
            .await;
        drop(sender);
        result
    };
    let telling = async {
        let mut tasks = Tasks::default();
        while let Some(progress) = receiver.recv().await {
            tasks.tell(&progress, told);
        }
    };
    let (fetched, ()) = tokio::join!(fetching, telling);
    let (base, protection) = fetched?;
    let root = root_of(job, &base)?;
    job.protection().extend(crate::cache::digests(&root));
    drop(protection);
    Ok((root, !base.fetched))
}

/// The client's name and password for a registry.
pub(crate) async fn credentials(job: &Job, registry: &str) -> Credentials {
    match job.client.credentials(registry).await {
        Some((name, secret)) if name.is_empty() => Credentials {
            identity_token: secret,
            ..Credentials::default()
        },
        Some((name, secret)) => Credentials::basic(name, secret),
        None => Credentials::anonymous(),
    }
}

/// The layers of an image with what they are known by.
fn root_of(job: &Job, base: &BaseImage) -> Result<Root, Error> {
    let mut chain: Option<Digest> = None;
    let mut layers = Vec::with_capacity(base.layers.len());
    for (blob, diff_id) in base.layers.iter().zip(&base.config.rootfs.diff_ids) {
        let chain_id = match chain {
            None => *diff_id,
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        let info = job.cache.config.snapshots.layer(&chain_id)?;
        layers.push(Layer {
            diff_id: *diff_id,
            chain_id,
            blob: blob.clone(),
            size: info.size,
            created: None,
        });
        chain = Some(chain_id);
    }
    Ok(Root { layers })
}

/// The layers being fetched, by their short digests.
#[derive(Default)]
struct Tasks {
    started: HashMap<String, (Timestamp, bool)>,
}

impl Tasks {
    fn tell(&mut self, progress: &Progress, told: &Told) {
        let Some(id) = &progress.id else {
            return;
        };
        let name = match progress.status.as_str() {
            "Downloading" | "Download complete" => format!("sha256:{id}"),
            "Extracting" | "Pull complete" => format!("extracting sha256:{id}"),
            _ => return,
        };
        let done = matches!(
            progress.status.as_str(),
            "Download complete" | "Pull complete"
        );
        let (started, ended) = self
            .started
            .entry(name.clone())
            .or_insert_with(|| (Timestamp::now(), false));
        if *ended {
            return;
        }
        *ended = done;
        let detail = progress.detail.unwrap_or_default();
        told.task(Task {
            id: &name,
            current: detail.current,
            total: detail.total,
            started: *started,
            done,
        });
    }
}
