//! What a container sees and may do.

use std::os::fd::AsFd;

use dhow_runtime::spec::Capability;
use dhow_runtime::{CreateRequest, Runtime, Stdio};
use serde_json::json;

use crate::Test;
use crate::bed::Bed;

pub(crate) const TESTS: &[Test] = &[
    (
        "isolation::it_is_alone_in_its_namespaces",
        it_is_alone_in_its_namespaces,
    ),
    ("isolation::dev_has_what_it_should", dev_has_what_it_should),
    (
        "isolation::paths_are_masked_and_read_only",
        paths_are_masked_and_read_only,
    ),
    (
        "isolation::mounts_have_their_options",
        mounts_have_their_options,
    ),
    (
        "isolation::hostile_destinations_stay_inside",
        hostile_destinations_stay_inside,
    ),
    (
        "isolation::a_mount_that_fails_says_which",
        a_mount_that_fails_says_which,
    ),
    (
        "isolation::capabilities_are_what_was_asked_for",
        capabilities_are_what_was_asked_for,
    ),
    (
        "isolation::seccomp_refuses_what_it_should",
        seccomp_refuses_what_it_should,
    ),
    (
        "isolation::namespaces_can_be_shared",
        namespaces_can_be_shared,
    ),
    (
        "isolation::a_user_namespace_maps_users",
        a_user_namespace_maps_users,
    ),
    ("isolation::settings_of_the_kernel", settings_of_the_kernel),
    (
        "isolation::the_root_may_be_a_detached_mount",
        the_root_may_be_a_detached_mount,
    ),
    (
        "isolation::devices_are_only_the_allowed_ones",
        devices_are_only_the_allowed_ones,
    ),
    ("isolation::no_descriptor_leaks", no_descriptor_leaks),
    (
        "isolation::a_shared_root_sends_mounts_out",
        a_shared_root_sends_mounts_out,
    ),
    (
        "isolation::the_time_can_be_another",
        the_time_can_be_another,
    ),
];

fn it_is_alone() -> String {
    Bed::new("ls /proc ; ls /sys/class/net ; ls / ; cat /proc/sys/kernel/hostname ; status NSpid")
        .run()
}

fn it_is_alone_in_its_namespaces() {
    let text = it_is_alone();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("1 "), "{}", lines[0]);
    assert!(!lines[0].contains(" 2 "), "{}", lines[0]);
    assert!(lines[1].starts_with("lo"), "{}", lines[1]);
    assert_eq!(lines[2], "dev payload proc sys");
    assert_eq!(lines[3], "tested");
    assert_eq!(lines[4], "NSpid:\t1");
}

fn dev_has_what_it_should() {
    let text = Bed::new("ls /dev ; stat /dev/null ; stat /dev/custom ; link /dev/ptmx ; write /dev/null x ; cat /dev/stdin")
        .set(
            "/linux/devices",
            json!([{"path": "/dev/custom", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600, "uid": 7, "gid": 8}]),
        )
        .run();
    let expected =
        "core custom fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], expected.replace("core ", ""), "{text}");
    assert_eq!(lines[1], "20666 0 0 103");
    assert_eq!(lines[2], "20600 7 8 105");
    assert_eq!(lines[3], "pts/ptmx");
    assert_eq!(lines.len(), 4, "{text}");
}

fn paths_are_masked_and_read_only() {
    let text = Bed::new(
        "cat /proc/version ; ls /sys/firmware ; write /proc/sys/kernel/hostname x ; write /sys/firmware/x y ; mkdir /new",
    )
    .set("/root/readonly", json!(true))
    .set("/linux/maskedPaths", json!(["/proc/version", "/sys/firmware", "/proc/not-there"]))
    .run();
    let lines: Vec<&str> = text.lines().collect();
    let refused = "error: Read-only file system (os error 30)";
    assert_eq!(lines, ["", refused, refused, refused], "{text}");
}

