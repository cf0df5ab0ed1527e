//! One archive into one tree: what [`crate::apply`] and [`crate::unpack`] have in common.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, chownat, fchmod, ftruncate, futimens, linkat, makedev,
    mkdirat, mknodat, openat, symlinkat, unlinkat, utimensat,
};
use rustix::io::{Errno, pwrite};

use crate::apply::ForeignLink;
use crate::at::{is_dir, is_whiteout, mtime, set_mode, stat, stat_if_there, times};
use crate::attributes::{self, own_ids, umask};
use crate::dirs::{Attributes, Directories, NEW};
use crate::names::{as_path, clean, join, split, to_path};
use crate::remove::remove_tree;
use crate::tar::{Header, Kind, Mtime, Reader};
use crate::xattrs::{self, Target};
use crate::{Applied, Error, Limits};

/// What files begin with that say something about others in a layer's tar.
const WHITEOUT: &[u8] = b".wh.";
/// What aufs' own files begin with.
const AUFS: &[u8] = b".wh..wh.";
/// The mark of an opaque directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How a tree is unpacked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    /// As a layer: whiteouts mean something, and the tree was empty.
    pub(crate) layer: bool,
    /// What the root is called in errors.
    pub(crate) shown: PathBuf,
    /// The beginning of names that is replaced, and by what.
    pub(crate) rebase: Option<(Vec<u8>, Vec<u8>)>,
    /// The owner of everything, in place of the archive's.
    pub(crate) owner: Option<(u32, u32)>,
    /// Whether a directory may not be replaced by something else, and the other way round.
    pub(crate) keep_kind: bool,
}

/// A tree being unpacked.
#[derive(Debug)]
pub(crate) struct Extraction {
    form: Form,
    dirs: Directories,
    umask: u32,
    own: (u32, u32),
    whiteouts: BTreeSet<Vec<u8>>,
    applied: Applied,
}

/// Unpacks all of `tar` below `root` and reads it to its end.
pub(crate) fn extract(
    tar: impl Read,
    root: OwnedFd,
    form: Form,
    limits: &Limits,
) -> Result<Applied, Error> {
    let mut reader = Reader::new(tar);
    let mut extraction = Extraction {
        dirs: Directories::new(root, form.layer),
        form,
        umask: umask(),
        own: own_ids(),
        whiteouts: BTreeSet::new(),
        applied: Applied::default(),
    };
    while let Some(mut header) = reader.next_entry()? {
        header.mtime = bounded(header.mtime);
        extraction.applied.entries += 1;
        limits.check_entries(extraction.applied.entries)?;
        limits.check_bytes(reader.bytes_read().saturating_add(reader.stored()))?;
        extraction.entry(&header, &mut reader)?;
    }
    reader.drain(limits)?;
    extraction.complete()
}

/// The last second that fits into 64 bits of nanoseconds, as Go keeps them.
const LATEST: i64 = i64::MAX / 1_000_000_000;

/// The time that a file gets: times before 1970 and after 2262 are the beginning of 1970, as in Docker.
fn bounded(mtime: Mtime) -> Mtime {
    match (0..LATEST).contains(&mtime.seconds) {
        true => mtime,
        false => Mtime::default(),
    }
}

impl Extraction {
    fn complete(mut self) -> Result<Applied, Error> {
        self.whiteouts.retain(|path| !self.dirs.knows(path));
        let implicit = self.dirs.complete(self.umask)?;
        self.applied.implicit_dirs = implicit.iter().map(|path| to_path(path)).collect();
        self.applied.whiteouts = self.whiteouts.iter().map(|path| to_path(path)).collect();
        Ok(self.applied)
    }

    fn entry<R: Read>(&mut self, header: &Header, reader: &mut Reader<R>) -> Result<(), Error> {
        let path = self.rebased(clean(&header.path)?);
        if path.is_empty() {
            return Self::root(header);
        }
        let (parent, name) = split(&path);
        if self.form.layer && name.starts_with(WHITEOUT) {
            return self.mark(parent, name);
        }
        let directory = self.dirs.ensure(parent)?;
        let place = Place {
            directory,
            path: &path,
            name,
        };
        match header.kind {
            Kind::File => self.file(&place, header, reader),
            Kind::Directory => self.directory(&place, header),
            Kind::Symlink => self.symlink(&place, header),
            Kind::Hardlink => self.hardlink(&place, header),
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => self.node(&place, header),
        }
    }

