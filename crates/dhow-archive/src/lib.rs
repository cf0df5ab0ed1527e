//! Tar streams: layers applied and made, file trees packed and unpacked; safe against hostile archives.
//!
//! * [`tar`] reads and writes the format itself: old, ustar, GNU and PAX headers, sparse files, extended attributes.
//! * [`apply`] turns a layer's tar stream into a directory in overlayfs' form, alone: it doesn't need the layers below,
//!   so that all layers of an image unpack at the same time. What only the layers below can tell is returned in
//!   [`Applied`] and put right when the layer is committed (`dhow-snapshot`).
//! * [`diff`] is the way back: an overlay upper directory as a layer's tar stream. [`changes`] lists what it holds.
//! * [`export`], [`pack`], [`unpack`] and [`stat`] serve `docker export` and `docker cp`.
//! * [`decompressed`] undoes whichever compression a stream has.
//! * [`remove_tree`] removes a tree of any size and depth without following anything out of it.
//!
//! # Terms
//!
//! A *whiteout* says that a name of the layers below is gone. In a tar it is an empty file `.wh.NAME`; on disk a
//! character device 0/0 called `NAME`. An *opaque* directory hides all that the layers below have in it: a file
//! `.wh..wh..opq` in the tar, the attribute `trusted.overlay.opaque=y` on disk. An *implicit* directory is one that the
//! tar mentions only as the parent of something else.
//!
//! # Paths
//!
//! Names in an archive are never joined to strings of ours. A name is cleaned first (`/` at the front and `.` drop out,
//! `..` goes one up; one that climbs out of the root is refused), then its parent is opened with
//! `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)`, and the last component is only ever used with that descriptor and
//! `O_NOFOLLOW`. A parent that is a symbolic link *within the archive* is followed inside the root, as Docker does:
//! `bin -> usr/bin` followed by `bin/sh` makes `usr/bin/sh`, and `x -> /etc` followed by `x/passwd` makes `etc/passwd`
//! in the layer. The target may be missing: then it is made in this layer, as a layer below may have
//! it. A hard link to a symbolic link is a second name of the link itself.

mod apply;
mod at;
mod attributes;
mod changes;
mod clone;
mod copy;
mod decompress;
mod diff;
mod dirs;
mod error;
mod extract;
mod limits;
mod names;
mod pack;
mod place;
mod remove;
mod resolve;
mod settle;
mod stat;
pub mod tar;
mod tree;
mod unpack;
mod usage;
mod walk;
mod xattrs;

/// Files by directory descriptors, for those who work on trees themselves: no path is ever followed out of its root.
pub mod fd {
    pub use crate::at::{
        is_dir, is_whiteout, mtime, open_dir, open_in_root, open_parent, set_mode, stat,
        stat_if_there, times, untouched,
    };
    pub use crate::names::{follow, join, split};
    pub use crate::resolve::resolve;
    pub use crate::walk::names;
    pub use crate::xattrs::{Target, apply as set_xattrs, is_opaque, read as xattrs};
}

pub use apply::{Applied, ApplyOptions, ForeignLink, apply};
pub use changes::{Change, ChangeKind, changes};
pub use clone::clone_tree;
pub use decompress::decompressed;
pub use diff::{diff, layer};
pub use error::Error;
pub use limits::Limits;
pub use pack::{Packing, export, pack};
pub use place::{find_place, make_place};
pub use remove::remove_tree;
pub use settle::settle;
pub use stat::{PathStat, stat};
pub use tree::Written;
pub use unpack::{Destination, UnpackOptions, unpack};
pub use usage::usage;
