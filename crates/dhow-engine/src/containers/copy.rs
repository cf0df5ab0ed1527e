//! `cp`: looking at a container's files, and copying them out and in.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_archive::{Destination, Packing, PathStat, UnpackOptions, stat, unpack};
use dhow_container::spec::Invalid;
use tokio::io::AsyncRead;
use tokio::sync::MutexGuard;
use tokio_util::io::SyncIoBridge;

use super::Containers;
use crate::container::{ContainerRecord, CopyIn, Status};
use crate::files::{self, Ground, Purpose, Running, View};
use crate::services::blocking;
use crate::store::Container;
use crate::streams::{ByteStream, written};
use crate::{Error, Result};

/// How much is read of an archive at once.
const BUFFER: usize = 256 * 1024;

impl Containers {
    /// What a path in a container is. Symbolic links are followed in all of the path but its last component.
    ///
    /// # Errors
    /// The container or the path does not exist.
    pub async fn stat_path(&self, name: &str, path: &str) -> Result<PathStat> {
        let container = self.services.find(name)?;
        let (view, _) = self.view(&container, Purpose::Read).await?;
        let asked = Asked::new(name, path);
        blocking(move || stat(view.root(), &asked.path).map_err(|error| asked.told(error))).await
    }

    /// A path of a container as an archive, and what it is.
    ///
    /// # Errors
    /// The container or the path does not exist. What fails later ends the archive with an error.
    pub async fn copy_out(&self, name: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        let container = self.services.find(name)?;
        let (view, _) = self.view(&container, Purpose::Read).await?;
        let asked = Asked::new(name, path);
        let (view, packing) = blocking(move || {
            let packing = Packing::find(view.root(), &asked.path);
            let packing = packing.map_err(|error| asked.told(error))?;
            Ok::<_, Error>((view, packing))
        })
        .await?;
        self.services.tell(&container.record(), "archive-path");
        let stat = packing.stat.clone();
        let chunks = written(move |out| {
            let packed = packing.write(out);
            drop(view);
            packed.map(drop).map_err(Error::from)
        });
        Ok((stat, chunks))
    }

    /// Unpacks an archive, plain or compressed, into a directory of a container.
    ///
    /// # Errors
    /// The container or the directory does not exist or can't be written to, or the archive can't be read; what was
    /// unpacked until then stays.
    pub async fn copy_in(
        &self,
        name: &str,
        path: &str,
        archive: impl AsyncRead + Send + Unpin + 'static,
        options: CopyIn,
    ) -> Result<()> {
        let container = self.services.find(name)?;
        // Held to the end: no start may meet a file system that is being written to.
        let (view, _guard) = self.view(&container, Purpose::Write).await?;
        let (asked, record) = (Asked::new(name, path), container.record());
        blocking(move || {
            let into = Destination::find(view.root(), &asked.path);
            let into = into.map_err(|error| asked.told(error))?;
            may_write(&view, into.directory(), &record)?;
            let owner = match options.own {
                true => owner(&view, &record)?,
                false => None,
            };
            let options = UnpackOptions {
                no_overwrite_dir_non_dir: options.keep_kinds,
                owner,
                ..UnpackOptions::default()
            };
            let mut archive = BufReader::with_capacity(BUFFER, SyncIoBridge::new(archive));
            extract(&mut archive, &into, &options, &asked)
        })
        .await?;
        self.services.tell(&container.record(), "extract-to-dir");
        Ok(())
    }

    /// A container's files. While the guard lives, the container is not started or removed; there is one only where the
    /// view is to be written and the container does not run.
    pub(super) async fn view<'a>(
        &self,
        container: &'a Arc<Container>,
        purpose: Purpose,
    ) -> Result<(View, Option<MutexGuard<'a, ()>>)> {
        let services = self.services.clone();
        let record = container.record();
        if let Some(running) = Running::find(&record, container.task()).await {
            let view = blocking(move || View::running(&services, &record, running)).await?;
            return Ok((view, None));
        }
        let guard = container.lifecycle.lock().await;
        // It may have been started meanwhile.
        let record = existing(container)?;
        if let Some(running) = Running::find(&record, container.task()).await {
            let view = blocking(move || View::running(&services, &record, running)).await?;
            return Ok((view, None));
        }
        let view = blocking(move || files::stopped(&services, &record, purpose)).await?;
        Ok((view, Some(guard).filter(|_| purpose == Purpose::Write)))
    }
}

