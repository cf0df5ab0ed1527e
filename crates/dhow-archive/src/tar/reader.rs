//! Reading archives.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::pax::{MOST_EXTENTS, Records, decimal};
use super::raw::{BLOCK, Block, text};
use super::sparse::{self, Extent};
use super::{Header, Kind};
use crate::Error;

/// The most an extended header or a long name may take; Go's limit too.
const LARGEST_SPECIAL: u64 = 1 << 20;

/// The most headers that may stand before one entry.
const MOST_SPECIAL: usize = 16;

/// How much is read at once.
const BUFFER: usize = 256 * 1024;

/// Reads the entries of a tar stream one after the other.
///
/// What a hostile archive can cost is bounded: extended headers take at most a megabyte each and sixteen an entry, a
/// sparse file has at most a million fragments.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    /// Bytes of the current entry that are still to come, without the padding.
    remaining: u64,
    padding: u64,
    /// Where the data of the current entry goes, and how much of it has been taken.
    map: Vec<Extent>,
    extent: usize,
    taken: u64,
    /// For [`Content`]: the size of the file and the position in it.
    size: u64,
    position: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads from `source`, which need not be buffered.
    pub fn new(source: R) -> Self {
        Self {
            source: Source::new(source),
            remaining: 0,
            padding: 0,
            map: Vec::new(),
            extent: 0,
            taken: 0,
            size: 0,
            position: 0,
            ended: false,
        }
    }

    /// How many bytes of the stream have been read, all in all.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.source.total
    }

    /// How many bytes of content the archive holds for the current entry; less than its size if it is sparse.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.remaining
    }

    /// Goes on to the next entry, over what was not read of the current one's content; `None` at the archive's end.
    ///
    /// # Errors
    /// When the stream can't be read, breaks off or is no tar.
    pub fn next_entry(&mut self) -> Result<Option<Header>, Error> {
        let mut records = Records::default();
        for _ in 0..=MOST_SPECIAL {
            self.source.skip(self.remaining)?;
            self.source.skip_padding(self.padding)?;
            (self.remaining, self.padding) = (0, 0);
            let Some(block) = self.block()? else {
                return Ok(None);
            };
            match block.kind() {
                b'x' | b'X' => records.add(&self.special(&block)?)?,
                b'L' => records.path = Some(text(&self.special(&block)?).to_vec()),
                b'K' => records.link = Some(text(&self.special(&block)?).to_vec()),
                // Global headers carry comments in practice; Docker ignores them as well. `V` is a volume's label.
                b'g' | b'V' => self.announce(block.size()?)?,
                _ => return self.entry(&block, records).map(Some),
            }
        }
        Err(Error::malformed(
            "too many extended headers before an entry",
        ))
    }

    /// The content of the current entry, holes filled with zeroes.
    pub fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    /// The next piece of data of the current entry with its place in the file; holes are left out.
    ///
    /// # Errors
    /// When the stream can't be read or breaks off.
    pub fn data(&mut self) -> Result<Option<(u64, &[u8])>, Error> {
        let Some((offset, length)) = self.piece() else {
            return Ok(None);
        };
        let bytes = self.source.take(length)?;
        self.taken += bytes.len() as u64;
        self.remaining -= bytes.len() as u64;
        Ok(Some((offset, bytes)))
    }

    /// Reads what follows the archive's end (padding) to the end of the stream and returns the stream.
    ///
    /// # Errors
    /// When the stream can't be read.
    pub fn finish(mut self) -> Result<R, Error> {
        while self.source.fill()? {
            self.source.clear();
        }
        Ok(self.source.inner)
    }

    /// Reads on to the end of the stream as long as no more than `limit` bytes have been read in all.
    pub(crate) fn drain(&mut self, limit: &crate::Limits) -> Result<(), Error> {
        while self.source.fill()? {
            self.source.clear();
            limit.check_bytes(self.source.total)?;
        }
        Ok(())
    }

    /// The next header block; `None` at the end: two blocks of zeroes, one and the stream's end, or that alone.
    fn block(&mut self) -> Result<Option<Block>, Error> {
        if self.ended {
            return Ok(None);
        }
        let Some(block) = self.source.block()? else {
            self.ended = true;
            return Ok(None);
        };
        if block.is_zero() {
            self.ended = true;
            return Ok(None);
        }
        match block.is_intact() {
            true => Ok(Some(block)),
            false => Err(Error::malformed("invalid tar header")),
        }
    }

    /// The content of a special entry.
    fn special(&mut self, block: &Block) -> Result<Vec<u8>, Error> {
        let size = block.size()?;
        if size > LARGEST_SPECIAL {
            return Err(Error::malformed("extended header is too large"));
        }
        self.announce(size)?;
        let mut bytes = Vec::new();
        while self.remaining > 0 {
            let piece = self.source.take(self.remaining)?;
            self.remaining -= piece.len() as u64;
            bytes.extend_from_slice(piece);
        }
        Ok(bytes)
    }

    /// `size` bytes of content follow.
    fn announce(&mut self, size: u64) -> Result<(), Error> {
        let block = BLOCK as u64;
        if size > u64::MAX / 4 {
            return Err(Error::malformed("size out of range"));
        }
        self.remaining = size;
        self.padding = size.next_multiple_of(block) - size;
        Ok(())
    }

    fn entry(&mut self, block: &Block, records: Records) -> Result<Header, Error> {
        let name = records.path.clone().unwrap_or_else(|| block.name());
        let kind = kind(block.kind(), &name)?;
        let owner = |record: Option<u32>, field: Result<i64, Error>| match record {
            Some(id) => Ok(id),
            None => u32::try_from(field?).map_err(|_| Error::malformed("owner out of range")),
        };
        let mut header = Header {
            path: path(name),
            kind,
            mode: block.mode()?,
            uid: owner(records.uid, block.uid())?,
            gid: owner(records.gid, block.gid())?,
            size: 0,
            mtime: match records.mtime {
                Some(mtime) => mtime,
                None => block.mtime()?,
            },
            link: PathBuf::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        };
        match kind {
            Kind::File => self.file(&mut header, block, &records)?,
            Kind::Symlink | Kind::Hardlink => {
                header.link = path(records.link.unwrap_or_else(|| block.link()));
            }
            Kind::CharDevice | Kind::BlockDevice => header.device = block.device()?,
            // A GNU directory listing has content, which is of no use here.
            Kind::Directory if block.kind() == b'D' => self.announce(block.size()?)?,
            Kind::Directory | Kind::Fifo => {}
        }
        header.xattrs = records.xattrs;
        Ok(header)
    }

    /// Sets up the content of a regular file, sparse or not.
    fn file(&mut self, header: &mut Header, block: &Block, records: &Records) -> Result<(), Error> {
        let stored = match records.size {
            Some(size) => size,
            None => block.size()?,
        };
        self.announce(stored)?;
        self.map.clear();
        header.size = stored;
        if block.kind() == b'S' {
            header.size = self.old_sparse(block)?;
        } else if records.sparse.present {
            let sparse = &records.sparse;
            if let Some(name) = &sparse.name {
                header.path = path(name.clone());
            }
            header.size = sparse
                .size
                .ok_or_else(|| Error::malformed("sparse file without size"))?;
            match sparse.version.0 {
                0 => self.map.clone_from(&sparse.map),
                1 => self.sparse_prefix()?,
                _ => return Err(Error::malformed("unknown version of sparse file")),
            }
        } else if stored > 0 {
            self.map.push(Extent {
                offset: 0,
                length: stored,
            });
        }
        sparse::check(&self.map, header.size, self.remaining)?;
        (self.extent, self.taken, self.size, self.position) = (0, 0, header.size, 0);
        Ok(())
    }

    /// The old GNU form: four fragments in the header, 21 in each block that follows it. Returns the file's size.
    fn old_sparse(&mut self, block: &Block) -> Result<u64, Error> {
        let size = u64::try_from(super::raw::number(&block.0[483..495])?)
            .map_err(|_| Error::malformed("negative size"))?;
        sparse::old_gnu(&block.0[386..482], &mut self.map)?;
        let mut more = block.0[482] != 0;
        while more {
            let next = self.source.block()?.ok_or_else(broken_off)?;
            sparse::old_gnu(&next.0[..504], &mut self.map)?;
            more = next.0[504] != 0;
        }
        Ok(size)
    }

    /// PAX form 1.0: the map stands before the data, as lines of decimal numbers, filled up to whole blocks.
    fn sparse_prefix(&mut self) -> Result<(), Error> {
        let mut numbers = Vec::new();
        let mut line = Vec::new();
        let mut expected = 1;
        while numbers.len() < expected {
            if self.remaining < BLOCK as u64 {
                return Err(Error::malformed("sparse map is cut off"));
            }
            let block = self.source.block()?.ok_or_else(broken_off)?;
            self.remaining -= BLOCK as u64;
            for byte in block.0 {
                match byte {
                    b'\n' if numbers.len() < expected => {
                        numbers.push(decimal(&line)?);
                        line.clear();
                        if numbers.len() == 1 {
                            expected = usize::try_from(numbers[0])
                                .ok()
                                .filter(|count| *count <= MOST_EXTENTS)
                                .ok_or_else(|| Error::malformed("too many sparse fragments"))?
                                * 2
                                + 1;
                        }
                    }
                    _ if numbers.len() == expected => break,
                    digit if line.len() < 20 => line.push(digit),
                    _ => return Err(Error::malformed("broken sparse map")),
                }
            }
        }
        let pairs = numbers[1..].chunks_exact(2);
        self.map.extend(pairs.map(|pair| Extent {
            offset: pair[0],
            length: pair[1],
        }));
        Ok(())
    }

    /// Where the next data goes, and how much of it there is.
    fn piece(&mut self) -> Option<(u64, u64)> {
        loop {
            if self.remaining == 0 {
                return None;
            }
            let extent = self.map.get(self.extent)?;
            if self.taken < extent.length {
                return Some((extent.offset + self.taken, extent.length - self.taken));
            }
            self.extent += 1;
            self.taken = 0;
        }
    }
}

