//! `commit`: a container's changes as an image.

use std::io::{PipeReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dhow_image::{CommitOptions, Image, apply_changes};
use dhow_oci::ContainerConfig;

use super::Containers;
use crate::container::{Commit, ContainerRecord, Status};
use crate::images::Images;
use crate::services::{Services, blocking};
use crate::store::Container;
use crate::{Error, Result};
use dhow_container::spec::{self, Invalid};

impl Containers {
    /// Makes an image of what a container has changed, on top of the image that it was made from.
    ///
    /// # Errors
    /// The container does not exist or is being removed, its image is gone, or an instruction is malformed.
    pub async fn commit(&self, name: &str, commit: Commit) -> Result<Image> {
        if name.is_empty() {
            return Err(Invalid::new("invalid name or ID supplied: \"\"").into());
        }
        let container = self.services.find(name)?;
        let record = container.record();
        let refused = |what: &str| {
            let id = &record.id;
            Err(Error::Conflict(format!(
                "You cannot commit container {id} which is {what}"
            )))
        };
        match record.state.status {
            Status::Dead => return refused("Dead"),
            Status::Removing => return refused("being removed"),
            _ => {}
        }
        let config = config(&commit, &record)?;
        // Who can't be paused does not run.
        let paused = commit.pause
            && record.state.status == Status::Running
            && self.pause(&container.id).await.is_ok();
        let image = self.make_image(&record, &commit, config).await;
        if let Ok(image) = &image {
            self.tell_commit(&record, &commit, image);
        }
        if paused {
            self.resume(&container).await;
        }
        image
    }

    async fn make_image(
        &self,
        record: &Arc<ContainerRecord>,
        commit: &Commit,
        config: ContainerConfig,
    ) -> Result<Image> {
        let options = CommitOptions {
            reference: commit.reference.clone(),
            author: commit.author.clone(),
            comment: commit.comment.clone(),
            config,
            changes: Vec::new(),
            created_by: record.config.cmd.clone().unwrap_or_default().join(" "),
        };
        let (services, record) = (self.services.clone(), record.clone());
        blocking(move || make(&services, &record, options)).await
    }

    /// Thaws what was frozen for the commit, unless somebody else has seen to it meanwhile.
    async fn resume(&self, container: &Container) {
        if container.record().state.status == Status::Paused {
            crate::lifecycle::report("unpause container", self.unpause(&container.id).await);
        }
    }

    fn tell_commit(&self, record: &ContainerRecord, commit: &Commit, image: &Image) {
        let id = image.id.to_string();
        let name = commit
            .reference
            .clone()
            .map(|reference| reference.with_default_tag().familiar())
            .unwrap_or_default();
        let images = Images {
            services: self.services.clone(),
        };
        images.tell(image, "create", &id);
        if !name.is_empty() {
            images.tell(image, "tag", &name);
        }
        let attributes = [
            ("comment", commit.comment.as_str()),
            ("imageID", &id),
            ("imageRef", &name),
        ];
        self.services.tell_with(record, "commit", &attributes);
    }
}

/// Makes the image. Blocking and long.
fn make(services: &Services, record: &ContainerRecord, options: CommitOptions) -> Result<Image> {
    let platform = record
        .image
        .manifest
        .as_ref()
        .and_then(|manifest| manifest.platform.clone());
    let id = record.image.id.to_string();
    let parent = services.images.resolve(&id, platform.as_ref())?;
    if services.snapshots.is_unchanged(&record.id)? {
        return Ok(services.images.commit(Some(&parent), None, options)?);
    }
    let failed = |source| Error::View {
        step: "read",
        source,
    };
    let (pipe, out) = std::io::pipe().map_err(failed)?;
    let mut layer = Whole {
        pipe,
        broken: Arc::default(),
        cut: false,
    };
    let broken = layer.broken.clone();
    std::thread::scope(|scope| {
        let writer = std::thread::Builder::new()
            .name("diff".into())
            .spawn_scoped(scope, move || {
                let written = services.snapshots.diff(&record.id, &out);
                // Told before the pipe ends.
                broken.store(written.is_err(), Ordering::Release);
                drop(out);
                written
            })
            .map_err(failed)?;
        let image = services
            .images
            .commit(Some(&parent), Some(&mut layer), options);
        let cut = layer.cut;
        // The writer learns that nobody reads any more.
        drop(layer);
        let written = writer
            .join()
            .unwrap_or_else(|_| Err(dhow_snapshot::Error::NoSnapshot(record.id.clone())));
        match (image, written) {
            (Ok(image), _) => Ok(image),
            // What the reader met is but the consequence.
            (Err(_), Err(error)) if cut => Err(error.into()),
            (Err(error), _) => Err(error.into()),
        }
    })
}

/// A layer that ends in an error if whoever writes it failed: it must not be taken for a shorter one.
struct Whole {
    pipe: PipeReader,
    broken: Arc<AtomicBool>,
    /// Whether the reader was told.
    cut: bool,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.pipe.read(buffer)? {
            0 if !buffer.is_empty() && self.broken.load(Ordering::Acquire) => {
                self.cut = true;
                Err(std::io::ErrorKind::UnexpectedEof.into())
            }
            length => Ok(length),
        }
    }
}