/// The record of a container that still has files.
pub(super) fn existing(container: &Container) -> Result<Arc<ContainerRecord>> {
    let record = container.record();
    match record.state.status {
        Status::Removing | Status::Dead => Err(Error::NoSuchContainer(record.id.clone())),
        _ => Ok(record),
    }
}

/// Whether something may be copied to `place`.
fn may_write(view: &View, place: BorrowedFd<'_>, record: &ContainerRecord) -> Result<()> {
    let ground = view.ground(place).map_err(|error| Error::View {
        step: "look at",
        source: error.into(),
    })?;
    match ground {
        Ground::ReadOnly => Err(Invalid::new("mounted volume is marked read-only").into()),
        Ground::Root if record.host.readonly_rootfs => {
            Err(Invalid::new("container rootfs is marked read-only").into())
        }
        Ground::Root | Ground::Writable => Ok(()),
    }
}

/// The container's own user and group; nothing where it has no user but root.
fn owner(view: &View, record: &ContainerRecord) -> Result<Option<(u32, u32)>> {
    if record.config.user.is_empty() {
        return Ok(None);
    }
    let user = dhow_runtime::user::resolve(view.root(), &record.config.user, &[]);
    match user {
        Ok(user) => Ok(Some((user.uid, user.gid))),
        Err(error) => Err(Error::Refused(dhow_errdefs::chain(&error).to_string())),
    }
}

fn extract(
    archive: &mut BufReader<impl Read>,
    into: &Destination,
    options: &UnpackOptions,
    asked: &Asked,
) -> Result<()> {
    let start = archive
        .fill_buf()
        .map_err(|error| asked.told(dhow_archive::Error::Read(error)))?;
    if start.is_empty() {
        return Ok(());
    }
    let tar = dhow_archive::decompressed(archive);
    tar.map_err(dhow_archive::Error::Read)
        .and_then(|tar| unpack(tar, into, options))
        .map_err(|error| asked.told(error))
}

/// A path that was asked for, and of which container.
struct Asked {
    container: String,
    given: String,
    path: PathBuf,
}

impl Asked {
    fn new(container: &str, path: &str) -> Self {
        Self {
            container: container.to_owned(),
            given: path.to_owned(),
            path: PathBuf::from(path),
        }
    }

    /// What went wrong, in Docker's words.
    fn told(&self, error: dhow_archive::Error) -> Error {
        use dhow_archive::Error as Cause;
        let missing = || Error::NoSuchPath {
            path: self.given.clone(),
            container: self.container.clone(),
        };
        match error {
            Cause::NotFound { .. } | Cause::LinkTarget { .. } => missing(),
            Cause::NotADirectory => Invalid(error.to_string()).into(),
            Cause::File { step, path, source } => {
                file_error(step, &path, &source).unwrap_or_else(missing)
            }
            Cause::Read(source) => Error::Refused(dhow_golang::io_text(&source)),
            Cause::Malformed { reason } => Error::Refused(format!("archive/tar: {reason}")),
            Cause::Outside { path } => Error::Refused(format!("invalid entry name {path:?}")),
            other => Error::Refused(dhow_errdefs::chain(&other).to_string()),
        }
    }
}

/// A step on a file that failed; nothing when the file was missing.
fn file_error(step: &str, path: &Path, source: &std::io::Error) -> Option<Error> {
    (source.kind() != std::io::ErrorKind::NotFound).then(|| {
        let reason = dhow_golang::io_text(source);
        Error::Refused(format!("{step} {}: {reason}", path.display()))
    })
}