fn mounts_have_their_options() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "from the host").unwrap();
    let source = folder.path();
    let text = Bed::new("cat /data/file ; write /data/file x ; cat /one ; stat /tmp/x ; ls /copied ; cat /proc/self/mounts")
        .file("/copied/inside", "x")
        .file("/tmp/x/y", "")
        .mount(json!({"destination": "/data", "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid", "rprivate"]}))
        .mount(json!({"destination": "/one", "type": "none", "source": source.join("file"), "options": ["bind", "rro"]}))
        .mount(json!({"destination": "/tmp/x", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "noexec", "size=64k", "mode=1750", "noatime"]}))
        .mount(json!({"destination": "/copied", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]}))
        .run();
    let mut lines = text.lines();
    let refused = "from the hosterror: Read-only file system (os error 30)";
    assert_eq!(lines.next(), Some(refused), "{text}");
    assert_eq!(lines.next(), Some("from the host41750 0 0 0"));
    assert_eq!(lines.next(), Some("inside"));
    let options = |path: &str| {
        let line = text
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(path));
        line.unwrap_or_else(|| panic!("{path} in {text}"))
            .split(' ')
            .nth(3)
            .unwrap()
            .to_owned()
    };
    assert!(
        options("/data").starts_with("ro,nosuid"),
        "{}",
        options("/data")
    );
    assert!(
        options("/tmp/x").contains("rw,nosuid,noexec,noatime"),
        "{}",
        options("/tmp/x")
    );
    assert!(options("/tmp/x").contains("size=64k"));
    assert!(
        options("/copied").starts_with("ro"),
        "{}",
        options("/copied")
    );
    assert!(
        options("/sys").starts_with("ro,nosuid,nodev,noexec"),
        "{}",
        options("/sys")
    );
    assert!(
        options("/dev/pts").contains("gid=5,mode=620,ptmxmode=666"),
        "{}",
        options("/dev/pts")
    );
}

