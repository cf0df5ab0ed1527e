//! What a shim and its logger say to each other, over a stream socket.
//!
//! The shim begins with its configuration ([`Begin`]: length, JSON) and waits for [`Report::Ready`] or
//! [`Report::Failed`]. Then it sends *frames*: a header of 13 bytes (what it is, the time in nanoseconds since 1970,
//! the number of bytes that follow) and the bytes. The logger sends further reports, one JSON document a line, when
//! something was lost.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{LogConfig, Stream};

/// The longest configuration; labels and variables may be large.
pub(crate) const LONGEST_BEGIN: usize = 4 * 1024 * 1024;
/// The most bytes of a frame: what a shim reads at a time.
pub(crate) const LONGEST_FRAME: usize = 1024 * 1024;
/// The length of a frame's header.
pub(crate) const HEADER: usize = 13;

/// What a logger is told first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begin {
    pub(crate) log: LogConfig,
}

/// What a logger says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The driver is ready.
    Ready,
    /// It could not be made; the text is Docker's.
    Failed(String),
    /// So many entries were lost so far, the last one for this reason.
    Lost(u64, String),
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A chunk of output.
    Chunk(Stream),
    /// The stream ended, or something of it was lost here.
    Break(Stream),
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::Chunk(Stream::Stdout),
        Self::Chunk(Stream::Stderr),
        Self::Break(Stream::Stdout),
        Self::Break(Stream::Stderr),
    ];
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) time: SystemTime,
    pub(crate) length: u32,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind);
        bytes[0] = kind.and_then(|kind| u8::try_from(kind).ok()).unwrap_or(0);
        let since = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        bytes[1..9].copy_from_slice(&nanos.to_le_bytes());
        bytes[9..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// `None` for what is no header.
    pub(crate) fn decode(bytes: [u8; HEADER]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (nanos, length) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        Some(Self {
            kind: *Kind::ALL.get(usize::from(*kind))?,
            time: UNIX_EPOCH + Duration::from_nanos(u64::from_le_bytes(*nanos)),
            length,
        })
        .filter(|header| u64::from(header.length) <= LONGEST_FRAME as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_and_nonsense_is_refused() {
        for kind in Kind::ALL {
            let header = Header {
                kind,
                time: UNIX_EPOCH + Duration::from_nanos(1_772_323_200_515_464_123),
                length: 70_000,
            };
            assert_eq!(Header::decode(header.encode()), Some(header));
        }
        assert_eq!(Header::decode([9; HEADER]), None);
        assert_eq!(Header::decode([0xff; HEADER]), None);
    }
}
