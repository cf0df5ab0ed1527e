//! `kill -9` of the daemon or of the client in the middle of builds: afterwards cache and store are sound, nothing of a
//! command is left, and the same build goes through.
//!
//! The number of rounds can be raised with `DHOW_CRASH_ROUNDS`.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dhow_e2e::Bench;
use dhow_testkit::Cli;
use dhow_testkit::http::Body;

/// Stages that run at the same time, copies from one to the other, a cache mount; `NONCE` makes it another build.
const DOCKERFILE: &str = "\
FROM busybox AS one
ARG NONCE
WORKDIR /work
COPY files/ files/
RUN echo $NONCE > nonce && cat files/* | sha256sum > sum && usleep 20000
RUN mkdir many && for i in $(seq 100); do echo $i > many/$i; done
FROM busybox AS two
ARG NONCE
RUN --mount=type=cache,target=/cache echo $NONCE >> /cache/log && head -c 3000000 /dev/urandom > /noise
RUN rm -rf /etc/group && echo $NONCE > /two
FROM busybox
COPY --from=two /two /noise /
COPY --from=one /work /work
RUN ls /work/many | wc -l > /count
CMD cat /work/nonce /two /count
";

struct Bed {
    bench: Bench,
    context: Vec<u8>,
    random: u64,
}

impl Bed {
    fn new() -> Option<Self> {
        if !dhow_testkit::root_or_skip("kill -9 of the daemon") {
            return None;
        }
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content).unwrap();
        };
        add("Dockerfile", DOCKERFILE.as_bytes());
        for n in 0..30 {
            add(
                &format!("files/f{n}"),
                format!("{n}\n").repeat(3000).as_bytes(),
            );
        }
        Some(Self {
            bench: Bench::new(Cli::Dhow),
            context: archive.into_inner().unwrap(),
            random: 0x2545_f491_4f6c_dd1d,
        })
    }

    fn share(&mut self) -> f64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        f64::from(u32::try_from(self.random >> 40).unwrap()) / f64::from(1 << 24)
    }

    fn path(nonce: &str) -> String {
        let arguments = format!("%7B%22NONCE%22%3A%22{nonce}%22%7D");
        format!("/v1.47/build?t=built&rm=1&buildargs={arguments}")
    }

    /// Builds to the end and sees that what came out is right.
    fn builds(&self, nonce: &str) -> Duration {
        let begun = Instant::now();
        let body = Body::Bytes("application/x-tar", &self.context);
        let answer = self
            .bench
            .engine
            .client()
            .request("POST", &Self::path(nonce), body)
            .unwrap();
        let text = answer.text();
        assert!(text.contains("Successfully tagged built:latest"), "{text}");
        let took = begun.elapsed();
        let said = self.bench.ok("run --rm built");
        let said: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(said, [nonce, nonce, "100"]);
        took
    }

    /// Nothing is wrong, and nothing of a build is left, though it may take a moment to go.
    fn is_sound(&self, round: &str) {
        let root = self.bench.engine.root();
        let entries = |folder: &Path| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<PathBuf>>()
        };
        let folders = [
            "data/staging",
            "data/steps",
            "data/builder/work",
            "data/builder/contexts",
            "data/builder/trash",
            "run/steps",
            "run/builder",
        ];
        let begun = Instant::now();
        loop {
            let mut left: Vec<PathBuf> = folders
                .iter()
                .flat_map(|folder| entries(&root.join(folder)))
                .collect();
            let groups = self.bench.engine.cgroups();
            let inner = groups.iter().flat_map(|group| entries(group));
            left.extend(inner.filter(|path| path.is_dir()));
            if left.is_empty() {
                break;
            }
            let late = begun.elapsed() > Duration::from_secs(10);
            assert!(!late, "{round}: {left:?}\n{}", self.bench.engine.log());
            std::thread::yield_now();
        }
        let checked = self.bench.run("system fsck --deep --repair");
        assert_eq!(checked.code, 0, "{round}: {checked:?}");
        let _ = self.bench.ok("system fsck --deep");
    }
}

fn rounds() -> u32 {
    let set = std::env::var("DHOW_CRASH_ROUNDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// The daemon dies at any moment of a build.
#[test]
fn a_build_cut_short_leaves_cache_and_store_sound() {
    let Some(mut bed) = Bed::new() else { return };
    let whole = bed.builds("first");
    for round in 0..rounds() {
        let nonce = format!("n{round}");
        let wait = whole.mul_f64(bed.share());
        let (mut client, context) = (bed.bench.engine.client(), bed.context.clone());
        let path = Bed::path(&nonce);
        let worker = std::thread::spawn(move || {
            let _ = client.request("POST", &path, Body::Bytes("application/x-tar", &context));
        });
        std::thread::sleep(wait);
        bed.bench.engine.kill9();
        worker.join().unwrap();
        bed.bench.engine.boot();
        bed.is_sound(&format!("round {round}, killed after {wait:?}"));
        let _ = bed.builds(&nonce);
    }
    bed.is_sound("the end");
}

/// The client goes at any moment of a build: the build ends, and so do its commands.
#[test]
fn a_build_whose_client_goes_ends_at_once() {
    let Some(mut bed) = Bed::new() else { return };
    let whole = bed.builds("first");
    for round in 0..rounds() {
        let nonce = format!("n{round}");
        let wait = whole.mul_f64(bed.share());
        let mut stream = UnixStream::connect(bed.bench.engine.socket()).unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            Bed::path(&nonce),
            bed.context.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&bed.context).unwrap();
        std::thread::sleep(wait);
        drop(stream);
        bed.is_sound(&format!("round {round}, gone after {wait:?}"));
        let _ = bed.builds(&nonce);
    }
}
