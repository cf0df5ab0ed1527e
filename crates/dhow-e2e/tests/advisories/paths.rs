//! Paths that containers and images choose.

use crate::bed::{image, ok, on_an_engine};

/// CVE-2021-30465 and CVE-2024-45310: two containers exchange a folder of a shared volume for a link while a third one
/// is started that has something mounted below it. Nothing may be mounted or made outside of the container.
#[test]
fn destinations_that_become_links_meanwhile_lead_nowhere_else() {
    on_an_engine(|b| {
        let escape = tempfile::tempdir().unwrap();
        let outside = escape.path().display().to_string();
        let _ = b.ok("volume create shared");
        let _ = b.ok("volume create other");
        let _ = ok(b, &["-v", "other:/o"], "echo mine > /o/mine");
        let up = "../../../../../../../../../..";
        for (name, target) in [
            ("first", outside.clone()),
            ("second", format!("{up}{outside}")),
        ] {
            let swap = format!(
                "cd /s; while :; do rm -rf way; mkdir way; rm -rf way; ln -s {target} way; rm way; ln -s {target} t; \
                 mkdir d; mv d way; mv way e; mv t way; rm -rf way e; done 2>/dev/null"
            );
            let _ = b.words_ok(&[
                "run",
                "-d",
                "--name",
                name,
                "-v",
                "shared:/s",
                "busybox",
                "sh",
                "-c",
                &swap,
            ]);
        }
        let mut worked = 0;
        for _ in 0..40 {
            let output = b.words(&[
                "run",
                "--rm",
                "-v",
                "shared:/s",
                "-v",
                "other:/s/way/deep/place",
                "busybox",
                "sh",
                "-c",
                "cat /proc/self/mountinfo; cat /s/way/deep/place/mine",
            ]);
            worked += u32::from(output.code == 0);
            // Whatever came of it, it is below the container's own root.
            let mounted = output
                .stdout
                .lines()
                .filter(|line| line.contains("volumes/other"));
            for line in mounted {
                let place = line.split(' ').nth(4).unwrap_or_default();
                assert!(!place.contains(".."), "{line}");
            }
            let made: Vec<_> = std::fs::read_dir(escape.path()).unwrap().collect();
            assert!(made.is_empty(), "made on the host: {made:?}");
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&outside), "mounted on the host");
        let _ = b.ok("rm -f first second");
        // Left alone, it works.
        let _ = ok(b, &["-v", "shared:/s"], "rm -rf /s/way");
        let script = ["-v", "shared:/s", "-v", "other:/s/way/deep/place"];
        assert_eq!(
            ok(b, &script, "cat /s/way/deep/place/mine"),
            "mine",
            "{worked} of 40 worked under attack"
        );
    });
}

/// CVE-2024-23651 and CVE-2023-0629's kind: the folder within a volume that is to be mounted is exchanged for a link to
/// the host while the container starts.
#[test]
fn a_subpath_that_becomes_a_link_meanwhile_leads_nowhere_else() {
    on_an_engine(|b| {
        let secret = tempfile::tempdir().unwrap();
        std::fs::write(secret.path().join("secret"), "the host's").unwrap();
        let target = secret.path().display().to_string();
        let _ = b.ok("volume create shared");
        let swap = format!(
            "cd /s; mkdir -p real; ln -s {target} link; cp -r real way; \
             while :; do mv way a; mv link way; mv way link; mv a way; done"
        );
        let _ = b.words_ok(&[
            "run",
            "-d",
            "--name",
            "swaps",
            "-v",
            "shared:/s",
            "busybox",
            "sh",
            "-c",
            &swap,
        ]);
        let mount = "type=volume,src=shared,dst=/x,volume-subpath=way";
        for _ in 0..40 {
            let output = b.words(&["run", "--rm", "--mount", mount, "busybox", "ls", "/x"]);
            assert!(
                !output.stdout.contains("secret"),
                "the host's folder was mounted"
            );
        }
        let _ = b.ok("rm -f swaps");
    });
}

/// CVE-2022-23648: a volume of an image whose path leads out of the image is filled with the host's files.
#[test]
fn volumes_of_images_are_filled_from_the_image() {
    on_an_engine(|b| {
        let secret = tempfile::tempdir().unwrap();
        std::fs::write(secret.path().join("secret"), "the host's").unwrap();
        let target = secret.path().display().to_string();
        let up = "/../../../../../../../../../../../..";
        let volume = format!("VOLUME {up}{target}");
        image(b, "traversal", &[&volume], |root| {
            std::os::unix::fs::symlink(&target, root.join("link")).unwrap();
        });
        let _ = b.words(&[
            "run",
            "--name",
            "one",
            "-v",
            "filled:/link",
            "traversal",
            "true",
        ]);
        let list = format!("ls -R /f {target} 2>/dev/null");
        let output = b.words(&[
            "run",
            "--rm",
            "--volumes-from",
            "one",
            "-v",
            "filled:/f",
            "busybox",
            "sh",
            "-c",
            &list,
        ]);
        assert!(!output.stdout.contains("secret"), "{}", output.stdout);
    });
}

/// CVE-2018-15664's kind, for the engine's own files: `/etc/hosts` and its like are links in the image.
#[test]
fn the_engines_files_in_etc_follow_links_inside_only() {
    on_an_engine(|b| {
        let outside = tempfile::tempdir().unwrap();
        let file = outside.path().join("file");
        let target = file.display().to_string();
        image(b, "links", &[], |root| {
            for name in ["hosts", "hostname", "resolv.conf"] {
                let _ = std::fs::remove_file(root.join("etc").join(name));
                std::os::unix::fs::symlink(&target, root.join("etc").join(name)).unwrap();
            }
        });
        let _ = b.run("run --rm links true");
        assert!(!file.exists(), "made on the host");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    });
}
