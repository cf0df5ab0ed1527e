//! Images with awkward layers, and what their file systems look like.
//!
//! [`cases`] makes some dozens of images, the same bytes on every machine: every kind of entry that archives know,
//! every way in which layers hide and replace one another's files, every packing, and odd documents. A [`Hub`] offers
//! them to an engine, [`unpacked`] says what the engine made of one: the line of each file has all that can be told
//! of it. What a real Docker Engine makes of them is in `recorded`, a file of the tests; `cargo xtask corpus` compares
//! with a running one, and writes that file.

mod documents;
mod entries;
mod hub;
mod image;
mod layers;
mod packings;
mod recorded;
mod tar;
mod tools;
mod tree;

pub use hub::Hub;
pub use image::{Blob, Image, ImageBuilder, Packing, gzip};
pub use recorded::Recorded;
pub use tar::{Entry, Form, MTIME, Sparse, Tar, sparse};
pub use tools::made_by_tools;
pub use tree::{Outcome, Way, compare, unpacked};

/// An image, and what is to become of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name, also that of its repository.
    pub name: &'static str,
    /// All of it.
    pub image: Image,
    /// Why Dhow's tree is another than Docker's, where it is to be.
    pub differs: Option<&'static str>,
}

impl Case {
    fn new(name: &'static str, image: Image) -> Self {
        Self {
            name,
            image,
            differs: None,
        }
    }

    /// An image of these layers, packed with gzip.
    fn of<const N: usize>(name: &'static str, layers: [Tar; N]) -> Self {
        let builder = layers
            .into_iter()
            .fold(ImageBuilder::new(), |image, tar| image.layer(tar.finish()));
        Self::new(name, builder.build())
    }

    /// Dhow's outcome is another than Docker's, for this reason.
    fn but(mut self, reason: &'static str) -> Self {
        self.differs = Some(reason);
        self
    }
}

/// All of them.
#[must_use]
pub fn cases() -> Vec<Case> {
    let all = [
        entries::cases(),
        layers::cases(),
        packings::cases(),
        documents::cases(),
    ];
    all.concat()
}

/// The file system that most cases change: some of everything.
fn base() -> Tar {
    Tar::new().all([
        Entry::dir("etc"),
        Entry::file("etc/hosts", "127.0.0.1 localhost\n"),
        Entry::file("etc/passwd", "root:x:0:0:root:/:/bin/sh\n").mode(0o600),
        Entry::dir("var").mode(0o711).owner(3, 4).mtime(MTIME + 5),
        Entry::dir("var/lib").mode(0o2750).owner(1000, 1001),
        Entry::file("var/lib/one", "one").owner(1000, 1001),
        Entry::file("var/lib/two", "two").mode(0o4711),
        Entry::dir("var/lib/deep"),
        Entry::dir("var/lib/deep/er"),
        Entry::file("var/lib/deep/er/file", "deep"),
        Entry::dir("usr"),
        Entry::dir("usr/bin").xattr("user.kind", "programs"),
        Entry::file("usr/bin/tool", "#!/bin/sh\n").mode(0o755),
        Entry::hardlink("usr/bin/twin", "usr/bin/tool").mode(0o755),
        Entry::symlink("bin", "usr/bin"),
        Entry::symlink("usr/loop", "loop"),
        Entry::device(b'3', "null", 1, 3).mode(0o666),
    ])
}
