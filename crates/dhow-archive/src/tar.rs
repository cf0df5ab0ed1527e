//! The tar format: a pure reader and a writer.
//!
//! [`Reader`] understands old, ustar, GNU and PAX archives as docker, buildkit, GNU tar, bsdtar, Go and Python write
//! them, and keeps what a hostile one can cost bounded. [`Writer`] writes ustar headers and a PAX one in front where
//! ustar can't say it.
//!
//! ```
//! use dhow_archive::tar::{Header, Reader, Writer};
//!
//! let mut writer = Writer::new(Vec::new());
//! writer.bytes(Header::file("etc/motd", 0o644, 3), b"hi\n")?;
//! let bytes = writer.finish()?;
//!
//! let mut reader = Reader::new(bytes.as_slice());
//! let entry = reader.next_entry()?.expect("one entry was written");
//! assert_eq!(entry.path.to_str(), Some("etc/motd"));
//! let mut text = String::new();
//! std::io::Read::read_to_string(&mut reader.content(), &mut text)?;
//! assert_eq!(text, "hi\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod header;
pub(crate) mod pax;
pub(crate) mod raw;
mod reader;
pub(crate) mod sparse;
mod writer;

pub use header::{Header, Kind, Mtime, Xattr};
pub use reader::{Content, Reader};
pub use writer::{Sink, Writer};
