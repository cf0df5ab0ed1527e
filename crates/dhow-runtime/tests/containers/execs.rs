//! Other processes in a container.

use dhow_runtime::{Error, Runtime, UserSpec};
use serde_json::json;

use crate::Test;
use crate::bed::Bed;

pub(crate) const TESTS: &[Test] = &[
    (
        "execs::they_are_in_the_container",
        they_are_in_the_container,
    ),
    ("execs::errors_have_their_texts", errors_have_their_texts),
    (
        "execs::they_have_their_own_user_and_environment",
        their_own_user_and_environment,
    ),
    ("execs::we_stay_where_we_are", we_stay_where_we_are),
    ("execs::into_a_sub_cgroup", into_a_sub_cgroup),
    (
        "execs::an_ended_container_takes_none",
        an_ended_container_takes_none,
    ),
];

fn they_are_in_the_container() {
    let bed = Bed::new("sleep").start();
    let commands =
        "status NSpid ; ls / ; cat /proc/sys/kernel/hostname ; status CapEff ; fds ; exit 9";
    let (text, code) = bed.exec(commands, &[]).unwrap();
    let expected =
        "NSpid:\t2\ndev payload proc sys\ntested\nCapEff:\t00000000080405eb\n[0, 1, 2]\n";
    assert_eq!((text.as_str(), code), (expected, 9));
    let pid = bed.created.as_ref().unwrap().pid;
    for kind in ["net", "ipc", "uts", "mnt", "pid"] {
        let (text, _) = bed
            .exec(&format!("link /proc/self/ns/{kind}"), &[])
            .unwrap();
        let there = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(text.trim(), there.to_str().unwrap());
    }
    let (text, _) = bed.exec("cat /proc/self/cgroup", &[]).unwrap();
    let init = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(text, init);
}

fn errors_have_their_texts() {
    let bed = Bed::new("sleep").file("/plain", "").start();
    let say = |program: &str| {
        let error = bed.exec("", &[("args", json!([program]))]).unwrap_err();
        dhow_errdefs::chain(&error).to_string()
    };
    assert_eq!(
        say("/no/bin"),
        "exec: \"/no/bin\": stat /no/bin: no such file or directory"
    );
    assert_eq!(
        say("foo"),
        "exec: \"foo\": executable file not found in $PATH"
    );
    assert_eq!(say("/plain"), "exec: \"/plain\": permission denied");
    let error = bed
        .exec("echo", &[("cwd", json!("/not/there"))])
        .unwrap_err();
    let text = "chdir to cwd (\"/not/there\") set in config.json failed: no such file or directory";
    assert_eq!(error.to_string(), text);
    assert_eq!(bed.runtime.pids(&bed.id).unwrap().len(), 1);
}

fn their_own_user_and_environment() {
    let mut bed = Bed::new("sleep")
        .file("/etc/passwd", "web:x:33:34::/var/www:\n")
        .start();
    let (text, _) = bed
        .exec(
            "status Uid ; env ; pwd",
            &[
                ("user", json!({"uid": 5, "gid": 6})),
                ("env", json!(["A=b"])),
                ("cwd", json!("/dev")),
            ],
        )
        .unwrap();
    assert_eq!(text, "Uid:\t5\t5\t5\t5\nA=b\nHOME=/\n/dev\n");
    bed.user = Some(UserSpec {
        user: "web".into(),
        groups: vec![],
    });
    let (text, _) = bed
        .exec("status Uid ; env", &[("env", json!(["HOME="]))])
        .unwrap();
    assert_eq!(text, "Uid:\t33\t33\t33\t33\nHOME=/var/www\n");
    bed.user = Some(UserSpec {
        user: "nobody".into(),
        groups: vec![],
    });
    assert!(matches!(bed.exec("echo", &[]), Err(Error::User(_))));
    bed.user = None;
    let changes = [(
        "capabilities",
        json!({"bounding": [], "effective": [], "permitted": []}),
    )];
    let (text, _) = bed.exec("status CapBnd", &changes).unwrap();
    assert_eq!(text, "CapBnd:\t0000000000000000\n");
}

fn we_stay_where_we_are() {
    let links = || {
        ["pid", "pid_for_children", "mnt", "net", "time_for_children"]
            .map(|kind| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap())
    };
    let before = links();
    let bed = Bed::new("sleep").start();
    bed.exec("echo", &[]).unwrap();
    let _ = bed.exec("", &[("args", json!(["nope"]))]);
    assert_eq!(links(), before);
}

fn into_a_sub_cgroup() {
    let bed = Bed::new("sleep").start();
    let cgroup = bed.runtime.cgroup(&bed.id).unwrap();
    for path in cgroup.paths().values() {
        std::fs::create_dir(path.join("sub")).unwrap();
        if path.join("cpuset.cpus").exists() {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                std::fs::write(
                    path.join("sub").join(file),
                    std::fs::read(path.join(file)).unwrap(),
                )
                .unwrap();
            }
        }
    }
    let process: dhow_runtime::spec::Process =
        serde_json::from_value(crate::bed::specification("x", "sleep")["process"].clone()).unwrap();
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap();
    use std::os::fd::AsFd;
    let stdio = dhow_runtime::Stdio::Pipes {
        stdin: null.as_fd(),
        stdout: null.as_fd(),
        stderr: null.as_fd(),
    };
    let request = dhow_runtime::ExecRequest {
        process: &process,
        stdio,
        user: None,
        cgroup: Some(std::path::Path::new("sub")),
    };
    let executed = bed.runtime.exec(&bed.id, &request).unwrap();
    let membership = std::fs::read_to_string(format!("/proc/{}/cgroup", executed.pid)).unwrap();
    assert!(
        membership.contains(&format!("{}/sub", bed.id)),
        "{membership}"
    );
    // Who deletes by force still has to reap.
    assert!(matches!(
        bed.runtime.delete(&bed.id, true),
        Err(Error::WrongState { .. })
    ));
    assert_eq!(crate::bed::wait(&executed.pidfd), 137);
    bed.runtime.delete(&bed.id, true).unwrap();
    assert!(cgroup.paths().values().all(|path| !path.exists()));
}

fn an_ended_container_takes_none() {
    let bed = Bed::new("exit 0").start();
    bed.wait();
    assert!(matches!(bed.exec("echo", &[]), Err(Error::NotRunning(_))));
}
