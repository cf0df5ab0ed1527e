//! What `COPY` and `ADD` make of files.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::bench::{Bench, Draw, copy};
use super::root;
use crate::error::Error;
use crate::graph::{CopyAction, FileAction, FileOp, ModeChange, Op, Owner};
use crate::result::Root;

/// Copies from the context into an empty root with `/etc/passwd` in it.
async fn copied(bench: &Bench, action: CopyAction) -> Result<Root, Error> {
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let context = draw.context();
    let make = |path: &str, content: &str| FileAction::Make {
        path: path.into(),
        content: content.into(),
        mode: 0o644,
        owner: None,
        epoch: None,
    };
    let op = FileOp {
        actions: vec![
            make(
                "/etc/passwd",
                "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n",
            ),
            make("/etc/group", "root:x:0:\nwww:x:35:\n"),
            FileAction::MakeDirectory {
                path: "/there".into(),
                mode: 0o700,
                owner: None,
                epoch: None,
            },
        ],
    };
    let base = draw.add("", Op::File(op), &[scratch]);
    draw.file(base, context, action);
    bench.solve(&draw.0).await
}

/// The paths below a directory, without what the base has.
fn paths(bench: &Bench, root: &Root) -> Vec<String> {
    let files = bench.files(root).into_keys();
    files
        .filter(|path| !path.starts_with("etc/") && path != "there/")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn destinations_are_understood_as_buildkit_does() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("file", "1");
    bench.write("dir/a", "2");
    bench.write("dir/sub/b", "3");
    bench.write("d2/c", "4");
    for (sources, destination, expected) in [
        (vec!["file"], "/new", vec!["new"]),
        (vec!["file"], "/new/", vec!["new/", "new/file"]),
        (vec!["file"], "/there", vec!["there/file"]),
        (vec!["file"], "/x/y/new", vec!["x/", "x/y/", "x/y/new"]),
        (
            vec!["dir"],
            "/new",
            vec!["new/", "new/a", "new/sub/", "new/sub/b"],
        ),
        (
            vec!["dir/"],
            "/there",
            vec!["there/a", "there/sub/", "there/sub/b"],
        ),
        (vec!["dir/."], "/", vec!["a", "sub/", "sub/b"]),
        (
            vec!["d*"],
            "/new/",
            vec!["new/", "new/a", "new/c", "new/sub/", "new/sub/b"],
        ),
        (vec!["dir/*"], "/new/", vec!["new/", "new/a", "new/b"]),
        (vec!["d?r/s*/b"], "/n", vec!["n"]),
        (vec!["no*"], "/new/", vec![]),
        (
            vec!["/file", "../d2/c"],
            "/new/",
            vec!["new/", "new/c", "new/file"],
        ),
    ] {
        let root = copied(&bench, copy(&sources, destination)).await.unwrap();
        assert_eq!(paths(&bench, &root), expected, "{sources:?} {destination}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_are_kept_and_exclusions_left_out() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("a/b/c.txt", "1");
    bench.write("a/b/d.log", "2");
    bench.write("a/e.txt", "3");
    let with = |sources: &[&str], parents: bool, exclude: &[&str]| CopyAction {
        parents,
        exclude: exclude.iter().map(|text| (*text).to_owned()).collect(),
        ..copy(sources, "/o/")
    };
    for (action, expected) in [
        (
            with(&["a/b/c.txt"], true, &[]),
            vec!["o/", "o/a/", "o/a/b/", "o/a/b/c.txt"],
        ),
        (
            with(&["a/./b/c.txt"], true, &[]),
            vec!["o/", "o/b/", "o/b/c.txt"],
        ),
        (
            with(&["a/*/*.txt"], true, &[]),
            vec!["o/", "o/a/", "o/a/b/", "o/a/b/c.txt"],
        ),
        (
            with(&["./a/**/*.txt"], true, &[]),
            vec!["o/", "o/a/", "o/a/b/", "o/a/b/c.txt", "o/a/e.txt"],
        ),
        (
            with(&["a"], false, &["**/*.log"]),
            vec!["o/", "o/b/", "o/b/c.txt", "o/e.txt"],
        ),
        (
            with(&["a"], false, &["b", "!b/d.log"]),
            vec!["o/", "o/b/", "o/b/d.log", "o/e.txt"],
        ),
    ] {
        let shown = format!("{:?} {:?}", action.sources, action.exclude);
        let root = copied(&bench, action).await.unwrap();
        assert_eq!(paths(&bench, &root), expected, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_permissions_and_links_are_right() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("dir/run", "#!");
    let at = bench.client.root.join("dir");
    std::fs::set_permissions(at.join("run"), std::fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::chown(at.join("run"), Some(1234), Some(1234)).unwrap();
    std::fs::hard_link(at.join("run"), at.join("second")).unwrap();
    symlink("run", at.join("link")).unwrap();
    let owned = |user: &str, group: Option<&str>| CopyAction {
        owner: Some(Owner {
            user: user.into(),
            group: group.map(str::to_owned),
        }),
        ..copy(&["dir"], "/o")
    };
    for (action, expected) in [
        (copy(&["dir"], "/o"), (0, 0)),
        (
            CopyAction {
                foreign_owners: false,
                ..copy(&["dir"], "/o")
            },
            (1234, 1234),
        ),
        (owned("web", None), (33, 34)),
        (owned("web", Some("www")), (33, 35)),
        (owned("7", None), (7, 7)),
        (owned("7", Some("0")), (7, 0)),
    ] {
        let root = copied(&bench, action).await.unwrap();
        let stat = bench.stat(&root, "o/run");
        assert_eq!((stat.st_uid, stat.st_gid), expected);
        assert_eq!(stat.st_mode & 0o7777, 0o750);
        assert_eq!(stat.st_ino, bench.stat(&root, "o/second").st_ino);
        assert_eq!(bench.files(&root)["o/link"], "-> run");
        let source = std::fs::metadata(at.join("run")).unwrap();
        assert_eq!(stat.st_mtime, source.mtime());
    }
    let error = copied(&bench, owned("nobody-here", None))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("nobody-here"), "{error}");
    for (mode, expected) in [
        (ModeChange::Octal(0o604), 0o604),
        (ModeChange::Symbolic("u=rwX,go=rX".into()), 0o755),
        (ModeChange::Symbolic("a-x".into()), 0o640),
    ] {
        let action = CopyAction {
            mode: Some(mode),
            ..copy(&["dir"], "/o")
        };
        let root = copied(&bench, action).await.unwrap();
        assert_eq!(bench.stat(&root, "o/run").st_mode & 0o7777, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_in_buildkits_words() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("file", "1");
    bench.write("dir/x", "1");
    let error = copied(&bench, copy(&["nosuch"], "/")).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("failed to compute cache key: failed to calculate checksum of ref "),
        "{text}"
    );
    assert!(text.ends_with(": \"/nosuch\": not found"), "{text}");
    let error = copied(&bench, copy(&["ignored"], "/")).await.unwrap_err();
    let hint = dhow_errdefs::Classify::hint(&error).unwrap();
    assert!(hint.contains(".dockerignore"), "{hint}");
    let error = copied(&bench, copy(&["dir"], "/etc/passwd"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("not a directory")
            || error.to_string().contains("Not a directory"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_hostile_context_lead_nowhere_else() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("inside", "mine");
    let outside = bench.folder.path().join("outside");
    std::fs::write(&outside, "secret").unwrap();
    let context = &bench.client.root;
    symlink("../outside", context.join("up")).unwrap();
    symlink(&outside, context.join("absolute")).unwrap();
    symlink("../..", context.join("parent")).unwrap();
    symlink("/proc/self/root", context.join("magic")).unwrap();
    symlink("inside", context.join("good")).unwrap();
    for source in [
        "up",
        "absolute",
        "parent/outside",
        "magic/etc/passwd",
        "../outside",
    ] {
        let error = copied(&bench, copy(&[source], "/x")).await;
        assert!(error.is_err(), "{source}");
    }
    let root = copied(&bench, copy(&["good"], "/x")).await.unwrap();
    assert_eq!(bench.files(&root)["x"], "mine");
    // As part of a tree links are copied, not followed.
    let root = copied(&bench, copy(&["."], "/x")).await.unwrap();
    assert_eq!(bench.files(&root)["x/up"], "-> ../outside");
    // Links of the root that is copied to lead inside of it.
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let context = draw.context();
    let linked = draw.copy(scratch, context, &["."], "/");
    draw.copy(linked, context, &["inside"], "/parent/made");
    let root = bench.solve(&draw.0).await.unwrap();
    assert_eq!(bench.files(&root)["made"], "mine");
    assert!(!bench.folder.path().parent().unwrap().join("made").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_under_the_copy_stays_inside() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    let outside = bench.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("f"), "secret").unwrap();
    for n in 0..50 {
        bench.write(&format!("d{n}/f"), "mine");
    }
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let racing = {
        let (context, stop) = (bench.client.root.clone(), stop.clone());
        std::thread::spawn(move || {
            let (a, b) = (context.join("d7"), context.join("d7-link"));
            symlink(&outside, &b).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let cwd = rustix::fs::CWD;
                rustix::fs::renameat_with(cwd, &a, cwd, &b, flags).unwrap();
            }
        })
    };
    for n in 0..30 {
        let result = copied(&bench, copy(&["."], &format!("/o{n}"))).await;
        if let Ok(root) = result {
            for (path, content) in bench.files(&root) {
                assert_ne!(content, "secret", "{path}");
            }
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    racing.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_unpacked_and_other_files_copied() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("plain", "no archive");
    let mut tar = dhow_archive::tar::Writer::new(Vec::new());
    let header = dhow_archive::tar::Header::file("in/side", 0o640, 0).owned_by(5, 6);
    tar.bytes(header, b"text").unwrap();
    let tar = tar.finish().unwrap();
    std::fs::write(bench.client.root.join("a.tar"), &tar).unwrap();
    let packed = zstd::stream::encode_all(tar.as_slice(), 3).unwrap();
    std::fs::write(bench.client.root.join("a.tar.zst"), packed).unwrap();
    for source in ["a.tar", "a.tar.zst"] {
        let action = CopyAction {
            unpack: true,
            ..copy(&[source, "plain"], "/o/")
        };
        let root = copied(&bench, action).await.unwrap();
        assert_eq!(
            paths(&bench, &root),
            ["o/", "o/in/", "o/in/side", "o/plain"]
        );
        let stat = bench.stat(&root, "o/in/side");
        assert_eq!(
            (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777),
            (5, 6, 0o640)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn linked_layers_are_put_on_others() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("file", "1");
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let context = draw.context();
    let base = draw.run(scratch, &["write", "/base", "below"]);
    let linked = draw.copy(scratch, context, &["file"], "/linked/");
    let stacked = draw.add("COPY --link", Op::Stack, &[base, linked]);
    draw.run(stacked, &["append", "/linked/file", "2"]);
    let root = bench.solve(&draw.0).await.unwrap();
    let files = bench.files(&root);
    assert_eq!(
        (files["base"].as_str(), files["linked/file"].as_str()),
        ("below", "12")
    );
    assert_eq!(root.layers.len(), 3);
}
