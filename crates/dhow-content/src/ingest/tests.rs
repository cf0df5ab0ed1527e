#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use dhow_errdefs::{Classify, ErrorKind};

use super::*;

fn store() -> (tempfile::TempDir, ContentStore) {
    let at = tempfile::tempdir().unwrap();
    let store = ContentStore::open(at.path()).unwrap();
    (at, store)
}

/// The files in the store, of any sort.
fn files(at: &Path) -> usize {
    let count = |name: &str| fs::read_dir(at.join(name)).unwrap().count();
    count("ingest") + count("blobs/sha256")
}

#[test]
fn a_blob_is_there_whole_or_not_at_all() {
    let (at, store) = store();
    let digest = Digest::of(b"hello");
    let mut ingest = store.ingest("key").unwrap();
    ingest.write_all(b"hel").unwrap();
    assert!(!store.contains(&digest));
    ingest.write_all(b"lo").unwrap();
    assert_eq!(ingest.commit(&digest, Some(5)).unwrap(), digest);
    assert!(store.contains(&digest));
    assert_eq!(store.size(&digest).unwrap(), 5);
    assert_eq!(store.read(&digest, 5).unwrap(), b"hello");
    assert_eq!(store.list().unwrap(), [(digest, 5)]);
    let mode = store.path(&digest).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    assert_eq!(files(at.path()), 1);
    assert!(store.remove(&digest).unwrap() && !store.remove(&digest).unwrap());
    assert_eq!(files(at.path()), 0);
}

#[test]
fn an_ingest_goes_on_where_it_ended() {
    let (at, store) = store();
    let digest = Digest::of(b"hello");
    let mut ingest = store.ingest("key").unwrap();
    ingest.write_all(b"hel").unwrap();
    drop(ingest);
    let reopened = ContentStore::open(at.path()).unwrap();
    let ingest = reopened.ingest("key").unwrap();
    assert_eq!(ingest.offset(), 3);
    // Too short: it may still become whole.
    let error = ingest.commit(&digest, Some(5)).unwrap_err();
    assert_eq!(error.to_string(), "unexpected commit size 3, expected 5");
    let mut ingest = reopened.ingest("key").unwrap();
    assert_eq!(ingest.offset(), 3);
    ingest.write_all(b"lo").unwrap();
    ingest.commit(&digest, None).unwrap();
    assert_eq!(store.read(&digest, 10).unwrap(), b"hello");
}

#[test]
fn wrong_bytes_never_become_a_blob() {
    let (at, store) = store();
    let digest = Digest::of(b"hello");
    let mut ingest = store.ingest("key").unwrap();
    ingest.write_all(b"hullo").unwrap();
    let error = ingest.commit(&digest, Some(5)).unwrap_err();
    let text = format!(
        "unexpected commit digest {}, expected {digest}",
        Digest::of(b"hullo")
    );
    assert_eq!(error.to_string(), text);
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let mut ingest = store.ingest("key").unwrap();
    assert_eq!(ingest.offset(), 0, "wrong bytes are not resumed");
    ingest.expect_size(5);
    ingest.write_all(b"hello").unwrap();
    assert!(
        ingest.write_all(b"!").is_err(),
        "more than expected is refused at once"
    );
    ingest.discard();
    assert_eq!(files(at.path()), 0);
}

#[test]
fn two_ingests_of_one_key_do_not_meet() {
    let (at, store) = store();
    let digest = Digest::of(b"hello");
    let mut first = store.ingest("key").unwrap();
    first.write_all(b"hel").unwrap();
    let mut second = store.ingest("key").unwrap();
    assert_eq!(second.offset(), 0);
    second.write_all(b"hello").unwrap();
    second.commit(&digest, Some(5)).unwrap();
    first.write_all(b"lo").unwrap();
    first.commit(&digest, Some(5)).unwrap();
    assert_eq!(store.read(&digest, 5).unwrap(), b"hello");
    let abandoned = (store.ingest("key").unwrap(), store.ingest("key").unwrap());
    drop(abandoned);
    assert_eq!(files(at.path()), 1);
}

#[test]
fn many_threads_may_store_the_same() {
    let (at, store) = store();
    let bytes = vec![7; 100_000];
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(store.put(&bytes).unwrap(), Digest::of(&bytes));
                }
            });
        }
    });
    assert_eq!(files(at.path()), 1);
}

#[test]
fn partials_nobody_can_resume_are_removed() {
    let (at, store) = store();
    let folder = at.path().join("ingest");
    fs::write(folder.join("abc.12-0"), "left by a crash").unwrap();
    let mut kept = store.ingest("kept").unwrap();
    kept.write_all(b"x").unwrap();
    drop(kept);
    let store = ContentStore::open(at.path()).unwrap();
    assert_eq!(files(at.path()), 1);
    let busy = store.ingest("kept").unwrap();
    assert_eq!(
        store.prune_partials(Duration::ZERO).unwrap(),
        0,
        "it is being written"
    );
    drop(busy);
    assert_eq!(
        store.prune_partials(Duration::from_secs(3600)).unwrap(),
        0,
        "it is too young"
    );
    assert_eq!(store.prune_partials(Duration::ZERO).unwrap(), 1);
}

#[test]
fn reading_is_bounded_and_checked() {
    let (_at, store) = store();
    let digest = store.put(b"hello").unwrap();
    let error = store.read(&digest, 4).unwrap_err();
    assert!(matches!(
        error,
        Error::TooLarge {
            size: 5,
            limit: 4,
            ..
        }
    ));
    let missing = store.read(&Digest::of(b"other"), 4).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    fs::remove_file(store.path(&digest)).unwrap();
    fs::write(store.path(&digest), "hullo").unwrap();
    assert!(matches!(store.read(&digest, 5), Err(Error::Damaged(_))));
}

#[test]
fn the_empty_blob_is_a_blob() {
    let (at, store) = store();
    let ingest = store.ingest("key").unwrap();
    let (digest, size) = ingest.commit_any().unwrap();
    assert_eq!((digest, size), (Digest::of(b""), 0));
    assert_eq!(store.put(b"").unwrap(), digest);
    assert_eq!(files(at.path()), 1);
}

#[test]
fn a_full_disk_is_one_clear_error_and_leaves_no_blob() {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
        fsopen,
    };
    use std::os::fd::AsRawFd;

    if !rustix::process::geteuid().is_root() {
        return;
    }
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_set_string(&context, "size", "256k").unwrap();
    fsconfig_create(&context).unwrap();
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let disk = fsmount(&context, flags, MountAttrFlags::empty()).unwrap();
    let at = PathBuf::from(format!("/proc/self/fd/{}", disk.as_raw_fd()));
    let store = ContentStore::open(&at).unwrap();
    let error = store.put(&vec![1; 1 << 20]).unwrap_err();
    let text = dhow_errdefs::chain(&error).to_string();
    assert!(
        text.ends_with("No space left on device (os error 28)"),
        "{text}"
    );
    assert!(error.hint().is_some());
    assert!(store.list().unwrap().is_empty());
    store.prune_partials(Duration::ZERO).unwrap();
    assert_eq!(files(&at), 0);
    store.put(b"there is room again").unwrap();
}
