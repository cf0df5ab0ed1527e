//! The images that are pulled, the same on every machine and kept between runs.

use dhow_testkit::{images::Layout, packages};
use std::fs;
use std::path::{Path, PathBuf};

/// How many files each of the four layers has.
const FILES: u32 = 7750;

/// Four layers: files of every size from a few bytes to a megabyte, about as compressible as programs are.
pub(super) fn four(round: u64) -> PathBuf {
    packages::once(&format!("bench-layout-780-{round}"), |folder| {
        let mut random = Random(42 + round);
        let layers = (0..4).map(|number| tree(number, FILES, &mut random));
        gzip(folder, layers);
    })
}

/// The same, packed with zstd.
pub(super) fn four_zstd(round: u64) -> PathBuf {
    packages::once(&format!("bench-layout-zstd-{round}"), |folder| {
        let mut random = Random(142 + round);
        let mut layout = Layout::new(folder);
        for number in 0..4 {
            layout = layout.zstd_layer(&tree(number, FILES, &mut random));
        }
        layout.finish("bench");
    })
}

/// The four layers of [`four`], but for the uppermost.
pub(super) fn changed(round: u64) -> PathBuf {
    packages::once(&format!("bench-layout-changed-{round}"), |folder| {
        let mut random = Random(42 + round);
        let below = (0..3).map(|number| tree(number, FILES, &mut random));
        let mut layers: Vec<Vec<u8>> = below.collect();
        layers.push(tree(3, FILES, &mut Random(242 + round)));
        gzip(folder, layers.into_iter());
        share(folder, &four(round));
    })
}

/// One layer of 500 MB.
pub(super) fn single(round: u64) -> PathBuf {
    packages::once(&format!("bench-layout-single-{round}"), |folder| {
        gzip(
            folder,
            [tree(0, 19_900, &mut Random(342 + round))].into_iter(),
        );
    })
}

/// Forty layers of about a megabyte.
pub(super) fn small(round: u64) -> PathBuf {
    packages::once(&format!("bench-layout-small-{round}"), |folder| {
        let mut random = Random(442 + round);
        gzip(folder, (0..40).map(|number| tree(number, 40, &mut random)));
    })
}

/// One layer of 200 000 files of at most 200 bytes.
pub(super) fn tiny(round: u64) -> PathBuf {
    packages::once(&format!("bench-layout-tiny-{round}"), |folder| {
        let mut random = Random(542 + round);
        let content = |random: &mut Random| {
            let length = usize::try_from(random.next() % 200).unwrap_or_default();
            random.bytes(length)
        };
        let layer = archive(0, 200_000, || content(&mut random));
        gzip(folder, [layer].into_iter());
    })
}

/// One of several images of two layers each.
pub(super) fn several(number: u64) -> PathBuf {
    packages::once(&format!("bench-layout-several-{number}"), |folder| {
        let mut random = Random(642 + number);
        gzip(folder, (0..2).map(|number| tree(number, 1500, &mut random)));
    })
}

/// The layers' blobs of a layout, in order, packed as they are.
pub(super) fn blobs(layout: &Path) -> Vec<PathBuf> {
    let blob = |digest: &str| {
        let hex = digest.trim_start_matches("sha256:");
        layout.join("blobs/sha256").join(hex)
    };
    let read = |path: &Path| -> serde_json::Value {
        let text = fs::read(path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let index = read(&layout.join("index.json"));
    let manifest = read(&blob(&text(&index["manifests"][0]["digest"])));
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    let digests = layers.iter().map(|layer| text(&layer["digest"]));
    digests.map(|digest| blob(&digest)).collect()
}

fn gzip(folder: &Path, layers: impl Iterator<Item = Vec<u8>>) {
    let mut layout = Layout::new(folder);
    for layer in layers {
        layout = layout.layer(&layer);
    }
    layout.finish("bench");
}

/// Lets blobs that both layouts have be the same files.
fn share(folder: &Path, other: &Path) {
    let (own, others) = (folder.join("blobs/sha256"), other.join("blobs/sha256"));
    for entry in fs::read_dir(&own).into_iter().flatten().flatten() {
        let same = others.join(entry.file_name());
        if same.exists() && fs::remove_file(entry.path()).is_ok() {
            fs::hard_link(&same, entry.path()).expect("both are in the cache folder");
        }
    }
}

/// A layer with files of every size.
fn tree(number: u32, files: u32, random: &mut Random) -> Vec<u8> {
    archive(number, files, || random.content())
}

fn archive(number: u32, files: u32, mut content: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in 0..files {
        let mut header = tar::Header::new_gnu();
        let content = content();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        let path = format!("usr/lib{number}/d{}/e{}/file-{file}", file / 500, file / 50);
        let added = builder.append_data(&mut header, path, content.as_slice());
        added.unwrap_or_else(|error| panic!("archiving to memory: {error}"));
    }
    builder
        .into_inner()
        .unwrap_or_else(|error| panic!("archiving to memory: {error}"))
}

/// A small generator of the same numbers on every machine (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A file's bytes: sizes spread over the powers of two.
    fn content(&mut self) -> Vec<u8> {
        let size = usize::try_from(self.next() % (1 << (self.next() % 8 + 10))).unwrap_or_default();
        match self.next().is_multiple_of(100) {
            true => self.bytes(900_000),
            false => self.bytes(size),
        }
    }

    /// One byte in six is random, the rest are repeated words, which gzip makes about as small as it makes programs.
    fn bytes(&mut self, size: usize) -> Vec<u8> {
        let mut content = Vec::with_capacity(size + 64);
        while content.len() < size {
            let word = self.next();
            content.extend_from_slice(&word.to_le_bytes());
            let phrases = [
                &b"the quick brown fox "[..],
                b"\0\0\0\0\0\0\0\0\0\0\0\0",
                b"static const char *name",
                b"return result; }\n",
            ];
            for shift in [0, 2] {
                let phrase = usize::try_from((word >> shift) % 4).unwrap_or_default();
                content.extend_from_slice(phrases[phrase]);
            }
        }
        content.truncate(size);
        content
    }
}
