#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use super::*;

fn store() -> (tempfile::TempDir, ContentStore) {
    let at = tempfile::tempdir().unwrap();
    let store = ContentStore::open(at.path()).unwrap();
    (at, store)
}

/// Bytes that are different everywhere.
fn content(length: usize) -> Vec<u8> {
    (0..length.div_ceil(8) as u64)
        .flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes())
        .take(length)
        .collect()
}

fn partials(at: &Path) -> usize {
    fs::read_dir(at.join("ingest")).unwrap().count()
}

#[test]
fn parts_in_any_order_make_the_blob_and_are_followed() {
    let (at, store) = store();
    let bytes = content(3_000_000);
    let digest = Digest::of(&bytes);
    let mut assembly = store.assemble(&digest, 3_000_000).unwrap();
    let mut follower = assembly.follow().unwrap();
    let follow = std::thread::spawn(move || {
        let mut read = Vec::new();
        follower.read_to_end(&mut read).map(|_| read)
    });
    for part in [1_000_000..2_000_000, 0..1_000_000, 2_000_000..3_000_000] {
        assembly.write(part.start as u64, &bytes[part]).unwrap();
    }
    assert_eq!(
        (assembly.missing(), assembly.present()),
        (vec![], 3_000_000)
    );
    assembly.commit_pending().unwrap();
    assert!(follow.join().unwrap().unwrap() == bytes);
    assert!(store.read(&digest, 3_000_000).unwrap() == bytes);
    assert_eq!(partials(at.path()), 0);
}

#[test]
fn the_next_attempt_finds_the_parts() {
    let (at, store) = store();
    let size = 8 << 20;
    let bytes = content(size);
    let digest = Digest::of(&bytes);
    let mut assembly = store.assemble(&digest, size as u64).unwrap();
    assert!(!assembly.is_resumed());
    for part in [0..700_001, 2 << 20..(2 << 20) + 900_000, 4 << 20..5 << 20] {
        assembly.write(part.start as u64, &bytes[part]).unwrap();
    }
    let mut follower = assembly.follow().unwrap();
    drop(assembly);
    let mut head = vec![0; 700_001];
    follower.read_exact(&mut head).unwrap();
    let error = follower.read(&mut head).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

    let mut assembly = store.assemble(&digest, size as u64).unwrap();
    assert!(assembly.is_resumed());
    let missing = assembly.missing();
    assert!(missing.len() == 3, "{missing:?}");
    for (gap, start) in missing.iter().zip([700_001, (2 << 20) + 900_000, 5 << 20]) {
        // Less may be taken for written than was, never more.
        assert!(
            gap.start <= start && gap.start + BLOCK + 4096 > start,
            "{gap:?}"
        );
    }
    assert!(
        store
            .assemble(&digest, size as u64)
            .unwrap()
            .missing()
            .len()
            == 1,
        "taken"
    );
    for gap in missing {
        let part = usize::try_from(gap.start).unwrap()..usize::try_from(gap.end).unwrap();
        assembly.write(gap.start, &bytes[part]).unwrap();
    }
    assembly.commit_pending().unwrap();
    assert!(store.read(&digest, size as u64).unwrap() == bytes);
    assert_eq!(partials(at.path()), 0);
}

#[test]
fn wrong_parts_never_become_a_blob() {
    let (at, store) = store();
    let bytes = content(100_000);
    let digest = Digest::of(&bytes);
    let mut assembly = store.assemble(&digest, 100_000).unwrap();
    assert!(assembly.write(99_999, b"ab").is_err(), "too long");
    assembly.write(0, &bytes[..50_000]).unwrap();
    let error = assembly.commit_pending().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unexpected commit size 50000, expected 100000"
    );
    assert_eq!(partials(at.path()), 1, "it can be gone on with");
    let mut assembly = store.assemble(&digest, 100_000).unwrap();
    assert_eq!(assembly.missing(), vec![50_000..100_000]);
    assembly.write(50_000, &vec![0; 50_000]).unwrap();
    assert!(matches!(
        assembly.commit_pending(),
        Err(Error::DigestMismatch { .. })
    ));
    assert_eq!(partials(at.path()), 0);
    assert!(!store.contains(&digest));
}

#[test]
fn parts_can_be_thrown_away() {
    let (at, store) = store();
    let digest = Digest::of(b"hello");
    let mut assembly = store.assemble(&digest, 5).unwrap();
    assembly.write(0, b"he").unwrap();
    store.discard_parts(&digest).unwrap();
    assert_eq!(partials(at.path()), 1, "in use");
    drop(assembly);
    store.discard_parts(&digest).unwrap();
    store.discard_parts(&digest).unwrap();
    assert_eq!(partials(at.path()), 0);
    store.assemble(&digest, 5).unwrap().discard();
    assert_eq!(partials(at.path()), 0);
}