fn hostile_destinations_stay_inside() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::new("cat /escape/deep/file")
        .mount(json!({"destination": "/escape/deep", "type": "tmpfs", "source": "tmpfs"}))
        .mount(json!({"destination": "/escape/deep/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]}));
    std::os::unix::fs::symlink(folder.path(), bed.root().join("escape")).unwrap();
    let host = std::fs::read_to_string("/etc/hostname").unwrap();
    assert_eq!(bed.run(), host);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let bed = Bed::new("echo");
    std::os::unix::fs::symlink("/sys", bed.root().join("proc")).unwrap();
    let text = bed.refusal();
    assert!(
        text.ends_with("filesystem \"proc\" must be mounted on ordinary directory"),
        "{text}"
    );
}

fn a_mount_that_fails_says_which() {
    let text = Bed::new("echo")
        .mount(json!({"destination": "/x", "type": "bind", "source": "/not/there", "options": ["bind"]}))
        .refusal();
    let expected = "error during container init: error mounting \"/not/there\" to rootfs at \"/x\": no such file or directory";
    assert_eq!(text, expected);
    let text = Bed::new("echo")
        .mount(json!({"destination": "/proc", "type": "bind", "source": "/etc/hostname", "options": ["bind"]}))
        .refusal();
    assert!(
        text.ends_with("to rootfs at \"/proc\": not a directory"),
        "{text}"
    );
    let text = Bed::new("echo")
        .mount(json!({"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": ["nonsense=1"]}))
        .refusal();
    assert!(
        text.contains("option \"nonsense=1\": invalid argument"),
        "{text}"
    );
}

fn capabilities_are_what_was_asked_for() {
    let text = Bed::new("status CapPrm ; status CapEff ; status CapBnd ; status CapAmb ; status NoNewPrivs")
        .set("/process/capabilities", json!({
            "bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
            "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"],
        }))
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .set("/process/noNewPrivileges", json!(true))
        .run();
    let expected = "CapPrm:\t0000000000000020\nCapEff:\t0000000000000020\nCapBnd:\t0000000000000021\n\
        CapAmb:\t0000000000000020\nNoNewPrivs:\t1\n";
    assert_eq!(text, expected);
    let text = Bed::new("status CapEff ; status Umask")
        .set("/process/user/umask", json!(0o27))
        .run();
    assert_eq!(text, "CapEff:\t00000000080405eb\nUmask:\t0027\n");
    let text = Bed::new("status CapEff ; status Uid")
        .set("/process/user", json!({"uid": 5, "gid": 5}))
        .run();
    assert_eq!(text, "CapEff:\t0000000000000000\nUid:\t5\t5\t5\t5\n");
}

fn seccomp_refuses_what_it_should() {
    let profile = dhow_runtime::seccomp::default_profile(&[Capability::Chown]);
    let profile = serde_json::to_value(profile).unwrap();
    let refused = "error: Operation not permitted (os error 1)";
    for no_new_privileges in [false, true] {
        let text = Bed::new("status Seccomp ; unshare ; keyctl ; echo ok ; status CapEff")
            .set("/linux/seccomp", profile.clone())
            .set("/process/noNewPrivileges", json!(no_new_privileges))
            .run();
        let expected = [
            "Seccomp:\t2",
            refused,
            refused,
            "ok",
            "CapEff:\t00000000080405eb",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{text}");
    }
    let bed = Bed::new("sleep").set("/linux/seccomp", profile).start();
    let (text, _) = bed.exec("status Seccomp ; keyctl", &[]).unwrap();
    assert_eq!(text, format!("Seccomp:\t2\n{refused}\n"));
}

fn namespaces_can_be_shared() {
    let first = Bed::new("sleep").start();
    let pid = first.created.as_ref().unwrap().pid;
    let path = |kind: &str| format!("/proc/{pid}/ns/{kind}");
    let second = Bed::new(
        "link /proc/self/ns/net ; link /proc/self/ns/ipc ; link /proc/self/ns/pid ; ls /proc",
    )
    .set(
        "/linux/namespaces",
        json!([
            {"type": "mount"}, {"type": "uts"}, {"type": "network", "path": path("net")},
            {"type": "ipc", "path": path("ipc")}, {"type": "pid", "path": path("pid")},
        ]),
    );
    let text = second.run();
    let lines: Vec<&str> = text.lines().collect();
    for (line, kind) in lines.iter().zip(["net", "ipc", "pid"]) {
        assert_eq!(
            *line,
            std::fs::read_link(path(kind)).unwrap().to_str().unwrap()
        );
    }
    assert!(lines[3].starts_with("1 2 "), "both are seen: {}", lines[3]);
    // We ourselves are where we were.
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    assert_eq!(
        own,
        std::fs::read_link("/proc/self/ns/pid_for_children").unwrap()
    );
    let mut bed = Bed::new("echo").set("/linux/namespaces/1/path", json!("/not/there"));
    let error = dhow_errdefs::chain(&bed.create().unwrap_err()).to_string();
    assert_eq!(
        error,
        "cannot open /not/there: No such file or directory (os error 2)"
    );
}

fn a_user_namespace_maps_users() {
    let namespaces = json!([
        {"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"}, {"type": "ipc"}, {"type": "user"},
    ]);
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let mapped = |commands: &str| {
        let bed = Bed::new(commands)
            .set("/linux/namespaces", namespaces.clone())
            .set("/linux/uidMappings", mapping.clone())
            .set("/linux/gidMappings", mapping.clone());
        // Everything on the way has to be open to the mapped users.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(bed.folder.path(), mode).unwrap();
        // The program too, wherever it was built.
        let program = bed.folder.path().join("payload");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let bed = bed.payload(&program);
        std::os::unix::fs::chown(bed.root(), Some(100_000), Some(100_000)).unwrap();
        bed
    };
    let text = mapped("cat /proc/self/uid_map ; status Uid ; write /file x ; ls /dev").run();
    let mut lines = text.lines();
    let map: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(map, ["0", "100000", "65536"]);
    assert_eq!(lines.next(), Some("Uid:\t0\t0\t0\t0"));
    assert!(lines.next().unwrap().contains("null"), "{text}");
    let bed = mapped("sleep").start();
    let pid = bed.created.as_ref().unwrap().pid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t100000\t"), "{status}");
    let (text, code) = bed.exec("status Uid ; exit 4", &[]).unwrap();
    assert_eq!((text.as_str(), code), ("Uid:\t0\t0\t0\t0\n", 4));
    // Another container in the same user namespace, with a new pid namespace inside it.
    let other = mapped("cat /proc/self/uid_map ; status NSpid").set(
        "/linux/namespaces/5/path",
        json!(format!("/proc/{pid}/ns/user")),
    );
    let text = other.run();
    assert!(
        text.contains("100000") && text.ends_with("NSpid:\t1\n"),
        "{text}"
    );
}

fn settings_of_the_kernel() {
    let text = Bed::new("cat /proc/sys/net/ipv4/ip_unprivileged_port_start ; cat /proc/sys/kernel/shmmni ; cat /proc/sys/kernel/domainname")
        .set("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shmmni": "99"}))
        .set("/domainname", json!("example.test"))
        .run();
    assert_eq!(text, "0\n99\nexample.test\n");
    let text = Bed::new("echo")
        .set("/linux/sysctl", json!({"net.nope": "1"}))
        .refusal();
    let expected =
        "error during container init: open /proc/sys/net/nope: no such file or directory";
    assert_eq!(text, expected);
}

