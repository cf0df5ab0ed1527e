//! Looking into containers and copying out of and into them, by both command lines.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use dhow_e2e::{Bench, with_both};
use tempfile::TempDir;

#[path = "copy/archives.rs"]
mod archives;
#[path = "copy/commit.rs"]
mod commit;
#[path = "copy/race.rs"]
mod race;
#[path = "copy/websocket.rs"]
mod websocket;

/// Runs a container `cc` whose files `script` has made.
fn container(b: &Bench, script: &str) {
    let script = format!("{script}; echo ready; exec sleep 1000");
    let _ = b.words_ok(&["run", "-d", "--name", "cc", "busybox", "sh", "-c", &script]);
    wait_ready(b, "cc");
}

/// Waits until a container has printed that it is ready.
fn wait_ready(b: &Bench, name: &str) {
    use std::io::BufRead;
    let path = format!("/v1.44/containers/{name}/logs?follow=1&stdout=1");
    let (_, logs) = b.engine.client().stream("GET", &path).unwrap();
    let ready = logs
        .split(b'\n')
        .any(|line| String::from_utf8_lossy(&line.unwrap()).contains("ready"));
    assert!(ready, "the container ended");
}

/// Runs `cp` in a folder.
fn cp(b: &Bench, at: &TempDir, arguments: &[&str]) -> (i32, String) {
    let mut command = b.cli.command(b.engine.socket(), b.engine.home());
    command.current_dir(at.path()).arg("cp").args(arguments);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    // The official one logs what its own pipes do after an error.
    let told = told.lines().filter(|line| !line.starts_with("time="));
    let told = told.collect::<Vec<_>>().join("\n");
    (output.status.code().unwrap(), told.trim().to_owned())
}

#[track_caller]
fn copied(b: &Bench, at: &TempDir, arguments: &[&str]) {
    assert_eq!(cp(b, at, arguments), (0, String::new()), "{arguments:?}");
}

#[track_caller]
fn refused(b: &Bench, at: &TempDir, arguments: &[&str], text: &str) {
    let (code, told) = cp(b, at, arguments);
    let text = text.replace("AT", &at.path().display().to_string());
    assert_eq!((code, told), (1, text), "{arguments:?}");
}

