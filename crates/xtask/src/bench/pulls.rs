//! Pulling the four-layer image from a registry on the engine's own loopback.

use super::{Measurement, Subject, milliseconds, report::median};
use dhow_testkit::{Registry, RegistryKind, http::Body, images, packages};
use std::path::PathBuf;

pub(super) const ALL: &[Measurement] = &[Measurement {
    name: "pull: 4 gzip layers, 780 MB in 31 000 files",
    unit: "ms",
    measure: pull,
}];

/// How many files each of the four layers has.
const FILES: u32 = 7750;

/// How often it is pulled. Each round has an image of its own, and none is removed before the end of the run: file systems
/// are slow for a while after many deletions, and that would be measured as well.
const ROUNDS: u64 = 3;

fn pull(subject: &Subject) -> Result<f64, String> {
    let registry = Registry::start_beside(RegistryKind::Plain, subject.pid);
    let name = format!("{}/bench", registry.host());
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        registry.fill(&layout(round), &format!("bench:{round}"));
        // What the filling has left to be written is not the engine's.
        packages::run(&mut std::process::Command::new("sync"));
        let path = format!("/v1.44/images/create?fromImage={name}&tag={round}");
        let mut answer = Err(std::io::ErrorKind::NotConnected.into());
        times.push(milliseconds(|| {
            answer = subject.client().request("POST", &path, Body::Empty)
        }));
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status != 200 || answer.text().contains("\"error\"") {
            return Err(answer.text().lines().last().unwrap_or_default().to_owned());
        }
    }
    for round in 0..ROUNDS {
        let path = format!("/v1.44/images/{name}:{round}?force=1");
        let removed = subject.client().delete(&path);
        removed.map_err(|error| error.to_string())?;
    }
    Ok(median(times))
}

/// The image: files of every size from a few bytes to a megabyte, about as compressible as programs are.
fn layout(round: u64) -> PathBuf {
    packages::once(&format!("bench-layout-780-{round}"), |folder| {
        let mut layout = images::Layout::new(folder);
        let mut random = Random(42 + round);
        for number in 0..4 {
            layout = layout.layer(&layer(number, &mut random));
        }
        layout.finish("bench");
    })
}

fn layer(number: u32, random: &mut Random) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in 0..FILES {
        let mut header = tar::Header::new_gnu();
        let content = random.content();
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

    /// A file's bytes: sizes spread over the powers of two; one byte in six is random, the rest are repeated words,
    /// which gzip makes about as small as it makes programs.
    fn content(&mut self) -> Vec<u8> {
        let size = usize::try_from(self.next() % (1 << (self.next() % 8 + 10))).unwrap_or_default();
        let size = if self.next().is_multiple_of(100) {
            900_000
        } else {
            size
        };
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
