//! What Dhow has and Docker hasn't: `system fsck`, `why`, restarts of the unhealthy, changed ports and variables.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "own/unhealthy.rs"]
mod unhealthy;
#[path = "own/update.rs"]
mod update;

use std::fs;
use std::path::PathBuf;

use dhow_e2e::Bench;
use dhow_testkit::Cli;

/// What was spoilt on the disk is found, and what can be is repaired.
#[test]
fn damage_is_found_and_repaired() {
    if !dhow_testkit::root_or_skip("fsck") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let _ = b.ok("create --name kept busybox");
    assert_eq!(b.ok("system fsck --deep"), "everything is in order");

    // What belongs to nobody.
    let data = b.engine.data_root();
    let stranger = data.join("content/blobs/sha256").join("0".repeat(64));
    let folders = ["containers", "volumes"].map(|kind| data.join(kind).join("stranger"));
    fs::write(&stranger, "x").unwrap();
    for folder in &folders {
        fs::create_dir(folder).unwrap();
    }
    let found = b.run("system fsck");
    assert_eq!(found.code, 1, "{found:?}");
    let expected = [
        format!(
            "blob sha256:{}: belongs to no image; it takes 1 bytes",
            "0".repeat(64)
        ),
        format!("folder {}: belongs to no container", folders[0].display()),
        format!(
            "folder {}: belongs to no volume: move it away or remove it",
            folders[1].display()
        ),
    ];
    assert_eq!(found.stdout.trim(), expected.join("\n"));
    assert!(found.stderr.contains("3 problems are left"), "{found:?}");

    // All but the volume's, which may hold what somebody wants back.
    let repaired = b.run("system fsck --repair");
    assert!(
        repaired.stderr.contains("1 problem is left"),
        "{repaired:?}"
    );
    assert!(!stranger.exists() && !folders[0].exists() && folders[1].exists());
    fs::remove_dir(&folders[1]).unwrap();
    assert_eq!(b.ok("system fsck"), "everything is in order");

    // A blob that rots is told only by its digest; without it the image has to be pulled again.
    let layer = largest(&data.join("content/blobs/sha256"));
    let mut bytes = fs::read(&layer).unwrap();
    bytes[100] ^= 1;
    fs::write(&layer, bytes).unwrap();
    assert_eq!(b.ok("system fsck"), "everything is in order");
    let found = b.run("system fsck --deep --repair");
    assert!(
        found
            .stdout
            .contains("is not what its digest says (repaired)"),
        "{found:?}"
    );
    assert!(!layer.exists());
    let found = b.run("system fsck");
    assert!(
        found.stdout.contains("is missing: pull the image again"),
        "{found:?}"
    );
}

/// Why containers ended is told from their state, the events and the log.
#[test]
fn it_is_told_why_a_container_ended() {
    if !dhow_testkit::root_or_skip("why") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let script = "echo one; echo two >&2; exit 3";
    assert_eq!(
        b.words(&["run", "--name", "failed", "busybox", "sh", "-c", script])
            .code,
        3
    );
    let why = b.ok("why failed");
    assert!(why.starts_with("failed ended with 3 "), "{why}");
    assert!(
        why.contains("it was started") && why.contains("it ended with 3"),
        "{why}"
    );
    assert!(why.contains("  one\n") && why.ends_with("  two"), "{why}");

    let _ = b.ok("run -d --name killed --restart on-failure:2 busybox sleep 1000");
    let _ = b.ok("stop -t 0 killed");
    let why = b.ok("why killed");
    assert!(
        why.starts_with("killed ended with 137 (SIGKILL: it was killed) "),
        "{why}"
    );
    assert!(
        why.contains("sent it signal 9") && why.contains("a client stopped it"),
        "{why}"
    );
    assert!(
        why.contains("on-failure (2 times at most); it was not restarted"),
        "{why}"
    );

    let unknown = b.run("why nobody");
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("No such container: nobody"),
        "{unknown:?}"
    );
}

fn largest(folder: &std::path::Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .max_by_key(|entry| entry.metadata().unwrap().len())
        .unwrap()
        .path()
}