/// What the image's containers start with: what was asked for, changed by the instructions, the rest the container's.
fn config(commit: &Commit, record: &ContainerRecord) -> Result<ContainerConfig> {
    let own = of_image(&record.config);
    let mut config = commit.config.as_ref().map_or_else(|| own.clone(), of_image);
    apply_changes(&mut config, &commit.changes)?;
    merge(&mut config, own);
    Ok(config)
}

/// The part of a container's configuration that an image has too.
fn of_image(config: &spec::ContainerConfig) -> ContainerConfig {
    ContainerConfig {
        user: config.user.clone(),
        exposed_ports: config
            .exposed_ports
            .iter()
            .map(ToString::to_string)
            .collect(),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: config.volumes.clone(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        healthcheck: config.healthcheck.as_ref().map(health),
        shell: config.shell.clone().unwrap_or_default(),
        on_build: config.on_build.clone(),
        args_escaped: config.args_escaped,
        ..ContainerConfig::default()
    }
}

fn health(check: &spec::Healthcheck) -> dhow_oci::Healthcheck {
    let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    dhow_oci::Healthcheck {
        test: check.test.clone(),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
        retries: i64::from(check.retries),
    }
}

/// Fills in what `config` leaves open, as a container's configuration is filled in from its image.
fn merge(config: &mut ContainerConfig, own: ContainerConfig) {
    let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if config.user.is_empty() {
        config.user = own.user;
    }
    config.exposed_ports.extend(own.exposed_ports);
    for variable in own.env {
        let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
        if config
            .env
            .iter()
            .all(|there| name(there) != name(&variable))
        {
            config.env.push(variable);
        }
    }
    for (key, value) in own.labels {
        config.labels.entry(key).or_insert(value);
    }
    if is_empty(&config.entrypoint) {
        if is_empty(&config.cmd) {
            config.cmd = own.cmd;
            config.args_escaped = own.args_escaped;
        }
        config.entrypoint = config.entrypoint.take().or(own.entrypoint);
    }
    if config.working_dir.is_empty() {
        config.working_dir = own.working_dir;
    }
    config.volumes.extend(own.volumes);
    config.stop_signal = config
        .stop_signal
        .take()
        .filter(|signal| !signal.is_empty())
        .or(own.stop_signal);
    match (&mut config.healthcheck, own.healthcheck) {
        (Some(check), Some(own)) => fill_health(check, own),
        (check @ None, own) => *check = own,
        (Some(_), None) => {}
    }
}

fn fill_health(check: &mut dhow_oci::Healthcheck, own: dhow_oci::Healthcheck) {
    if check.test.is_empty() {
        check.test = own.test;
    }
    let numbers = [
        (&mut check.interval, own.interval),
        (&mut check.timeout, own.timeout),
        (&mut check.start_period, own.start_period),
        (&mut check.start_interval, own.start_interval),
        (&mut check.retries, own.retries),
    ];
    for (number, own) in numbers {
        if *number == 0 {
            *number = own;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_layer_that_was_cut_off_ends_in_an_error() {
        for broken in [false, true] {
            let (pipe, mut out) = std::io::pipe().expect("a pipe");
            let mut layer = Whole {
                pipe,
                broken: Arc::new(AtomicBool::new(broken)),
                cut: false,
            };
            out.write_all(b"half").expect("room");
            drop(out);
            let mut text = Vec::new();
            assert_eq!(layer.read_to_end(&mut text).is_err(), broken);
            assert_eq!((text.as_slice(), layer.cut), (b"half".as_slice(), broken));
        }
    }
}
