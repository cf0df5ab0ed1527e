//! Roots as files: mounted, copied side by side, or packed.

use std::fs::{DirBuilder, File};
use std::io::BufWriter;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use dhow_archive::tar::{Header, Reader, Writer};
use dhow_archive::{Destination, UnpackOptions};
use dhow_oci::{Digest, Platform};
use rustix::fs::{Mode, OFlags, open};

use crate::builder::BuilderConfig;
use crate::error::Error;
use crate::id::random;

/// A root to be exported.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) platform: Platform,
    /// None is an empty one.
    pub(super) chain: Option<Digest>,
}

/// A directory that is there as long as this is.
pub(super) struct Folder {
    path: PathBuf,
    /// Attached nowhere.
    _mount: Option<OwnedFd>,
    _made: Option<Made>,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A file or directory of ours that is removed in the end.
pub(super) struct Made(PathBuf);

impl Made {
    /// A place where nothing is yet.
    pub(super) fn place(kit: &BuilderConfig) -> Result<Self, Error> {
        let folder = kit.folder.join("work");
        let failed = |e| Error::file("make", folder.to_string_lossy(), e);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(failed)?;
        Ok(Self(folder.join(random())))
    }

    /// An empty directory.
    pub(super) fn directory(kit: &BuilderConfig) -> Result<Self, Error> {
        let made = Self::place(kit)?;
        let failed = |e| Error::file("make", made.0.to_string_lossy(), e);
        DirBuilder::new()
            .mode(0o755)
            .create(&made.0)
            .map_err(failed)?;
        Ok(made)
    }

    /// An empty file, open for writing.
    pub(super) fn file(kit: &BuilderConfig) -> Result<(Self, File), Error> {
        let made = Self::place(kit)?;
        let failed = |e| Error::file("make", made.0.to_string_lossy(), e);
        let file = File::create_new(&made.0).map_err(failed)?;
        Ok((made, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            let error = dhow_errdefs::chain(&error);
            tracing::warn!(path = %self.0.display(), %error, "an export's files stay");
        }
    }
}

impl Made {
    fn remove(&self) -> Result<(), Error> {
        let failed = |e: std::io::Error| Error::file("remove", self.0.to_string_lossy(), e);
        let (Some(parent), Some(name)) = (self.0.parent(), self.0.file_name()) else {
            return Ok(());
        };
        if !self.0.is_dir() {
            return std::fs::remove_file(&self.0).map_err(failed);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = open(parent, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        Ok(dhow_archive::remove_tree(parent.as_fd(), Path::new(name))?)
    }
}

fn mounted(kit: &BuilderConfig, chain: &Digest) -> Result<OwnedFd, Error> {
    Ok(kit.snapshots.view(chain)?.mount()?)
}

/// What a platform's directory is called.
fn folder_name(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}

/// The files of one root, or of several in a directory each. Blocking.
pub(super) fn folder(
    kit: &BuilderConfig,
    views: &[View],
    split: bool,
    epoch: Option<i64>,
) -> Result<Folder, Error> {
    if let ([only], false, None) = (views, split, epoch)
        && let Some(chain) = &only.chain
    {
        let mount = mounted(kit, chain)?;
        return Ok(Folder {
            path: PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd())),
            _mount: Some(mount),
            _made: None,
        });
    }
    let made = Made::directory(kit)?;
    for view in views {
        let path = match split {
            true => made.path().join(folder_name(&view.platform)),
            false => made.path().to_owned(),
        };
        let failed = |e: std::io::Error| Error::file("make", path.to_string_lossy(), e);
        if split {
            DirBuilder::new()
                .mode(0o755)
                .create(&path)
                .map_err(failed)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let target = open(&path, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        copied(kit, view, &target, epoch)?;
    }
    Ok(Folder {
        path: made.path().to_owned(),
        _mount: None,
        _made: Some(made),
    })
}

/// Copies a root into a directory, by way of an archive that is never whole anywhere.
fn copied(
    kit: &BuilderConfig,
    view: &View,
    target: &OwnedFd,
    epoch: Option<i64>,
) -> Result<(), Error> {
    let Some(chain) = &view.chain else {
        return Ok(());
    };
    let mount = mounted(kit, chain)?;
    let into = Destination::find(target.as_fd(), Path::new("/"))?;
    let (reader, writer) = std::io::pipe().map_err(|e| Error::file("make", "pipe", e))?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(|| packed(&mount, BufWriter::new(writer), "", epoch).map(drop));
        let unpacked = dhow_archive::unpack(reader, &into, &UnpackOptions::default());
        let packed = packing.join().map_err(|_| Error::Cancelled)?;
        unpacked?;
        packed
    })
}

/// Packs a root, the names below `prefix`, no time later than `epoch`; returns the writer without the end of the archive.
fn packed<W: std::io::Write>(
    mount: &OwnedFd,
    out: W,
    prefix: &str,
    epoch: Option<i64>,
) -> Result<W, Error> {
    let mut writer = Writer::new(out);
    add(mount, &mut writer, prefix, epoch)?;
    Ok(writer.finish()?)
}

fn add<W: std::io::Write>(
    mount: &OwnedFd,
    writer: &mut Writer<W>,
    prefix: &str,
    epoch: Option<i64>,
) -> Result<(), Error> {
    let (from, to) = std::io::pipe().map_err(|e| Error::file("make", "pipe", e))?;
    std::thread::scope(|scope| {
        let exporting =
            scope.spawn(|| dhow_archive::export(mount.as_fd(), BufWriter::new(to)).map(drop));
        let mut reader = Reader::new(from);
        let written = (|| {
            while let Some(header) = reader.next_entry()? {
                writer.file(&renamed(header, prefix, epoch), reader.content())?;
            }
            Ok::<(), dhow_archive::Error>(())
        })();
        drop(reader);
        let exported = exporting.join().map_err(|_| Error::Cancelled)?;
        written?;
        Ok(exported?)
    })
}

fn renamed(mut header: Header, prefix: &str, epoch: Option<i64>) -> Header {
    if !prefix.is_empty() {
        header.path = Path::new(prefix).join(&header.path);
        // Hard links name their target as the archive does; symbolic ones stay.
        if header.kind == dhow_archive::tar::Kind::Hardlink {
            header.link = Path::new(prefix).join(&header.link);
        }
    }
    if let Some(latest) = epoch.filter(|latest| header.mtime.seconds >= *latest) {
        header.mtime = dhow_archive::tar::Mtime {
            seconds: latest,
            nanoseconds: 0,
        };
    }
    header
}

/// All roots in one archive; several in a directory each. Blocking.
pub(super) fn tar(kit: &BuilderConfig, views: &[View], epoch: Option<i64>) -> Result<Made, Error> {
    let (made, file) = Made::file(kit)?;
    let mut writer = Writer::new(file);
    for view in views {
        let prefix = match views.len() {
            0 | 1 => String::new(),
            _ => folder_name(&view.platform),
        };
        if !prefix.is_empty() {
            let header = Header::directory(&prefix, 0o755).modified_at(epoch.unwrap_or(0));
            writer.entry(&header)?;
        }
        if let Some(chain) = &view.chain {
            add(&mounted(kit, chain)?, &mut writer, &prefix, epoch)?;
        }
    }
    writer.finish()?;
    Ok(made)
}
