//! Options of `run`, `create` and `exec`, looked at from inside the container, by both command lines.
//!
//! What is expected here is what a real engine does: the file passes against one too (`DHOW_E2E_SOCKET`).
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_e2e::{Bench, with_both};

/// Runs a script in a container with these options and gives its output.
fn script(b: &Bench, options: &str, script: &str) -> String {
    let mut words = vec!["run", "--rm"];
    words.extend(options.split(' ').filter(|word| !word.is_empty()));
    words.extend(["busybox", "sh", "-c", script]);
    b.words_ok(&words)
}

/// Runs a script by `exec`.
fn inside(b: &Bench, options: &str, name: &str, script: &str) -> String {
    let mut words = vec!["exec"];
    words.extend(options.split(' ').filter(|word| !word.is_empty()));
    words.extend([name, "sh", "-c", script]);
    b.words_ok(&words)
}

/// The options of the mounts below a path, as the container sees them.
fn mount_options(below: &str) -> String {
    format!(
        "while read -r a b c d place options rest; do case $place in {below}*) echo ${{options%%,*}};; esac; done \
         < /proc/self/mountinfo | sort -u | tr '\\n' ' '"
    )
}

const IDS: &str = "id -u; id -g; grep ^Groups /proc/self/status | cut -f2 | sed 's/ *$//'";
const STATUS: &str = "grep -E '^(Cap|NoNewPrivs|Seccomp:|SigIgn|SigBlk)' /proc/self/status | tr -d '\\t' | tr '\\n' ' '";

#[test]
fn a_user_has_its_groups_the_primary_one_among_them() {
    with_both(|b| {
        for (options, ids) in [
            ("", "0\n0\n0"),
            ("-u web", "1000\n1000\n1000 2000"),
            ("-u web:5", "1000\n5\n5"),
            (
                "-u 1000:1000 --group-add 7 --group-add root",
                "1000\n1000\n0 7 1000",
            ),
            ("-u 65536:65536", "65536\n65536\n65536"),
        ] {
            assert_eq!(script(b, options, IDS), ids, "{options}");
        }
        for user in [
            "4294967296",
            "2147483648",
            "-1",
            "18446744073709551616",
            "0:4294967295",
        ] {
            let output = b.words(&["run", "--rm", &format!("--user={user}"), "busybox", "id"]);
            let text = "response from daemon: uids and gids must be in range 0-2147483647";
            assert!(output.code >= 125, "{user}: {}", output.code);
            assert!(output.stderr.contains(text), "{user}: {}", output.stderr);
        }
    });
}

#[test]
fn privileges_are_what_was_asked_for() {
    with_both(|b| {
        let default = "CapInh:0000000000000000 CapPrm:00000000a80425fb CapEff:00000000a80425fb \
                       CapBnd:00000000a80425fb CapAmb:0000000000000000 NoNewPrivs:0 Seccomp:2";
        let ignored = "SigBlk:0000000000000000 SigIgn:0000000000000000";
        assert_eq!(script(b, "", STATUS), format!("{ignored} {default}"));
        let none = default.replace("a80425fb", "00000000");
        let dropped = script(b, "--cap-drop ALL", STATUS);
        assert_eq!(dropped, format!("{ignored} {none}"));
        let eff = |options: &str| script(b, options, "grep CapEff /proc/self/status | cut -f2");
        assert_eq!(eff("--cap-drop all --cap-add NET_RAW"), "0000000000002000");
        assert_eq!(eff("-u 1000"), "0000000000000000");
        let mask = |options: &str| u64::from_str_radix(&eff(options), 16).unwrap();
        let all_but_one = mask("--cap-add ALL --cap-drop SYS_ADMIN");
        assert_eq!(all_but_one, mask("--privileged") & !(1 << 21));
        let flags = |options: &str| {
            let flags =
                "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | cut -f2 | tr -d '\\n'";
            script(b, options, flags)
        };
        assert_eq!(flags("--security-opt no-new-privileges"), "12");
        assert_eq!(flags("--security-opt no-new-privileges=false"), "02");
        assert_eq!(flags("--security-opt seccomp=unconfined"), "00");
        assert_eq!(flags("--security-opt seccomp=builtin"), "02");
        assert_eq!(flags("--privileged"), "00");
        let profile = b.engine.root().join("profile.json");
        let rules = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
        std::fs::write(&profile, rules).unwrap();
        let options = format!("--security-opt seccomp={}", profile.display());
        assert_eq!(
            script(b, &options, "mkdir /x 2>/dev/null || echo refused"),
            "refused"
        );
    });
}

