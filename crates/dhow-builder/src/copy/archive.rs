//! `ADD` of an archive: unpacked, if it is one.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::os::fd::BorrowedFd;

use dhow_archive::fd::{is_dir, open_in_root};
use dhow_archive::tar::Reader;
use dhow_archive::{Destination, Limits, UnpackOptions, decompressed};
use rustix::fs::{FileType, OFlags};

use super::make::{MakeOptions, make_directory};
use super::{Copying, Selected, failed, shown};
use crate::error::Error;

/// Unpacks what was selected into the directory `path` if it is an archive; says whether it was.
pub(super) fn unpack(
    from: BorrowedFd<'_>,
    selected: &Selected,
    path: &[u8],
    copying: &Copying<'_>,
) -> Result<bool, Error> {
    let stat = &selected.stat;
    if is_dir(stat) || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(false);
    }
    let open = || {
        open_in_root(from, &selected.path, OFlags::RDONLY | OFlags::NOFOLLOW)
            .map(File::from)
            .map_err(failed("open", &selected.path))
    };
    let mut file = open()?;
    if !is_archive(&file) {
        return Ok(false);
    }
    let unreadable = |e| Error::file("read", shown(&selected.path), e);
    file.rewind().map_err(unreadable)?;
    let made = MakeOptions {
        mode: 0o755,
        owner: copying.owner,
        epoch: copying.epoch,
    };
    make_directory(copying.root, path, made)?;
    let target = std::path::PathBuf::from(shown(path));
    let into = Destination::find(copying.root, &target)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let options = UnpackOptions {
        owner: copying.owner,
        limits: Limits::for_compressed(size),
        ..UnpackOptions::default()
    };
    let tar = Stoppable {
        inner: decompressed(BufReader::with_capacity(256 << 10, file)).map_err(unreadable)?,
        cancelled: copying.cancelled,
    };
    dhow_archive::unpack(tar, &into, &options)?;
    copying.cancelled.check()?;
    Ok(true)
}

/// Whether the first entry of a tar can be read.
fn is_archive(file: &File) -> bool {
    let Ok(stream) = decompressed(BufReader::new(file)) else {
        return false;
    };
    matches!(Reader::new(stream).next_entry(), Ok(Some(_)))
}

/// A stream that breaks off when nobody wants it any more.
struct Stoppable<'a> {
    inner: Box<dyn Read + 'a>,
    cancelled: &'a super::Cancelled,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.cancelled
            .check()
            .map_err(|_| std::io::Error::other("cancelled"))?;
        self.inner.read(buffer)
    }
}
