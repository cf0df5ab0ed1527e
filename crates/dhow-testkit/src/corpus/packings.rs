//! How layers are packed, and where their archives end.

use super::image::{ImageBuilder, Packing};
use super::tar::{Entry, Tar};
use super::{Case, base};

pub(super) fn cases() -> Vec<Case> {
    let packed = [
        ("packed-plain", Packing::Plain),
        ("packed-gzip-members", Packing::GzipMembers),
        ("packed-gzip-header", Packing::GzipHeader),
        ("packed-gzip-padded", Packing::GzipPadded),
        ("packed-gzip-garbage", Packing::GzipGarbage),
        ("packed-zstd", Packing::Zstd),
        ("packed-zstd-frames", Packing::ZstdFrames),
        ("packed-otherwise", Packing::GzipToldPlain),
        ("packed-not-at-all", Packing::PlainToldGzip),
    ];
    let mut cases: Vec<Case> = packed
        .into_iter()
        .map(|(name, packing)| {
            let image = ImageBuilder::new().packed(packing, base().finish());
            let case = Case::new(name, image.build());
            match packing {
                Packing::GzipToldPlain => case.but("what it is counts, not what it is called"),
                _ => case,
            }
        })
        .collect();
    let docker = ImageBuilder::new().docker().layer(base().finish()).packed(
        Packing::Plain,
        Tar::new().with(Entry::whiteout("etc", "hosts")).finish(),
    );
    cases.push(Case::new("packed-docker", docker.build()));
    cases.push(Case::new("packed-estargz", estargz()));
    let mixed = [
        Packing::Plain,
        Packing::Gzip,
        Packing::Zstd,
        Packing::GzipMembers,
    ];
    let mixed = mixed
        .iter()
        .enumerate()
        .fold(ImageBuilder::new(), |image, (n, packing)| {
            let tar = Tar::new().with(Entry::file(format!("file-{n}"), "x"));
            image.packed(*packing, tar.finish())
        });
    cases.push(Case::new("packed-mixed", mixed.build()));
    cases.extend(ends());
    cases
}

/// Where an archive may end, and where not.
fn ends() -> Vec<Case> {
    let one = |tar: Vec<u8>| ImageBuilder::new().layer(tar).build();
    let file = || Tar::new().with(Entry::file("file", "content"));
    let cut = |tar: Vec<u8>, by: usize| tar[..tar.len() - by].to_vec();
    let behind = Tar::new().with(Entry::file("behind", "x")).finish();
    vec![
        Case::new("end-missing", one(file().endless())),
        Case::new("end-half", one([file().endless(), vec![0; 512]].concat())),
        Case::new("end-long", one([file().finish(), vec![0; 20_480]].concat())),
        Case::new(
            "end-then-garbage",
            one([file().finish(), vec![7; 3000]].concat()),
        ),
        Case::new("end-then-more", one([file().finish(), behind].concat())),
        Case::new("end-in-content", one(cut(file().endless(), 300))),
        Case::new("end-in-header", one(cut(file().endless(), 700))),
        Case::new("not-an-archive", one(vec![b'x'; 5000])),
        Case::new(
            "kind-unknown",
            one(file().with(Entry::new(b'Q', "what", 0o644)).finish()),
        ),
    ]
}

/// Members that can be read one by one, the list of them in the last.
fn estargz() -> super::Image {
    let toc = r#"{"version":1,"entries":[{"name":"file","type":"reg","size":1,"offset":0}]}"#;
    let tar = Tar::new().all([
        Entry::file(".prefetch.landmark", "\x0f"),
        Entry::file("file", "x"),
        Entry::file("stargz.index.json", toc),
    ]);
    ImageBuilder::new()
        .packed(Packing::Estargz, tar.finish())
        .build()
}