#[test]
fn the_kernels_files_are_hidden_unless_asked_for() {
    with_both(|b| {
        let look = "cat /proc/keys | wc -c; (echo x > /proc/sysrq-trigger) 2>/dev/null || echo protected; \
                    touch /sys/fs/cgroup/pids/x 2>/dev/null; \
                    (echo 1 > /proc/sys/kernel/domainname) 2>/dev/null || echo protected";
        assert_eq!(script(b, "", look), "0\nprotected\nprotected");
        let open = script(
            b,
            "--security-opt systempaths=unconfined",
            "cat /proc/keys | wc -c",
        );
        assert_ne!(open, "0");
        let cgroups = mount_options("/sys/fs/cgroup/pids");
        let cgroups = |options: &str| script(b, options, &cgroups);
        let v1 = std::path::Path::new("/sys/fs/cgroup/pids").is_dir();
        if v1 {
            assert_eq!(cgroups(""), "ro");
            assert_eq!(cgroups("--security-opt writable-cgroups=true"), "rw");
            assert_eq!(
                cgroups("--privileged --security-opt writable-cgroups=false"),
                "ro"
            );
        }
    });
}

#[test]
fn read_only_covers_what_is_mounted_below() {
    with_both(|b| {
        let look = mount_options("/x");
        for (options, expected) in [
            ("-v /sys:/x", "rw"),
            ("-v /sys:/x:ro", "ro"),
            ("--mount type=bind,src=/sys,dst=/x,readonly", "ro"),
            (
                "--mount type=bind,src=/sys,dst=/x,readonly,bind-recursive=writable",
                "ro rw",
            ),
            (
                "--mount type=bind,src=/sys,dst=/x,readonly,bind-recursive=disabled",
                "ro",
            ),
            (
                "--mount type=bind,src=/sys,dst=/x,readonly,bind-recursive=readonly,bind-propagation=rprivate",
                "ro",
            ),
        ] {
            assert_eq!(script(b, options, &look), expected, "{options}");
        }
        let alone = "--mount type=bind,src=/sys,dst=/x,bind-recursive=disabled";
        assert_eq!(script(b, alone, "ls /x/fs/cgroup | wc -l"), "0");
        let wish = ["run", "--rm", "-v", "/proc:/x:rshared", "busybox", "true"];
        let output = b.words(&wish);
        assert_eq!(output.code, 125);
        let text = "path /proc is mounted on /proc but it is not a shared mount";
        assert!(output.stderr.contains(text), "{}", output.stderr);
    });
}