/// The content of an entry; ends where the entry does.
#[derive(Debug)]
pub struct Content<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.reader;
        let (start, most) = match reader.piece() {
            Some(piece) => piece,
            None => (reader.size, 0),
        };
        let room = buffer.len() as u64;
        let length = match reader.position < start {
            true => {
                let hole = usize::try_from(room.min(start - reader.position)).expect("in memory");
                buffer[..hole].fill(0);
                hole
            }
            false => {
                let bytes = reader
                    .source
                    .take(most.min(room))
                    .map_err(io::Error::other)?;
                buffer[..bytes.len()].copy_from_slice(bytes);
                reader.taken += bytes.len() as u64;
                reader.remaining -= bytes.len() as u64;
                bytes.len()
            }
        };
        reader.position += length as u64;
        Ok(length)
    }
}

fn kind(flag: u8, name: &[u8]) -> Result<Kind, Error> {
    Ok(match flag {
        // Archives from before there were directories; newer ones mean what they say, as Go reads them.
        0 if name.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => Kind::Hardlink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' | b'D' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(Error::malformed(format!(
                "unhandled tar header type {other}"
            )));
        }
    })
}

fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

fn broken_off() -> Error {
    Error::Read(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "unexpected EOF",
    ))
}

/// The stream with one large buffer, of which pieces are lent out.
#[derive(Debug)]
struct Source<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    total: u64,
}

