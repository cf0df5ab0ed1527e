//! The 512-byte header block.

use std::ops::Range;

use super::Mtime;
use crate::Error;

/// The size of everything in a tar.
pub(crate) const BLOCK: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_TRAILER: Range<usize> = 508..512;

/// A header block, read or being made.
#[derive(Clone)]
pub(crate) struct Block(pub(crate) [u8; BLOCK]);

impl Block {
    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Whether the checksum is right: of unsigned bytes, or of signed ones as some old programs wrote it.
    pub(crate) fn is_intact(&self) -> bool {
        let Ok(stored) = number(&self.0[CHECKSUM]) else {
            return false;
        };
        let outside = || {
            self.0[..CHECKSUM.start]
                .iter()
                .chain(&self.0[CHECKSUM.end..])
        };
        let unsigned: i64 = outside().map(|byte| i64::from(*byte)).sum();
        let signed: i64 = outside().map(|byte| i64::from(byte.cast_signed())).sum();
        let spaces = i64::from(b' ') * 8;
        stored == unsigned + spaces || stored == signed + spaces
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0[TYPE]
    }

    /// The name, with the prefix field of ustar and star archives.
    pub(crate) fn name(&self) -> Vec<u8> {
        let name = text(&self.0[NAME]);
        let prefix = match &self.0[MAGIC] {
            b"ustar\x0000" if &self.0[STAR_TRAILER] == b"tar\0" => text(&self.0[STAR_PREFIX]),
            [b'u', b's', b't', b'a', b'r', 0, ..] => text(&self.0[PREFIX]),
            _ => &[],
        };
        match prefix {
            [] => name.to_vec(),
            prefix => [prefix, b"/", name].concat(),
        }
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        text(&self.0[LINK]).to_vec()
    }

    pub(crate) fn mode(&self) -> Result<u32, Error> {
        // The type bits some programs put in as well are not ours to believe.
        Ok(u32::try_from(number(&self.0[MODE])? & 0o7777).expect("masked"))
    }

    pub(crate) fn uid(&self) -> Result<i64, Error> {
        number(&self.0[UID])
    }

    pub(crate) fn gid(&self) -> Result<i64, Error> {
        number(&self.0[GID])
    }

    pub(crate) fn size(&self) -> Result<u64, Error> {
        u64::try_from(number(&self.0[SIZE])?).map_err(|_| Error::malformed("negative size"))
    }

    pub(crate) fn mtime(&self) -> Result<Mtime, Error> {
        Ok(Mtime {
            seconds: number(&self.0[MTIME])?,
            nanoseconds: 0,
        })
    }

    pub(crate) fn device(&self) -> Result<(u32, u32), Error> {
        let part = |range: Range<usize>| {
            u32::try_from(number(&self.0[range])?).map_err(|_| Error::malformed("device number"))
        };
        Ok((part(MAJOR)?, part(MINOR)?))
    }
}

/// What a header block has room for; an extended header says the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) prefix: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) device: (u32, u32),
}

impl Fields<'_> {
    /// The block; what is too long or large is cut to what fits, as an extended header overrules it.
    pub(crate) fn block(&self) -> Block {
        let mut block = Block([0; BLOCK]);
        let mut put = |range: Range<usize>, bytes: &[u8]| {
            let length = bytes.len().min(range.len());
            block.0[range.start..range.start + length].copy_from_slice(&bytes[..length]);
        };
        put(NAME, self.name);
        put(LINK, self.link);
        put(PREFIX, self.prefix);
        put(MAGIC, b"ustar\x0000");
        put(TYPE..TYPE + 1, &[self.kind]);
        let numbers = [
            (MODE, u64::from(self.mode)),
            (UID, u64::from(self.owner.0)),
            (GID, u64::from(self.owner.1)),
            (SIZE, self.size),
            (MTIME, u64::try_from(self.mtime).unwrap_or(0)),
            (MAJOR, u64::from(self.device.0)),
            (MINOR, u64::from(self.device.1)),
        ];
        for (range, number) in numbers {
            let digits = range.len() - 1;
            let fitting = if octal_fits(number, digits) {
                number
            } else {
                0
            };
            put(range, format!("{fitting:0digits$o}").as_bytes());
        }
        let sum: u64 = block.0.iter().map(|byte| u64::from(*byte)).sum::<u64>() + 8 * 32;
        block.0[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// Whether `number` has at most so many octal digits.
pub(crate) fn octal_fits(number: u64, digits: usize) -> bool {
    digits >= 22 || number >> (3 * digits) == 0
}

/// The bytes before the first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    &field[..end]
}

/// A number in octal digits, or in binary if its first bit is set.
pub(crate) fn number(field: &[u8]) -> Result<i64, Error> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => binary(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Result<i64, Error> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    digits[..end]
        .iter()
        .try_fold(0_i64, |value, digit| match digit {
            b'0'..=b'7' => Ok(value * 8 + i64::from(digit - b'0')),
            _ => Err(Error::malformed("header field is not a number")),
        })
}

/// Two's complement, big-endian, without the first bit.
fn binary(field: &[u8]) -> Result<i64, Error> {
    let negative = field[0] & 0x40 != 0;
    let first = match negative {
        true => field[0],
        false => field[0] & 0x7f,
    };
    let start = if negative { -1_i64 } else { 0 };
    let mut bytes = vec![first];
    bytes.extend_from_slice(&field[1..]);
    bytes.iter().try_fold(start, |value, byte| {
        value
            .checked_mul(256)
            .and_then(|value| value.checked_add(i64::from(*byte)))
            .ok_or_else(|| Error::malformed("header field is out of range"))
    })
}