#[test]
fn a_subpath_is_below_its_volume() {
    with_both(|b| {
        let _ = b.ok("volume create sub");
        let make = "mkdir -p /v/a/b; echo hi > /v/a/b/f; ln -s a/b /v/in; ln -s /etc /v/abs; ln -s ../.. /v/up";
        let _ = script(b, "-v sub:/v", make);
        let mount = |path: &str| format!("type=volume,src=sub,dst=/x,volume-subpath={path}");
        let run = |path: &str| {
            b.words(&[
                "run",
                "--rm",
                "--mount",
                &mount(path),
                "busybox",
                "ls",
                "/x",
            ])
        };
        assert_eq!(run("a/b").stdout, "f\n");
        assert_eq!(run("in").stdout, "f\n");
        let file = mount("a/b/f");
        assert_eq!(
            b.words_ok(&["run", "--rm", "--mount", &file, "busybox", "cat", "/x"]),
            "hi"
        );
        for (path, text, code) in [
            ("abs", "path concatenation escapes the base directory", 125),
            ("up", "path concatenation escapes the base directory", 125),
            ("nope", "no such file or directory", 127),
            (
                "../x",
                "subpath must be a relative path within the volume",
                125,
            ),
            (
                "/a",
                "subpath must be a relative path within the volume",
                125,
            ),
        ] {
            let output = run(path);
            assert_eq!(output.code, code, "{path}: {}", output.stderr);
            assert!(output.stderr.contains(text), "{path}: {}", output.stderr);
        }
    });
}

#[test]
fn an_image_is_mounted_read_only() {
    with_both(|b| {
        let look = "ls /x; touch /x/new 2>/dev/null || echo read-only";
        let all = script(b, "--mount type=image,src=busybox,dst=/x", look);
        assert!(
            all.starts_with("bin\n") && all.ends_with("read-only"),
            "{all}"
        );
        assert!(!all.contains("new"), "{all}");
        let part = "--mount type=image,src=busybox,dst=/x,image-subpath=etc/passwd";
        assert!(script(b, part, "cat /x").contains("web:x:1000"));
        for (options, text) in [
            (
                "src=busybox,dst=/x,image-subpath=nope",
                "no such file or directory",
            ),
            (
                "src=busybox,dst=/x,image-subpath=../x",
                "subpath must be a relative path",
            ),
            ("dst=/x", "field Source must not be empty"),
        ] {
            let mount = format!("type=image,{options}");
            let output = b.words(&["run", "--rm", "--mount", &mount, "busybox", "true"]);
            assert!(output.code >= 125, "{options}");
            assert!(output.stderr.contains(text), "{options}: {}", output.stderr);
        }
        let _ =
            b.ok("create --name holds --mount type=image,src=busybox,dst=/x busybox sleep 1000");
        let _ = b.ok("start holds");
        let _ = b.ok("restart -t 0 holds");
        assert_eq!(
            inside(b, "", "holds", "test -x /x/bin/busybox && echo there"),
            "there"
        );
        let format =
            "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}} {{.Propagation}}{{end}}";
        let shown = b.words_ok(&["inspect", "-f", format, "holds"]);
        assert_eq!(shown, "image busybox /x false rprivate");
        let _ = b.ok("rm -f holds");
    });
}