impl<R: Read> Source<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            total: 0,
        }
    }

    fn clear(&mut self) {
        self.start = self.end;
    }

    /// Reads more if there is nothing; says whether there is something now.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.start < self.end {
            return Ok(true);
        }
        (self.start, self.end) = (0, 0);
        self.more()
    }

    /// Reads more behind what there is; says whether there was any.
    fn more(&mut self) -> Result<bool, Error> {
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(length) => {
                    self.end += length;
                    self.total += length as u64;
                    return Ok(length > 0);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::Read(e)),
            }
        }
    }

    /// Some bytes, at most `most`.
    fn take(&mut self, most: u64) -> Result<&[u8], Error> {
        if most > 0 && !self.fill()? {
            return Err(broken_off());
        }
        let there = self.end - self.start;
        let length = usize::try_from(most).map_or(there, |most| most.min(there));
        self.start += length;
        Ok(&self.buffer[self.start - length..self.start])
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), Error> {
        while bytes > 0 {
            bytes -= self.take(bytes)?.len() as u64;
        }
        Ok(())
    }

    /// As [`Self::skip`]; an archive may end before the last block is filled up.
    fn skip_padding(&mut self, mut bytes: u64) -> Result<(), Error> {
        while bytes > 0 && self.fill()? {
            bytes -= self.take(bytes)?.len() as u64;
        }
        Ok(())
    }

    /// A whole block; `None` if the stream ends before its first byte.
    fn block(&mut self) -> Result<Option<Block>, Error> {
        if !self.fill()? {
            return Ok(None);
        }
        if self.end - self.start < BLOCK {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            while self.end < BLOCK {
                if !self.more()? {
                    return Err(broken_off());
                }
            }
        }
        let mut block = Block([0; BLOCK]);
        block
            .0
            .copy_from_slice(&self.buffer[self.start..self.start + BLOCK]);
        self.start += BLOCK;
        Ok(Some(block))
    }
}
