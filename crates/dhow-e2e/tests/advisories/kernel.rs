//! The kernel's files and interfaces that lead to the host.

use crate::bed::{image, ok, on_an_engine, run};

/// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: an image or a volume puts something of its own in
/// `/proc`'s place, so that what protects the kernel's files and what is written to them goes elsewhere.
#[test]
fn nothing_takes_the_place_of_proc() {
    on_an_engine(|b| {
        for (name, target) in [("link", "/evil"), ("relative", "evil")] {
            image(b, name, &[], |root| {
                std::fs::create_dir_all(root.join("evil/self/attr")).unwrap();
                std::fs::remove_dir_all(root.join("proc")).unwrap();
                std::os::unix::fs::symlink(target, root.join("proc")).unwrap();
            });
            let output = b.words(&["run", "--rm", name, "true"]);
            assert_eq!(output.code, 125, "{}", output.stderr);
            let text = "filesystem \"proc\" must be mounted on ordinary directory";
            assert!(output.stderr.contains(text), "{}", output.stderr);
        }
        image(b, "sys", &[], |root| {
            std::fs::remove_dir_all(root.join("sys")).unwrap();
            std::os::unix::fs::symlink("/proc", root.join("sys")).unwrap();
        });
        assert_eq!(b.run("run --rm sys true").code, 125);
        image(b, "volume", &["VOLUME /proc"], |_| {});
        let output = b.run("run --rm volume true");
        assert_eq!(output.code, 125, "{}", output.stdout);
        assert!(
            output.stderr.contains("it is not of type proc"),
            "{}",
            output.stderr
        );
        for place in ["/proc/sys", "/proc/self/attr", "/proc/new"] {
            let output = b.words(&["run", "--rm", "--tmpfs", place, "busybox", "true"]);
            assert_eq!(output.code, 125, "{place}");
            assert!(
                output.stderr.contains("inside /proc"),
                "{place}: {}",
                output.stderr
            );
        }
        // The same by a link to it.
        image(b, "indirect", &["VOLUME /way"], |root| {
            std::os::unix::fs::symlink("/proc/sys", root.join("way")).unwrap();
        });
        let output = b.run("run --rm indirect true");
        assert_eq!(output.code, 125, "{}", output.stdout);
        assert!(output.stderr.contains("inside /proc"), "{}", output.stderr);
    });
}

/// CVE-2025-31133: the null device that hides files is taken from the container, where it can be a link to a file of the
/// kernel's, which is then bound writable over the hidden one.
#[test]
fn what_hides_files_is_the_real_null_device() {
    on_an_engine(|b| {
        let evil = "mkdir -p /v/pts /v/shm /v/mqueue; ln -s /proc/sys/kernel/core_pattern /v/null; touch /v/zero";
        let _ = ok(b, &["-v", "dev:/v"], evil);
        let look = "stat -c %t:%T /proc/keys /proc/timer_list; cat /proc/keys | wc -c; \
                    (echo x > /proc/keys) && cat /proc/keys | wc -c";
        assert_eq!(ok(b, &["-v", "dev:/dev"], look), "1:3\n1:3\n0\n0");
        assert_eq!(ok(b, &[], "stat -c %t:%T /dev/null"), "1:3");
        let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        assert_ne!(pattern.trim(), "x");
    });
}

/// CVE-2025-52565: `/dev/console` is bound through a link, over a file that should be protected.
#[test]
fn a_console_follows_no_link() {
    on_an_engine(|b| {
        let evil = "mkdir -p /v/pts /v/shm /v/mqueue; ln -s /etc/target /v/console";
        let _ = ok(b, &["-v", "dev:/v"], evil);
        let devpts = "type=tmpfs,dst=/dev/pts";
        let look = "[ -e /etc/target ] && echo followed";
        for options in [
            &["-t", "-v", "dev:/dev"][..],
            &["-t", "-v", "dev:/dev", "--mount", devpts],
        ] {
            let output = run(b, options, look);
            assert!(
                !output.stdout.contains("followed"),
                "{options:?}: {}",
                output.stdout
            );
        }
        // With a terminal of its own the console is that terminal.
        let same = "[ $(stat -c %t /dev/console) = $(stat -c %t $(tty)) ] && echo same";
        assert_eq!(ok(b, &["-t"], same), "same");
    });
}

/// CVE-2025-52881: what the engine writes to `/proc` (settings, scores, labels) is redirected by a container that shares
/// mounts with the new one. Here all of it is written through the host's `/proc`, before the container's mounts are made.
#[test]
fn settings_reach_the_kernel() {
    on_an_engine(|b| {
        let sysctl = [
            "--sysctl",
            "net.ipv4.ip_unprivileged_port_start=77",
            "--oom-score-adj",
            "123",
        ];
        let look = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/self/oom_score_adj";
        assert_eq!(ok(b, &sysctl, look), "77\n123");
        let _ = b.ok("run -d --name one --oom-score-adj 123 busybox sleep 1000");
        assert_eq!(
            b.words_ok(&["exec", "one", "cat", "/proc/self/oom_score_adj"]),
            "123"
        );
        let magic = "stat -f -c %t /proc /proc/sys /proc/self/attr | sort -u";
        assert_eq!(ok(b, &[], magic), "9fa0");
    });
}

/// CVE-2022-0492, CVE-2020-14386 and their kind: without privileges no control group, no file system and no namespace
/// can be made that would lead to the host.
#[test]
fn the_ways_to_the_host_are_closed() {
    on_an_engine(|b| {
        for script in [
            "mkdir /c; mount -t cgroup -o rdma cgroup /c",
            "mkdir /c; mount -t cgroup2 none /c",
            "unshare -UrmC true",
            "unshare -m true",
            "echo x > /sys/fs/cgroup/release_agent",
            "find /sys/fs/cgroup -name release_agent | while read f; do echo x > $f && exit 0; done; exit 1",
            "for f in /sys/fs/cgroup/*/notify_on_release /sys/fs/cgroup/*/cgroup.procs; do echo 0 > $f && exit 0; done; exit 1",
            "echo '|/x' > /proc/sys/kernel/core_pattern",
            "echo /x > /proc/sys/kernel/modprobe",
            "echo b > /proc/sysrq-trigger",
            "mknod /sda b 8 0 && dd if=/sda of=/dev/null bs=1 count=1",
            "mount -o remount,rw /proc/sys",
            "umount /proc/keys",
            "cat /proc/kcore | head -c 1 | grep .",
            "chroot /proc/1/root/../.. ls /proc/1/root/work",
            "dmesg",
        ] {
            let output = run(b, &[], script);
            assert_ne!(output.code, 0, "{script}: {}", output.stdout);
        }
        assert_eq!(ok(b, &[], "cat /proc/keys | wc -c"), "0");
        assert_eq!(
            ok(
                b,
                &[],
                "ls /sys/firmware /proc/scsi /proc/acpi 2>/dev/null | grep -v : | grep -c . || true"
            ),
            "0"
        );
    });
}