#[test]
fn a_link_tells_of_the_other_container() {
    with_both(|b| {
        let _ = b.words_ok(&[
            "run", "-d", "--name", "db", "-e", "FOO=bar", "--expose", "80-81", "busybox", "sleep",
            "1000",
        ]);
        let look = "env | grep ^THE_DB | sed 's/[0-9.]*\\.[0-9]*/IP/' | sort; grep -c \"the-db db\\|the-db .* db\" /etc/hosts";
        let expected = "THE_DB_ENV_FOO=bar\nTHE_DB_NAME=/web/the-db\nTHE_DB_PORT=tcp://IP:80\nTHE_DB_PORT_80_TCP=tcp://IP:80\n\
                        THE_DB_PORT_80_TCP_ADDR=IP\nTHE_DB_PORT_80_TCP_END=tcp://IP:81\nTHE_DB_PORT_80_TCP_PORT=80\n\
                        THE_DB_PORT_80_TCP_PORT_END=81\nTHE_DB_PORT_80_TCP_PORT_START=80\nTHE_DB_PORT_80_TCP_PROTO=tcp\n\
                        THE_DB_PORT_80_TCP_START=tcp://IP:80\nTHE_DB_PORT_81_TCP=tcp://IP:81\nTHE_DB_PORT_81_TCP_ADDR=IP\n\
                        THE_DB_PORT_81_TCP_PORT=81\nTHE_DB_PORT_81_TCP_PROTO=tcp\n1";
        assert_eq!(script(b, "--name web --link db:the-db", look), expected);
        let _ = b.ok("run -d --name web --link db:the-db busybox sleep 1000");
        let links = ["inspect", "-f", "{{json .HostConfig.Links}}", "web"];
        assert_eq!(b.words_ok(&links), r#"["/db:/web/the-db"]"#);
        assert_eq!(inside(b, "", "web", "echo $THE_DB_ENV_FOO"), "bar");
        assert_eq!(
            inside(
                b,
                "",
                "web",
                "ping -c 1 -W 2 the-db >/dev/null && echo reached"
            ),
            "reached"
        );
        let _ = b.ok("rm --link web/the-db");
        assert_eq!(b.words_ok(&links).replace("null", "[]"), "[]");
        let _ = b.ok("stop -t 0 db");
        for (line, text) in [
            (
                "run --rm --link db busybox true",
                "Cannot link to a non running container: /db AS /",
            ),
            (
                "run --rm --link nope busybox true",
                "could not get container for nope: No such container: nope",
            ),
            (
                "run --rm --link web --network host busybox true",
                "conflicting options: host type networking can't be used with links",
            ),
        ] {
            let output = b.run(line);
            assert_eq!(output.code, 125, "{line}");
            assert!(output.stderr.contains(text), "{line}: {}", output.stderr);
        }
        let _ = b.ok("rm -f db web");
    });
}

/// A specification of devices that is removed again.
struct Devices(std::path::PathBuf);

impl Devices {
    fn new(name: &str, text: &str) -> Self {
        std::fs::create_dir_all("/var/run/cdi").unwrap();
        let path = std::path::Path::new("/var/run/cdi").join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        // Only where nobody else has anything there.
        let _ = std::fs::remove_dir("/var/run/cdi");
    }
}

#[test]
fn devices_are_found_by_their_vendors_names() {
    let unique = std::process::id();
    let yaml = format!(
        "cdiVersion: 0.6.0\nkind: dhow-e2e-{unique}.com/thing\ndevices:\n- name: one\n  containerEdits:\n    \
         env: [ONE=1]\n    deviceNodes:\n    - {{path: /dev/thing, hostPath: /dev/null}}\n    mounts:\n    \
         - {{hostPath: /etc/passwd, containerPath: /thing, options: [ro, rbind]}}\ncontainerEdits:\n  env: [ALL=1]\n"
    );
    let _devices = Devices::new(&format!("dhow-e2e-{unique}.yaml"), &yaml);
    with_both(|b| {
        let name = format!("dhow-e2e-{unique}.com/thing=one");
        let look =
            "echo $ONE$ALL; echo x > /dev/thing && stat -c %t:%T /dev/thing; head -c 4 /thing";
        let output = script(b, &format!("--device {name}"), look);
        assert_eq!(output, "11\n1:3\nroot");
        let output = b.run("run --rm --device nobody.com/class=name busybox true");
        let text = "CDI device injection failed: unresolvable CDI devices nobody.com/class=name";
        assert!(
            output.code == 125 && output.stderr.contains(text),
            "{}",
            output.stderr
        );
        let output = b.run("run --rm --gpus all busybox true");
        let text = "could not select device driver \"\" with capabilities: [[gpu]]";
        assert!(
            output.code == 125 && output.stderr.contains(text),
            "{}",
            output.stderr
        );
    });
}

#[test]
fn an_exec_is_like_its_container() {
    with_both(|b| {
        let _ = b.ok(
            "run -d --name one -u web -w /tmp -e A=1 --group-add 7 --ulimit nofile=100:200 --oom-score-adj 300 \
             --security-opt no-new-privileges busybox sleep 1000",
        );
        let look = "id -u; grep ^Groups /proc/self/status | cut -f2 | sed 's/ *$//'; pwd; echo $A; ulimit -n; \
                    cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status | cut -f2";
        assert_eq!(
            inside(b, "", "one", look),
            "1000\n7 1000 2000\n/tmp\n1\n100\n300\n1"
        );
        let groups = "grep ^Groups /proc/self/status | cut -f2 | sed 's/ *$//'";
        assert_eq!(inside(b, "-u 0", "one", groups), "0 7");
        assert_eq!(
            inside(b, "-u web:web -w /etc -e A=2", "one", "pwd; echo $A"),
            "/etc\n2"
        );
        let caps = "grep -E '^Cap(Eff|Inh|Amb)' /proc/self/status | cut -f2 | tr '\\n' ' '";
        let none = "0000000000000000";
        assert_eq!(inside(b, "", "one", caps), format!("{none} {none} {none}"));
        assert_eq!(
            inside(b, "-u 0", "one", caps),
            format!("{none} 00000000a80425fb {none}")
        );
        let privileged = inside(b, "--privileged -u 0", "one", caps);
        assert!(
            !privileged.contains("a80425fb") && privileged.starts_with(none),
            "{privileged}"
        );
        for (options, text) in [
            (
                "-u nosuch",
                "unable to find user nosuch: no matching entries in passwd file",
            ),
            (
                "-u 0:nosuch",
                "unable to find group nosuch: no matching entries in group file",
            ),
            (
                "-u 4294967295",
                "uids and gids must be in range 0-2147483647",
            ),
        ] {
            let output = b.run(&format!("exec {options} one true"));
            assert_eq!(output.code, 1, "{options}: {}", output.stderr);
            assert!(output.stderr.contains(text), "{options}: {}", output.stderr);
        }
        let _ = b.ok("rm -f one");
    });
}

#[test]
fn what_cannot_be_is_refused_in_dockers_words() {
    with_both(|b| {
        for (options, text) in [
            (
                "--isolation hyperv",
                "invalid isolation (hyperv): linux only supports 'default'",
            ),
            ("--storage-opt foo=1", "Unknown option foo"),
            (
                "--storage-opt size=1g",
                "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
            ),
            ("--tmpfs /x:foo=bar", "invalid tmpfs option \"foo\""),
            (
                "--tmpfs x",
                "invalid mount path: 'x' mount path must be absolute",
            ),
            ("--cpus 500", "range of CPUs is from 0.01 to"),
            (
                "--cpuset-cpus x",
                "Invalid value x for cpuset cpus: invalid format: x",
            ),
            (
                "--cpuset-mems 900",
                "Requested memory nodes are not available - requested 900, available: 0",
            ),
            (
                "--sysctl net.ipv4.ip_forward=1 --network host",
                "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace",
            ),
            (
                "--volumes-from nope",
                "response from daemon: No such container: nope",
            ),
            ("--security-opt a=b", "invalid --security-opt 2: \"a=b\""),
            (
                "--cap-add FOO",
                "invalid CapAdd: unknown capability: \"CAP_FOO\"",
            ),
            (
                "--mount type=bind,src=/tmp,dst=/x,bind-propagation=foo",
                "invalid mount config for type \"bind\": invalid propagation mode: foo",
            ),
            ("--runtime foo", "unknown or invalid runtime name: foo"),
            (
                "--oom-score-adj 5000",
                "Invalid value 5000, range for oom score adj is [-1000, 1000]",
            ),
            (
                "-v /tmp:/proc",
                "cannot be mounted because it is not of type proc",
            ),
            (
                "-v /tmp:/proc/sys",
                "cannot be mounted because it is inside /proc",
            ),
        ] {
            let output = b.run(&format!("run --rm {options} busybox true"));
            assert_eq!(output.code, 125, "{options}: {}", output.stderr);
            assert!(output.stderr.contains(text), "{options}: {}", output.stderr);
        }
        assert_eq!(b.ok("ps -aq"), "");
    });
}