    /// The name here of what the archive calls `path`.
    fn rebased(&self, path: Vec<u8>) -> Vec<u8> {
        let Some((old, new)) = &self.form.rebase else {
            return path;
        };
        let Some(rest) = path.strip_prefix(old.as_slice()) else {
            return path;
        };
        match rest.first() {
            None => new.clone(),
            Some(b'/') => join(new, &rest[1..]),
            Some(_) if old.is_empty() => join(new, rest),
            Some(_) => path,
        }
    }

    fn owner(&self, header: &Header) -> (u32, u32) {
        self.form.owner.unwrap_or((header.uid, header.gid))
    }

    /// The tree's own root keeps its attributes: neither a layer nor a copy into a container has a say in them. Docker
    /// does so too, with both of its stores.
    fn root(header: &Header) -> Result<(), Error> {
        match header.kind {
            Kind::Directory => Ok(()),
            _ => Err(Error::malformed("the root is not a directory")),
        }
    }

    /// `.wh.` something.
    fn mark(&mut self, parent: &[u8], name: &[u8]) -> Result<(), Error> {
        let directory = self.dirs.ensure(parent)?;
        if name == OPAQUE {
            self.applied.opaque_root |= parent.is_empty();
            return xattrs::set_opaque(&*directory)
                .map_err(|e| Error::file("make opaque", as_path(parent), e));
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        let hidden = &name[WHITEOUT.len()..];
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Error::malformed("whiteout of no name"));
        }
        let path = join(parent, hidden);
        self.whiteout(&Place {
            directory,
            path: &path,
            name: hidden,
        })
    }

    fn whiteout(&mut self, place: &Place<'_>) -> Result<(), Error> {
        match mknodat(
            &*place.directory,
            place.name,
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        ) {
            Ok(()) => {
                self.whiteouts.insert(place.path.to_vec());
                Ok(())
            }
            // A whiteout is about the layers below: what this one has itself stays, and hides a file by being there.
            Err(Errno::EXIST) => {
                let there = stat(&*place.directory, place.name).map_err(place.failed("look at"))?;
                match is_dir(&there) {
                    true => crate::at::open_parent(&*place.directory, place.name)
                        .and_then(xattrs::set_opaque)
                        .map_err(place.failed("make opaque")),
                    false => Ok(()),
                }
            }
            Err(e) => Err(place.failed("make whiteout")(e)),
        }
    }

    fn directory(&mut self, place: &Place<'_>, header: &Header) -> Result<(), Error> {
        let mut fresh = true;
        match mkdirat(&*place.directory, place.name, Mode::from_raw_mode(NEW)) {
            Ok(()) => {}
            Err(Errno::EXIST) => fresh = self.directory_over(place)?,
            Err(e) => return Err(place.failed("make directory")(e)),
        }
        let attributes = Attributes::of(header, self.owner(header));
        // Outside of a layer the parent's setgid bit or access list may have had a say.
        self.dirs
            .mention(place.path, fresh && self.form.layer, attributes);
        Ok(())
    }

    /// There is something where a directory should be; says whether the directory is a new one.
    fn directory_over(&mut self, place: &Place<'_>) -> Result<bool, Error> {
        let there = stat(&*place.directory, place.name).map_err(place.failed("look at"))?;
        if is_dir(&there) {
            return Ok(false);
        }
        self.may_replace(place, "non-directory", "directory")?;
        if self.form.layer && is_whiteout(&there) {
            self.whiteouts.remove(place.path);
            self.dirs
                .replace_whiteout(&place.directory, place.name)
                .map_err(place.failed("replace"))?;
            return Ok(true);
        }
        self.dirs.forget(place.path);
        unlinkat(&*place.directory, place.name, AtFlags::empty())
            .and_then(|()| mkdirat(&*place.directory, place.name, Mode::from_raw_mode(NEW)))
            .map_err(place.failed("replace"))?;
        Ok(true)
    }

    fn may_replace(
        &self,
        place: &Place<'_>,
        existing: &'static str,
        new: &'static str,
    ) -> Result<(), Error> {
        match self.form.keep_kind {
            false => Ok(()),
            true => Err(Error::Overwrite {
                existing,
                path: to_path(place.path),
                new,
                into: self.form.shown.clone(),
            }),
        }
    }

    /// Makes something that isn't a directory; what was there before goes away.
    fn make<T>(
        &mut self,
        place: &Place<'_>,
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Error> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear(place)?;
                make().map_err(place.failed("create"))
            }
            result => result.map_err(place.failed("create")),
        }
    }

    fn clear(&mut self, place: &Place<'_>) -> Result<(), Error> {
        let Some(there) =
            stat_if_there(&*place.directory, place.name).map_err(place.failed("look at"))?
        else {
            return Ok(());
        };
        self.whiteouts.remove(place.path);
        match FileType::from_raw_mode(there.st_mode) {
            FileType::Directory => {
                self.may_replace(place, "directory", "non-directory")?;
                self.dirs.forget(place.path);
                remove_tree(place.directory.as_fd(), as_path(place.name))
            }
            kind => {
                if kind == FileType::Symlink {
                    self.dirs.forget(place.path);
                }
                unlinkat(&*place.directory, place.name, AtFlags::empty())
                    .map_err(place.failed("replace"))
            }
        }
    }

    fn file<R: Read>(
        &mut self,
        place: &Place<'_>,
        header: &Header,
        reader: &mut Reader<R>,
    ) -> Result<(), Error> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(header.mode & 0o777);
        let directory = Rc::clone(&place.directory);
        let file = self.make(place, || openat(&*directory, place.name, flags, mode))?;
        let mut end = 0;
        while let Some((mut offset, mut bytes)) = reader.data()? {
            while !bytes.is_empty() {
                let written = pwrite(&file, bytes, offset).map_err(place.failed("write"))?;
                bytes = &bytes[written..];
                offset += written as u64;
            }
            end = offset;
        }
        if end < header.size {
            ftruncate(&file, header.size).map_err(place.failed("set size of"))?;
        }
        self.applied.bytes = self.applied.bytes.saturating_add(header.size);
        self.finish_file(place, &file, header)
    }

    /// Owner before mode, as a change of owner takes setuid away; attributes after both and the content, as all of
    /// these take capabilities away.
    fn finish_file(&self, place: &Place<'_>, file: &OwnedFd, header: &Header) -> Result<(), Error> {
        let owner = self.owner(header);
        if owner != self.own || !self.form.layer {
            attributes::chown(file, owner).map_err(place.failed("set owner of"))?;
        }
        if self.lacks(header.mode) {
            fchmod(file, Mode::from_raw_mode(header.mode)).map_err(place.failed("set mode of"))?;
        }
        if !header.xattrs.is_empty() {
            xattrs::apply(Target::File(file.as_fd()), &header.xattrs)
                .map_err(place.failed("set attributes of"))?;
        }
        futimens(file, &times(header.mtime)).map_err(place.failed("set times of"))
    }

    /// Whether a file made with this mode does not have it yet.
    fn lacks(&self, mode: u32) -> bool {
        !self.form.layer || mode & (self.umask | 0o7000) != 0
    }

    fn symlink(&mut self, place: &Place<'_>, header: &Header) -> Result<(), Error> {
        let directory = Rc::clone(&place.directory);
        self.make(place, || symlinkat(&header.link, &*directory, place.name))?;
        self.finish_name(place, header)
    }

    fn node(&mut self, place: &Place<'_>, header: &Header) -> Result<(), Error> {
        let (kind, device) = match header.kind {
            Kind::CharDevice => (FileType::CharacterDevice, header.device),
            Kind::BlockDevice => (FileType::BlockDevice, header.device),
            _ => (FileType::Fifo, (0, 0)),
        };
        if self.form.layer && kind == FileType::CharacterDevice && device == (0, 0) {
            self.clear(place)?;
            return self.whiteout(place);
        }
        let mode = Mode::from_raw_mode(header.mode & 0o777);
        let device = makedev(device.0, device.1);
        let directory = Rc::clone(&place.directory);
        self.make(place, || {
            mknodat(&*directory, place.name, kind, mode, device)
        })?;
        self.finish_name(place, header)?;
        match self.lacks(header.mode) {
            true => set_mode(&*place.directory, place.name, header.mode)
                .map_err(place.failed("set mode of")),
            false => Ok(()),
        }
    }

    /// Owner, attributes and times of something without a descriptor.
    fn finish_name(&self, place: &Place<'_>, header: &Header) -> Result<(), Error> {
        if self.owner(header) != self.own || !self.form.layer {
            self.chown(place, header)?;
        }
        Self::finish_attributes(place, header)
    }

    fn chown(&self, place: &Place<'_>, header: &Header) -> Result<(), Error> {
        let (user, group) = self.owner(header);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        attributes::uid((user, group))
            .and_then(|uid| {
                let gid = attributes::gid((user, group))?;
                chownat(&*place.directory, place.name, uid, gid, flags)
            })
            .map_err(place.failed("set owner of"))
    }

    fn finish_attributes(place: &Place<'_>, header: &Header) -> Result<(), Error> {
        let (directory, name) = (&*place.directory, place.name);
        if !header.xattrs.is_empty() {
            xattrs::apply(Target::Name(directory.as_fd(), name), &header.xattrs)
                .map_err(place.failed("set attributes of"))?;
        }
        utimensat(
            directory,
            name,
            &times(header.mtime),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(place.failed("set times of"))
    }

    fn hardlink(&mut self, place: &Place<'_>, header: &Header) -> Result<(), Error> {
        let target = self.rebased(clean(&header.link)?);
        if target == place.path {
            return Ok(());
        }
        let (parent, name) = split(&target);
        let parent = match self.whiteouts.contains(&target) || name.is_empty() {
            true => None,
            false => self.dirs.find(parent)?,
        };
        let Some(parent) = parent else {
            return self.foreign(place, &target);
        };
        let directory = Rc::clone(&place.directory);
        let link = || linkat(&*parent, name, &*directory, place.name, AtFlags::empty());
        match link() {
            Ok(()) => self.finish_link(place, header),
            Err(Errno::NOENT) => self.foreign(place, &target),
            Err(Errno::EXIST) => {
                let there = stat(&*parent, name).map_err(place.failed("look at"))?;
                let here = stat(&*directory, place.name).map_err(place.failed("look at"))?;
                if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino) {
                    self.clear(place)?;
                    link().map_err(place.failed("link"))?;
                }
                self.finish_link(place, header)
            }
            Err(e) => Err(place.failed("link")(e)),
        }
    }

    /// What the entry of a link says of the file counts, as it is the last to say something; what is as it says stays
    /// untouched, as a change of owner would take capabilities away.
    fn finish_link(&self, place: &Place<'_>, header: &Header) -> Result<(), Error> {
        let (directory, name) = (&*place.directory, place.name);
        let is = stat(directory, name).map_err(place.failed("look at"))?;
        let owned = (is.st_uid, is.st_gid) == self.owner(header);
        if !owned {
            self.chown(place, header)?;
        }
        let is_link = FileType::from_raw_mode(is.st_mode) == FileType::Symlink;
        if !is_link && (!owned || is.st_mode & 0o7777 != header.mode) {
            set_mode(directory, name, header.mode).map_err(place.failed("set mode of"))?;
        }
        match !header.xattrs.is_empty() || mtime(&is) != header.mtime {
            true => Self::finish_attributes(place, header),
            false => Ok(()),
        }
    }

    /// The target of a link isn't here.
    fn foreign(&mut self, place: &Place<'_>, target: &[u8]) -> Result<(), Error> {
        let (path, target) = (to_path(place.path), to_path(target));
        if !self.form.layer {
            return Err(Error::LinkTarget { path, target });
        }
        self.clear(place)?;
        self.applied
            .foreign_hardlinks
            .push(ForeignLink { path, target });
        Ok(())
    }
}

/// Where an entry goes.
struct Place<'a> {
    directory: Rc<OwnedFd>,
    path: &'a [u8],
    name: &'a [u8],
}

impl Place<'_> {
    fn failed(&self, step: &'static str) -> impl Fn(Errno) -> Error {
        move |e| Error::file(step, as_path(self.path), e)
    }
}
