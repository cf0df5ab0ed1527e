//! Where the data of a sparse file goes.

use crate::Error;

/// A piece of a file that has data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Checks that the pieces come one after the other, within the file, and that the archive has their data.
pub(crate) fn check(map: &[Extent], size: u64, stored: u64) -> Result<(), Error> {
    let mut end = 0_u64;
    let mut total = 0_u64;
    for extent in map {
        let next = extent.offset.checked_add(extent.length);
        match next {
            Some(next) if extent.offset >= end && next <= size => end = next,
            _ => return Err(Error::malformed("sparse map out of order")),
        }
        total += extent.length; // ends within `size`, so it can't overflow
    }
    match total == stored {
        true => Ok(()),
        false => Err(Error::malformed("sparse map and data differ in size")),
    }
}

/// The four fragments of an old GNU header, or the 21 of a block that continues it.
pub(crate) fn old_gnu(fields: &[u8], map: &mut Vec<Extent>) -> Result<(), Error> {
    for field in fields.chunks_exact(24) {
        if field[0] == 0 {
            break;
        }
        let part = |range| {
            let number = super::raw::number(&field[range])?;
            u64::try_from(number).map_err(|_| Error::malformed("negative sparse offset"))
        };
        if map.len() == super::pax::MOST_EXTENTS {
            return Err(Error::malformed("sparse file has too many fragments"));
        }
        map.push(Extent {
            offset: part(0..12)?,
            length: part(12..24)?,
        });
    }
    Ok(())
}
