//! Container log drivers: writers and readers.
//!
//! What a container prints comes as chunks of bytes from two pipes (or one terminal). A [`Writer`] cuts the chunks
//! into lines as Docker does and stores each line as an *entry*; a [`Reader`] finds the entries again, by number
//! from the end, by time or by stream, and can follow the log while it grows and rotates.
//!
//! - *entry*: one stored line (or one 16 KiB part of a longer line) with its stream and its time.
//! - *driver*: how entries are stored: `json-file` (Docker's format, byte for byte) or `none`.
//! - *frame*: an entry as Docker's API sends it: an 8-byte header (stream, length) and the bytes. A reader decodes
//!   straight into framed output, no entry is ever built in memory.
//! - *rotation*: `x-json.log` becomes `x-json.log.1`, `.1` becomes `.2` and so on, when `max-size` is reached.
//!
//! The writing half is made for the shim: fixed buffers, no threads, no allocation and no system call for a line.
//! The reading half has a blocking core ([`Reader`]) and an asynchronous face ([`stream`]).

mod config;
mod error;
mod read;
mod time;
mod write;

pub use config::{DRIVERS, LogConfig, Stream, attributes, validate};
pub use error::Error;
pub use read::{LogSource, Progress, ReadOptions, Reader, follow_stop, stream};
pub use write::{Discard, JsonFile, Writer, open};
