//! What a container must not find open, or be able to change, of the engine and the host.

use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;

use crate::bed::{image, ok, on_an_engine};

/// CVE-2024-21626 and CVE-2016-9962: descriptors of the host that a container inherits lead out of it.
#[test]
fn a_container_has_three_descriptors() {
    on_an_engine(|b| {
        // Without a pipe, which the shell would have open itself.
        let list = "ls /proc/$$/fd; true";
        for options in [&[][..], &["-i"], &["--privileged"], &["--init"]] {
            assert_eq!(ok(b, options, list), "0\n1\n2", "{options:?}");
        }
        let _ = b.ok("run -d --name plain busybox sleep 1000");
        let _ = b.ok("run -dt --name terminal busybox sleep 1000");
        let init = "ls /proc/1/fd";
        for name in ["plain", "terminal"] {
            assert_eq!(
                b.words_ok(&["exec", name, "sh", "-c", init]),
                "0\n1\n2",
                "{name}"
            );
            assert_eq!(
                b.words_ok(&["exec", name, "sh", "-c", list]),
                "0\n1\n2",
                "exec in {name}"
            );
            assert_eq!(
                b.words_ok(&["exec", "-i", name, "sh", "-c", list]),
                "0\n1\n2",
                "exec -i in {name}"
            );
        }
        // A shell has its terminal open a second time; a program that is none has not.
        let _ = b.ok("exec -dt plain sleep 999");
        let find = "for p in /proc/[0-9]*; do grep -q 999 $p/cmdline && ls $p/fd && break; done";
        assert_eq!(
            b.words_ok(&["exec", "plain", "sh", "-c", find]),
            "0\n1\n2",
            "exec -t"
        );
    });
}

/// CVE-2024-21626: a working directory that is a leaked descriptor's is outside of the container.
#[test]
fn a_working_directory_leads_nowhere_else() {
    on_an_engine(|b| {
        let _ = b.ok("run -d --name one busybox sleep 1000");
        for number in 3..20 {
            let folder = format!("/proc/self/fd/{number}");
            let output = b.words(&["run", "--rm", "-w", &folder, "busybox", "ls", "."]);
            assert_ne!(output.code, 0, "{folder}: {}", output.stdout);
            let output = b.words(&["exec", "-w", &folder, "one", "ls", "."]);
            assert_ne!(output.code, 0, "exec {folder}: {}", output.stdout);
        }
        // By a link in the image, so that it is no lexical matter.
        image(b, "leak", &["WORKDIR /w"], |root| {
            std::os::unix::fs::symlink("/proc/self/fd/7", root.join("w")).unwrap();
        });
        let output = b.run("run --rm leak ls .");
        assert_ne!(output.code, 0, "{}", output.stdout);
    });
}

/// CVE-2019-5736: a container makes the engine execute `/proc/self/exe`, holds the engine's program open and
/// overwrites it once nobody runs it.
#[test]
fn the_engines_program_cannot_be_rewritten() {
    on_an_engine(|b| {
        let program = std::fs::canonicalize(format!("/proc/{}/exe", b.engine.pid())).unwrap();
        let before = std::fs::metadata(&program).unwrap();
        image(b, "evil", &[], |root| {
            let evil = root.join("bin/evil");
            std::fs::write(&evil, "#!/proc/self/exe\n").unwrap();
            std::fs::set_permissions(&evil, std::fs::Permissions::from_mode(0o755)).unwrap();
        });
        // Holds whatever runs that is not its own, and tries to write to it for ever.
        let hold = "me=$(stat -Lc %d:%i /bin/busybox); while :; do for p in /proc/[0-9]*; do \
                    id=$(stat -Lc %d:%i $p/exe 2>/dev/null) || continue; [ $id = $me ] && continue; \
                    exec 9<$p/exe || continue; echo held >> /held; \
                    ( echo pwned > /proc/self/fd/9 ) 2>/dev/null && echo wrote >> /wrote; \
                    n=0; while [ $n -lt 20 ]; do ( : >> /proc/$$/fd/9 ) 2>/dev/null && echo wrote >> /wrote; n=$((n+1)); done; \
                    done; done";
        let _ = b.words_ok(&["run", "-d", "--name", "one", "evil", "sh", "-c", hold]);
        for _ in 0..15 {
            let _ = b.run("exec one evil");
            let _ = b.run("exec one /proc/self/exe version");
        }
        let _ = b.run("run --rm --entrypoint /proc/self/exe evil version");
        let wrote = b.words(&["exec", "one", "cat", "/wrote"]);
        assert_ne!(wrote.code, 0, "something was written to: {}", wrote.stdout);
        let after = std::fs::metadata(&program).unwrap();
        assert_eq!(
            (before.size(), before.mtime(), before.mtime_nsec()),
            (after.size(), after.mtime(), after.mtime_nsec())
        );
    });
}

/// CVE-2021-41091: what containers write lies where every user of the host can get at it, programs with set-user-id
/// included.
#[test]
fn other_users_of_the_host_cannot_reach_containers_files() {
    on_an_engine(|b| {
        let _ = b.words_ok(&[
            "run",
            "--name",
            "one",
            "busybox",
            "sh",
            "-c",
            "cp /bin/busybox /suid && chmod 4755 /suid",
        ]);
        let mut found = Vec::new();
        search(&b.engine.data_root(), &mut found);
        assert!(
            !found.is_empty(),
            "the file lies somewhere below the data root"
        );
        for path in found {
            let closed = path
                .ancestors()
                .skip(1)
                .take_while(|folder| folder.starts_with(b.engine.data_root()));
            let closed =
                closed.filter(|folder| std::fs::metadata(folder).unwrap().mode() & 0o001 == 0);
            assert_ne!(
                closed.count(),
                0,
                "{} can be reached by everybody",
                path.display()
            );
        }
    });
}

fn search(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            search(&path, found);
        } else if entry.file_name() == "suid" {
            found.push(path);
        }
    }
}

/// CVE-2020-15257: a supervisor that listens on an abstract socket can be talked to by every container in the host's
/// network namespace.
#[test]
fn supervisors_have_no_abstract_sockets() {
    on_an_engine(|b| {
        let _ = b.ok("run -d --name one busybox sleep 1000");
        let sockets = ok(b, &["--network", "host"], "cat /proc/net/unix");
        let abstract_ones = sockets.lines().filter(|line| line.contains(" @"));
        let ours: Vec<&str> = abstract_ones
            .filter(|line| line.contains("dhow") || line.contains("shim"))
            .collect();
        assert!(ours.is_empty(), "{ours:?}");
    });
}

/// CVE-2025-64329: each client that attaches and goes away leaves something behind in the engine.
#[test]
fn attaching_and_leaving_costs_nothing() {
    on_an_engine(|b| {
        let _ = b.ok("run -d --name one busybox sleep 1000");
        let count = || {
            std::fs::read_dir(format!("/proc/{}/fd", b.engine.pid()))
                .unwrap()
                .count()
        };
        let attach = || {
            let path = "/v1.44/containers/one/attach?stream=1&stdout=1";
            drop(
                b.engine
                    .client()
                    .hijack(path, &serde_json::json!({}))
                    .unwrap(),
            );
        };
        attach();
        let before = count();
        for _ in 0..40 {
            attach();
        }
        // What is still being closed is not counted for long: an answer takes longer than that.
        let _ = b.ok("ps -q");
        let after = count();
        assert!(after < before + 20, "{before} descriptors became {after}");
    });
}
