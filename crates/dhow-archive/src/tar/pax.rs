//! PAX extended headers: records `LENGTH KEY=VALUE\n`.

use super::sparse::Extent;
use super::{Mtime, Xattr};
use crate::Error;

/// The prefix of a record that carries an extended attribute.
pub(crate) const XATTR: &str = "SCHILY.xattr.";

/// The most fragments a sparse file may have.
pub(crate) const MOST_EXTENTS: usize = 1 << 20;

/// The records of an entry that mean something here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) mtime: Option<Mtime>,
    pub(crate) xattrs: Vec<Xattr>,
    pub(crate) sparse: Sparse,
}

/// What GNU tar says about a sparse file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sparse {
    pub(crate) version: (u64, u64),
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) map: Vec<Extent>,
    /// The offset of format 0.0 whose length is the next record.
    offset: Option<u64>,
    pub(crate) present: bool,
}

impl Records {
    /// Adds the records of one extended header.
    pub(crate) fn add(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (key, value, rest) = split(bytes).ok_or_else(|| broken("record"))?;
            self.record(key, value)?;
            bytes = rest;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if let Some(name) = key.strip_prefix(XATTR.as_bytes()) {
            self.xattrs.retain(|xattr| xattr.name != name);
            self.xattrs.push(Xattr {
                name: name.to_vec(),
                value: value.to_vec(),
            });
            return Ok(());
        }
        match key {
            b"path" => self.path = Some(name(value)?),
            b"linkpath" => self.link = Some(name(value)?),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(owner(value)?),
            b"gid" => self.gid = Some(owner(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.record(key, value)?;
                }
            }
        }
        Ok(())
    }
}

impl Sparse {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.present = true;
        match key {
            b"major" => self.version.0 = decimal(value)?,
            b"minor" => self.version.1 = decimal(value)?,
            b"name" => self.name = Some(name(value)?),
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or_else(|| broken("sparse map"))?;
                self.push(Extent {
                    offset,
                    length: decimal(value)?,
                })?;
            }
            b"map" => {
                self.map.clear();
                let mut numbers = value
                    .split(|byte| *byte == b',')
                    .filter(|text| !text.is_empty());
                while let Some(offset) = numbers.next() {
                    let length = numbers.next().ok_or_else(|| broken("sparse map"))?;
                    self.push(Extent {
                        offset: decimal(offset)?,
                        length: decimal(length)?,
                    })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, extent: Extent) -> Result<(), Error> {
        if self.map.len() == MOST_EXTENTS {
            return Err(Error::malformed("sparse file has too many fragments"));
        }
        self.map.push(extent);
        Ok(())
    }
}

/// The text of one record, its own length in front.
pub(crate) fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    length = rest + digits(length);
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// Takes the first record off.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, rest) = (bytes.get(space + 1..length)?, bytes.get(length..)?);
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    (equals > 0).then(|| (&record[..equals], &record[equals + 1..], rest))
}

fn broken(what: &str) -> Error {
    Error::malformed(format!("broken extended header: {what}"))
}

fn name(value: &[u8]) -> Result<Vec<u8>, Error> {
    match value.contains(&0) {
        true => Err(broken("name with a NUL byte")),
        false => Ok(value.to_vec()),
    }
}

pub(crate) fn decimal(value: &[u8]) -> Result<u64, Error> {
    let text = std::str::from_utf8(value).ok();
    let number = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| broken("number"))
}

fn owner(value: &[u8]) -> Result<u32, Error> {
    u32::try_from(decimal(value)?).map_err(|_| broken("owner out of range"))
}

/// Seconds with an optional sign and fraction.
fn time(value: &[u8]) -> Result<Mtime, Error> {
    let text = std::str::from_utf8(value).map_err(|_| broken("time"))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| broken("time"))?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(broken("time"));
    }
    let nine: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = nine.parse().map_err(|_| broken("time"))?;
    // -1.25 s is a quarter of a second before -1, and file systems count up from whole seconds.
    match whole.starts_with('-') && nanoseconds > 0 {
        true => Ok(Mtime {
            seconds: seconds.saturating_sub(1),
            nanoseconds: 1_000_000_000 - nanoseconds,
        }),
        false => Ok(Mtime {
            seconds,
            nanoseconds,
        }),
    }
}