fn the_root_may_be_a_detached_mount() {
    let mut bed = Bed::new("cat /marker ; sleep").file("/marker", "here");
    let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
        | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, bed.root(), flags).unwrap();
    bed.spec["root"]["path"] = json!("/not/there");
    let (reader, writer) = std::io::pipe().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let spec = bed.parsed();
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let request = CreateRequest {
        id: &bed.id,
        bundle: bed.folder.path(),
        spec: &spec,
        rootfs: Some(tree.as_fd()),
        stdio: Stdio::Pipes {
            stdin: null.as_fd(),
            stdout: writer.as_fd(),
            stderr: writer.as_fd(),
        },
        user: None,
    };
    bed.created = Some(bed.runtime.create(&request).unwrap());
    drop((tree, writer));
    bed.runtime.start(&bed.id).unwrap();
    let mut text = [0; 4];
    std::io::Read::read_exact(&mut { reader }, &mut text).unwrap();
    assert_eq!(&text, b"here");
    assert_eq!(
        std::fs::read_to_string("/proc/self/mountinfo").unwrap(),
        before
    );
}

fn devices_are_only_the_allowed_ones() {
    let node =
        json!([{"path": "/dev/other", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]);
    let text = Bed::new("open /dev/other ; open /dev/zero ; echo ok")
        .set("/linux/devices", node.clone())
        .run();
    assert_eq!(text, "error: Operation not permitted (os error 1)\nok\n");
    let text = Bed::new("open /dev/other ; echo ok")
        .set("/linux/devices", node)
        .set("/linux/resources/devices", json!([
            {"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"},
        ]))
        .run();
    assert_eq!(text, "ok\n");
}

fn no_descriptor_leaks() {
    let (_reader, writer) = std::io::pipe().unwrap();
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty()).unwrap();
    let text = Bed::new("fds").run();
    // The directory that is being read is the fourth.
    assert_eq!(text, "[0, 1, 2]\n");
}

fn a_shared_root_sends_mounts_out() {
    let text = Bed::new("cat /proc/self/mountinfo")
        .set("/linux/rootfsPropagation", json!("rshared"))
        .run();
    let root = text
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"))
        .unwrap();
    assert!(root.contains(" shared:"), "{root}");
    let text = Bed::new("cat /proc/self/mountinfo").run();
    assert!(!text.contains("shared:"), "{text}");
}

fn the_time_can_be_another() {
    let mut bed = Bed::new("cat /proc/uptime");
    bed.spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "time"}));
    let text = bed
        .set(
            "/linux/timeOffsets",
            json!({"boottime": {"secs": 1_000_000_000_i64}}),
        )
        .run();
    assert!(
        text.split('.').next().unwrap().parse::<u64>().unwrap() >= 1_000_000_000,
        "{text}"
    );
}
