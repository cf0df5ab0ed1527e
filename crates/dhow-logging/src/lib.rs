//! Container logs: writers, drivers and readers.
//!
//! What a container prints comes as chunks of bytes from two pipes (or one terminal). A [`Writer`] takes the chunks; a
//! [`Reader`] finds the lines again, by number from the end, by time or by stream, and can follow the log while it
//! grows and rotates.
//!
//! - *entry*: one line (or one 16 KiB part of a longer line) with its stream and its time, cut as Docker does.
//! - *driver*: what becomes of entries: kept in files (`json-file` in Docker's format, byte for byte, and `local`), sent
//!   to a *receiver* (`syslog`, `journald`, `fluentd`, `gelf`), or nothing (`none`).
//! - *copy*: the file in which the entries of a driver that sends them are kept too, so that they can be read.
//! - *frame*: an entry as Docker's API sends it: an 8-byte header (stream, length) and the bytes. A reader decodes
//!   straight into framed output, no entry is ever built in memory.
//! - *rotation*: `x-json.log` becomes `x-json.log.1`, `.1` becomes `.2` and so on, when `max-size` is reached; rotated
//!   files may be compressed (`.1.gz`).
//! - *logger*: the process of a driver that sends, or may not make its container wait; see [`logger`].
//!
//! The writing half is made for the shim: fixed buffers, no threads, no allocation and no system call for a line.
//! The reading half has a blocking core ([`Reader`]) and an asynchronous face ([`stream`]).

mod channel;
mod config;
mod driver;
mod entry;
mod error;
mod forward;
pub mod logger;
mod net;
mod options;
mod read;
mod time;
mod validate;
mod write;

pub use config::{LogConfig, Origin, Stream, attributes, file};
pub use error::Error;
pub use read::{LogSource, Progress, ReadOptions, Reader, follow_stop, stream};
pub use validate::{DRIVERS, is_readable, validate};
pub use write::{Discard, JsonFile, Link, Writer, open};
