//! Writing archives.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;

use super::pax;
use super::raw::{BLOCK, Fields, octal_fits};
use super::{Header, Kind};
use crate::Error;

/// How much is copied at once.
const BUFFER: usize = 256 * 1024;

/// Where an archive goes to, in large pieces.
///
/// Whatever can be written to is one. One that keeps the pieces, to hand them on without another copy, implements this
/// instead of [`Write`].
pub trait Sink {
    /// Takes a piece, and gives a buffer for the next one: this one or another, whatever is in it.
    ///
    /// # Errors
    /// When it takes no more.
    fn put(&mut self, piece: Vec<u8>) -> io::Result<Vec<u8>>;

    /// Everything has been put.
    ///
    /// # Errors
    /// When what was put can't be written.
    fn end(&mut self) -> io::Result<()>;
}

impl<W: Write> Sink for W {
    fn put(&mut self, piece: Vec<u8>) -> io::Result<Vec<u8>> {
        self.write_all(&piece).map(|()| piece)
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Writes a tar stream. Equal calls give equal bytes.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// What goes out next: the first `filled` bytes.
    buffer: Vec<u8>,
    filled: usize,
}

impl<W: Sink> Writer<W> {
    /// Writes to `out`; a header goes out together with the beginning of its content, contents in large pieces.
    pub fn new(out: W) -> Self {
        Self {
            out,
            buffer: vec![0; BUFFER],
            filled: 0,
        }
    }

    /// Writes an entry without content: anything but a file that is not empty.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn entry(&mut self, header: &Header) -> Result<(), Error> {
        self.header(header, 0)
    }

    /// Writes a file with the content `bytes`, whose length takes the place of the header's size.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn bytes(&mut self, header: Header, bytes: &[u8]) -> Result<(), Error> {
        let header = Header {
            size: bytes.len() as u64,
            ..header
        };
        self.file(&header, bytes)
    }

    /// Writes a file with `header.size` bytes from `content`. A source that ends early is filled up with zeroes, as a
    /// file that shrinks while it is read must not break the archive.
    ///
    /// # Errors
    /// When `content` can't be read or `out` fails.
    pub fn file(&mut self, header: &Header, mut content: impl Read) -> Result<(), Error> {
        self.header(header, header.size)?;
        let mut remaining = header.size;
        while remaining > 0 {
            if self.filled == BUFFER {
                self.flush()?;
            }
            let room = usize::try_from(remaining)
                .map_or(BUFFER, |most| most.min(BUFFER))
                .min(BUFFER - self.filled);
            let space = &mut self.buffer[self.filled..self.filled + room];
            let length = match content.read(space) {
                Ok(0) => {
                    space.fill(0);
                    room
                }
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
                Err(e) => return Err(Error::file("read", &header.path, e)),
            };
            self.filled += length;
            remaining -= length as u64;
        }
        self.pad(header.size)
    }

    /// Writes the end of the archive, flushes and returns `out`.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn finish(mut self) -> Result<W, Error> {
        self.put(&[0; 2 * BLOCK])?;
        self.flush()?;
        self.out.end().map_err(Error::Write)?;
        Ok(self.out)
    }

    fn header(&mut self, header: &Header, size: u64) -> Result<(), Error> {
        let records = records(header, size);
        if !records.is_empty() {
            let fields = Fields {
                name: b"././@PaxHeader",
                prefix: b"",
                link: b"",
                kind: b'x',
                mode: 0o644,
                owner: (0, 0),
                size: records.len() as u64,
                mtime: 0,
                device: (0, 0),
            };
            self.put(&fields.block().0)?;
            self.put(&records)?;
            self.pad(records.len() as u64)?;
        }
        let name = name(header);
        let (prefix, name) = split(&name).unwrap_or((&[], &name));
        let fields = Fields {
            name,
            prefix,
            link: header.link.as_os_str().as_bytes(),
            kind: flag(header.kind),
            mode: header.mode & 0o7777,
            owner: (header.uid, header.gid),
            size,
            mtime: header.mtime.seconds,
            device: header.device,
        };
        self.put(&fields.block().0)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        let over = usize::try_from(size % BLOCK as u64).expect("less than a block");
        match over {
            0 => Ok(()),
            over => self.put(&[0; BLOCK][over..]),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.filled + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            return self.out.put(bytes.to_vec()).map(drop).map_err(Error::Write);
        }
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.filled == 0 {
            return Ok(());
        }
        let mut piece = std::mem::take(&mut self.buffer);
        piece.truncate(self.filled);
        self.filled = 0;
        let put = self.out.put(piece);
        let put = put.map(|buffer| self.buffer = buffer);
        self.buffer.resize(BUFFER, 0);
        put.map_err(Error::Write)
    }
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::Hardlink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// The name as it goes into the archive: a directory's ends with a slash.
fn name(header: &Header) -> Vec<u8> {
    let mut name = header.path.as_os_str().as_bytes().to_vec();
    if header.kind == Kind::Directory && !name.ends_with(b"/") {
        name.push(b'/');
    }
    name
}

/// Prefix and name for the fields of ustar; `None` when it doesn't fit.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((&[], name));
    }
    // The last slash counts only if something is behind it.
    let slash = name[..name.len() - 1]
        .iter()
        .take(156)
        .rposition(|byte| *byte == b'/')?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    (rest.len() <= 100 && !prefix.is_empty()).then_some((prefix, rest))
}

/// What the header block can't say.
fn records(header: &Header, size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    let name = name(header);
    if split(&name).is_none() {
        pax::record(&mut records, b"path", &name);
    }
    let link = header.link.as_os_str().as_bytes();
    if link.len() > 100 {
        pax::record(&mut records, b"linkpath", link);
    }
    for (key, id) in [("uid", header.uid), ("gid", header.gid)] {
        if !octal_fits(u64::from(id), 7) {
            pax::record(&mut records, key.as_bytes(), id.to_string().as_bytes());
        }
    }
    if !octal_fits(size, 11) {
        pax::record(&mut records, b"size", size.to_string().as_bytes());
    }
    let (seconds, nanoseconds) = (header.mtime.seconds, header.mtime.nanoseconds);
    let plain = u64::try_from(seconds).is_ok_and(|seconds| octal_fits(seconds, 11));
    if !plain || nanoseconds != 0 {
        pax::record(
            &mut records,
            b"mtime",
            time(seconds, nanoseconds).as_bytes(),
        );
    }
    for xattr in &header.xattrs {
        let key = [pax::XATTR.as_bytes(), &xattr.name].concat();
        pax::record(&mut records, &key, &xattr.value);
    }
    records
}

fn time(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        (seconds, nanoseconds) if seconds >= 0 => format!("{seconds}.{nanoseconds:09}"),
        (seconds, nanoseconds) => {
            format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
        }
    }
}