fn read(at: &TempDir, path: &str) -> String {
    fs::read_to_string(at.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn link(at: &TempDir, path: &str) -> String {
    let target = fs::read_link(at.path().join(path)).unwrap();
    target.display().to_string()
}

#[test]
fn what_is_copied_out_gets_dockers_names() {
    with_both(|b| {
        container(
            b,
            "mkdir -p /d/sub; echo x > /d/x; echo s > /d/sub/s; ln -s x /d/lx; ln -s /d /ld; chmod 640 /d/x; chown 5:6 /d/x",
        );
        let at = tempfile::tempdir().unwrap();
        fs::create_dir(at.path().join("dir")).unwrap();
        fs::write(at.path().join("file"), "file").unwrap();
        symlink("file", at.path().join("to-file")).unwrap();
        symlink("nowhere", at.path().join("dangling")).unwrap();
        copied(b, &at, &["cc:/d/x", "."]);
        let copy = fs::metadata(at.path().join("x")).unwrap();
        assert_eq!(
            (copy.mode() & 0o7777, copy.uid(), copy.gid()),
            (0o640, 0, 0)
        );
        copied(b, &at, &["cc:/d", "new"]);
        assert_eq!(
            (read(&at, "new/sub/s"), link(&at, "new/lx")),
            ("s\n".into(), "x".into())
        );
        copied(b, &at, &["cc:/d/.", "contents"]);
        assert_eq!(read(&at, "contents/x"), "x\n");
        copied(b, &at, &["cc:/d/", "dir"]);
        assert_eq!(read(&at, "dir/d/x"), "x\n");
        copied(b, &at, &["cc:/ld", "."]);
        assert_eq!(link(&at, "ld"), "/d");
        copied(b, &at, &["-L", "cc:/ld", "followed"]);
        assert_eq!(read(&at, "followed/x"), "x\n");
        copied(b, &at, &["-L", "cc:/d/lx", "dir"]);
        assert_eq!(read(&at, "dir/lx"), "x\n");
        copied(b, &at, &["cc:/d/x", "to-file"]);
        assert_eq!(
            (read(&at, "file"), link(&at, "to-file")),
            ("x\n".into(), "file".into())
        );
        copied(b, &at, &["cc:/d/x", "dangling"]);
        assert_eq!(read(&at, "nowhere"), "x\n");
        for (arguments, text) in [
            (["cc:/d/x", "missing/"], "no such directory"),
            (["cc:/d", "file"], "cannot copy directory"),
            (
                ["cc:/d/x", "missing/x"],
                "invalid output path: directory \"AT/missing\" does not exist",
            ),
            (
                ["cc:/d/x", "/dev/null"],
                "invalid output path: \"/dev/null\" must be a directory or a regular file: got a device",
            ),
            (
                ["cc:/nope", "."],
                "Error response from daemon: Could not find the file /nope in container cc",
            ),
            (
                ["nope:/x", "."],
                "Error response from daemon: No such container: nope",
            ),
            (
                ["cc:/x", "cc:/y"],
                "copying between containers is not supported",
            ),
            (["x", "y"], "must specify at least one container source"),
        ] {
            refused(b, &at, &arguments, text);
        }
        let (code, told) = cp(b, &at, &["--quiet=false", "cc:/d/x", "quiet"]);
        let text = format!(
            "Successfully copied 2.05kB to {}/quiet",
            at.path().display()
        );
        assert_eq!((code, told), (0, text));
    });
}

#[test]
fn what_is_copied_in_gets_dockers_names() {
    with_both(|b| {
        container(b, "mkdir /d; ln -s /d /ld; echo f > /d/f; ln -s f /d/lf");
        let at = tempfile::tempdir().unwrap();
        fs::create_dir(at.path().join("dir")).unwrap();
        fs::write(at.path().join("dir/in"), "in").unwrap();
        fs::write(at.path().join("file"), "file").unwrap();
        let mode = fs::Permissions::from_mode(0o4711);
        fs::set_permissions(at.path().join("file"), mode).unwrap();
        std::os::unix::fs::chown(at.path().join("file"), Some(33), Some(44)).unwrap();
        fs::set_permissions(at.path().join("file"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink("file", at.path().join("lf")).unwrap();
        symlink("dir", at.path().join("ld")).unwrap();
        for arguments in [
            ["file", "cc:/tmp"],
            ["file", "cc:/tmp/other"],
            ["file", "cc:rel"],
            ["dir", "cc:/tmp"],
            ["dir", "cc:/tmp/new"],
            ["dir/.", "cc:/tmp/contents"],
            ["lf", "cc:/tmp/link"],
            ["ld/", "cc:/tmp/slash"],
            ["file", "cc:/ld"],
            ["file", "cc:/d/lf"],
        ] {
            copied(b, &at, &arguments);
        }
        copied(b, &at, &["-L", "lf", "cc:/tmp/followed"]);
        copied(b, &at, &["-L", "ld", "cc:/tmp"]);
        let found = "cd /; stat -c '%n %F %a %u:%g' tmp/file rel tmp/link; cat tmp/other tmp/dir/in tmp/new/in \
                     tmp/contents/in tmp/slash/in tmp/followed tmp/ld/in d/file d/f";
        assert_eq!(
            b.words_ok(&["exec", "cc", "sh", "-c", found]),
            "tmp/file regular file 4711 33:44\nrel regular file 4711 33:44\ntmp/link symbolic link 777 0:0\n\
             fileininininfileinfilefile"
        );
        for (arguments, text) in [
            (["file", "cc:/tmp/file/"], "no such directory"),
            (["file", "cc:/nope/"], "no such directory"),
            (["dir", "cc:/d/f"], "cannot copy directory"),
            (["file/", "cc:/tmp"], "not a directory"),
            (
                ["nope", "cc:/tmp"],
                "lstat AT/nope: no such file or directory",
            ),
            (
                ["file", "cc:/nope/x"],
                "Error response from daemon: Could not find the file /nope in container cc",
            ),
            (
                ["-", "cc:/d/f"],
                "destination \"cc:/d/f\" must be a directory",
            ),
        ] {
            refused(b, &at, &arguments, text);
        }
    });
}

#[test]
fn ownership_is_the_archives_or_the_containers_own() {
    with_both(|b| {
        let _ = b.ok("run -d --name cc -u web busybox sleep 1000");
        let at = tempfile::tempdir().unwrap();
        fs::write(at.path().join("file"), "file").unwrap();
        std::os::unix::fs::chown(at.path().join("file"), Some(33), Some(44)).unwrap();
        copied(b, &at, &["file", "cc:/tmp/plain"]);
        copied(b, &at, &["-a", "file", "cc:/tmp/own"]);
        assert_eq!(
            b.words_ok(&[
                "exec",
                "cc",
                "stat",
                "-c",
                "%u:%g",
                "/tmp/plain",
                "/tmp/own"
            ]),
            "33:44\n1000:1000"
        );
    });
}

#[test]
fn archives_come_from_and_go_to_the_standard_streams() {
    with_both(|b| {
        container(b, "mkdir /d; echo x > /d/x");
        let archive = b.ok("cp cc:/d -");
        let mut names = Vec::new();
        for entry in tar::Archive::new(archive.as_bytes()).entries().unwrap() {
            names.push(entry.unwrap().path().unwrap().display().to_string());
        }
        assert_eq!(names, ["d/", "d/x"]);
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        tar.append_data(&mut header, "e/f", &b"in"[..]).unwrap();
        let tar = tar.into_inner().unwrap();
        let output = b.cli.run_with_input(&b.engine, &["cp", "-", "cc:/d"], &tar);
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(b.ok("exec cc cat /d/e/f"), "in");
    });
}

#[test]
fn volumes_binds_and_stopped_containers_take_part() {
    with_both(|b| {
        let at = tempfile::tempdir().unwrap();
        fs::create_dir(at.path().join("bound")).unwrap();
        fs::write(at.path().join("bound/b"), "bound").unwrap();
        fs::write(at.path().join("file"), "file").unwrap();
        let bind = format!("{}/bound:/bind", at.path().display());
        let _ = b.words_ok(&[
            "create",
            "--name",
            "cc",
            "-v",
            "vol:/vol",
            "-v",
            &bind,
            "-v",
            "vol:/ro:ro",
            "--mount",
            "type=image,source=busybox,target=/img,image-subpath=etc",
            "busybox",
            "sleep",
            "1000",
        ]);
        let both = |state: &str| {
            copied(b, &at, &["file", "cc:/vol"]);
            copied(b, &at, &["file", "cc:/root"]);
            copied(b, &at, &["file", &format!("cc:/bind/{state}")]);
            assert_eq!(read(&at, &format!("bound/{state}")), "file");
            copied(b, &at, &["cc:/bind/b", &format!("{state}-bound")]);
            assert_eq!(read(&at, &format!("{state}-bound")), "bound");
            copied(b, &at, &["cc:/ro/file", &format!("{state}-volume")]);
            assert_eq!(read(&at, &format!("{state}-volume")), "file");
            copied(b, &at, &["cc:/img/passwd", &format!("{state}-image")]);
            assert!(read(&at, &format!("{state}-image")).contains("root:"));
            refused(
                b,
                &at,
                &["file", "cc:/img"],
                "Error response from daemon: mounted volume is marked read-only",
            );
            refused(
                b,
                &at,
                &["file", "cc:/ro"],
                "Error response from daemon: mounted volume is marked read-only",
            );
        };
        both("created");
        assert_eq!(b.ok("run --rm -v vol:/v busybox cat /v/file"), "file");
        let _ = b.ok("start cc");
        both("running");
        assert_eq!(b.ok("exec cc cat /vol/file /root/file"), "filefile");
        let _ = b.ok("pause cc");
        copied(b, &at, &["cc:/vol/file", "paused"]);
        let _ = b.ok("unpause cc");
        let _ = b.ok("stop -t 0 cc");
        both("stopped");
        let _ = b.ok("rm cc");
        let _ = b.ok("create --name cc --read-only -v vol:/vol busybox true");
        copied(b, &at, &["file", "cc:/vol/again"]);
        refused(
            b,
            &at,
            &["file", "cc:/tmp"],
            "Error response from daemon: container rootfs is marked read-only",
        );
        let _ = b.ok("rm cc");
        let _ = b.ok("volume rm vol");
    });
}

/// Memory file systems are seen here; a real engine sees what they hide.
#[test]
fn memory_of_a_running_container_takes_part() {
    with_both(|b| {
        let _ =
            b.ok("run -d --name cc --tmpfs /one --mount type=tmpfs,target=/two busybox sleep 1000");
        let at = tempfile::tempdir().unwrap();
        fs::write(at.path().join("file"), "file").unwrap();
        copied(b, &at, &["file", "cc:/one"]);
        copied(b, &at, &["file", "cc:/two"]);
        assert_eq!(b.ok("exec cc cat /one/file /two/file"), "filefile");
        copied(b, &at, &["cc:/two/file", "back"]);
        assert_eq!(read(&at, "back"), "file");
    });
}

#[test]
fn what_the_kernel_shows_a_container_is_not_copied() {
    with_both(|b| {
        container(b, "true");
        let at = tempfile::tempdir().unwrap();
        for path in ["/proc/cpuinfo", "/sys/kernel", "/dev/null"] {
            let text = format!(
                "Error response from daemon: Could not find the file {path} in container cc"
            );
            refused(b, &at, &[&format!("cc:{path}"), "."], &text);
        }
        copied(b, &at, &["cc:/etc/hostname", "."]);
        assert_eq!(read(&at, "hostname"), b.ok("exec cc hostname") + "\n");
        copied(b, &at, &["cc:/", "all"]);
        assert!(at.path().join("all/.dockerenv").exists());
        assert_eq!(fs::read_dir(at.path().join("all/proc")).unwrap().count(), 0);
    });
}

#[test]
fn changes_are_told_and_exported() {
    with_both(|b| {
        let _ = b.ok("create --name new busybox true");
        assert_eq!(b.ok("diff new"), "");
        let _ = b.ok("rm new");
        let _ = b.words_ok(&[
            "run",
            "--name",
            "cc",
            "-v",
            "/vol",
            "busybox",
            "sh",
            "-c",
            "echo x > /vol/x; mkdir /d; echo f > /d/f; rm /bin/yes; echo >> /etc/passwd",
        ]);
        let diff = b.ok("diff cc");
        let mut lines: Vec<&str> = diff.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "A /d",
                "A /d/f",
                "A /vol",
                "C /bin",
                "C /etc",
                "C /etc/passwd",
                "D /bin/yes"
            ]
        );
        let at = tempfile::tempdir().unwrap();
        let file = at.path().join("c.tar").display().to_string();
        let _ = b.words_ok(&["export", "-o", &file, "cc"]);
        let names = names(Path::new(&file));
        for name in ["d/f", "vol/", ".dockerenv", "etc/hosts", "bin/sh"] {
            assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
        }
        for name in ["vol/x", "bin/yes"] {
            assert!(!names.iter().any(|found| found == name), "{name}");
        }
        let _ = b.ok("rm -v cc");
        let missing = b.run("diff cc");
        assert!(
            missing.stderr.contains("No such container: cc"),
            "{}",
            missing.stderr
        );
    });
}

fn names(path: &Path) -> Vec<String> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect()
}

#[test]
fn sizes_are_those_of_what_was_written() {
    with_both(|b| {
        let _ = b.words_ok(&[
            "run",
            "--name",
            "cc",
            "busybox",
            "dd",
            "if=/dev/zero",
            "of=/big",
            "bs=1000",
            "count=100",
        ]);
        let size = b.words_ok(&[
            "inspect",
            "-s",
            "-f",
            "{{.SizeRw}} {{gt .SizeRootFs .SizeRw}}",
            "cc",
        ]);
        let rw: u64 = size.split(' ').next().unwrap().parse().unwrap();
        // Some engines count the blocks of the disk.
        assert!(
            (100_000..120_000).contains(&rw) && size.ends_with("true"),
            "{size}"
        );
        let listed = b.words_ok(&["ps", "-a", "-s", "--format", "{{.Size}}"]);
        assert!(
            listed.starts_with("10") && listed.contains("kB (virtual "),
            "{listed}"
        );
    });
}
