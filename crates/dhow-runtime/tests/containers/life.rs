//! Create, start, kill, delete, pause, state; and what is said when something can't be done.

use std::path::Path;

use dhow_runtime::{Error, Runtime, Status, UserSpec};
use serde_json::json;

use crate::Test;
use crate::bed::Bed;

pub(crate) const TESTS: &[Test] = &[
    (
        "life::output_and_exit_code_come_out",
        output_and_exit_code_come_out,
    ),
    ("life::states_follow_one_another", states_follow_one_another),
    ("life::nothing_is_left", nothing_is_left),
    (
        "life::a_program_that_cannot_run_is_an_error_of_create",
        a_program_that_cannot_run,
    ),
    (
        "life::users_are_looked_up_in_the_root",
        users_are_looked_up_in_the_root,
    ),
    ("life::pause_and_resume", pause_and_resume),
    (
        "life::kill_all_reaches_everything",
        kill_all_reaches_everything,
    ),
    (
        "life::a_second_container_of_the_same_name_is_refused",
        a_second_container_is_refused,
    ),
    ("life::hooks_run_at_their_points", hooks_run_at_their_points),
    (
        "life::a_wrong_format_is_told_where_users_look",
        a_wrong_format_is_told,
    ),
];

fn output_and_exit_code_come_out() {
    let mut bed = Bed::new("echo hello ; warn careful ; exit 7").start();
    assert_eq!(bed.output(), "hello\ncareful\n");
    assert_eq!(bed.wait(), 7);
}

fn states_follow_one_another() {
    let mut bed = Bed::new("sleep");
    assert!(matches!(
        bed.runtime.state(&bed.id),
        Err(Error::NotFound(_))
    ));
    bed.create().unwrap();
    let status = |bed: &Bed| bed.runtime.state(&bed.id).unwrap().status;
    assert_eq!(status(&bed), Status::Created);
    bed.runtime.start(&bed.id).unwrap();
    assert_eq!(status(&bed), Status::Running);
    assert!(matches!(
        bed.runtime.start(&bed.id),
        Err(Error::WrongState { .. })
    ));
    assert!(matches!(
        bed.runtime.delete(&bed.id, false),
        Err(Error::WrongState { .. })
    ));
    bed.runtime.kill(&bed.id, 9, false).unwrap();
    assert_eq!(bed.wait(), 137);
    assert_eq!(status(&bed), Status::Stopped);
    assert!(matches!(
        bed.runtime.kill(&bed.id, 9, false),
        Err(Error::NotRunning(_))
    ));
    bed.runtime.delete(&bed.id, false).unwrap();
    assert!(matches!(
        bed.runtime.state(&bed.id),
        Err(Error::NotFound(_))
    ));
}

fn nothing_is_left() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = (mounts(), fds());
    let mut bed = Bed::new("echo").start();
    bed.output();
    bed.wait();
    let cgroup = bed.runtime.cgroup(&bed.id).unwrap();
    assert!(cgroup.paths().values().all(|path| path.exists()));
    bed.runtime.delete(&bed.id, false).unwrap();
    assert!(cgroup.paths().values().all(|path| !path.exists()));
    assert!(!bed.folder.path().join("state").join(&bed.id).exists());
    drop(bed);
    assert_eq!((mounts(), fds()), before);
}

fn a_program_that_cannot_run() {
    let say = |program: &str| {
        let bed = Bed::new("")
            .set("/process/args", json!([program]))
            .file("/plain", "");
        bed.refusal()
    };
    let during = "error during container init: ";
    let missing = "exec: \"/no/bin\": stat /no/bin: no such file or directory";
    assert_eq!(say("/no/bin"), format!("{during}{missing}"));
    let text = "exec: \"foo\": executable file not found in $PATH";
    assert_eq!(say("foo"), format!("{during}{text}"));
    assert_eq!(
        say("/plain"),
        format!("{during}exec: \"/plain\": permission denied")
    );
    assert_eq!(
        say("/dev"),
        format!("{during}exec: \"/dev\": is a directory")
    );
    let mut bed = Bed::new("").set("/process/args", json!(["nowhere"]));
    let error = bed.create().unwrap_err();
    assert_eq!(error.executable().unwrap().exit_code(), 127);
    let text = Bed::new("echo")
        .set("/process/cwd", json!("/payload"))
        .refusal();
    assert_eq!(
        text,
        format!("{during}chdir to cwd (\"/payload\") set in config.json failed: not a directory")
    );
}

fn users_are_looked_up_in_the_root() {
    let passwd = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/var/www:\n";
    let bed = |user: &str, groups: &[&str]| {
        let mut bed = Bed::new("status Uid ; status Gid ; status Groups ; env")
            .file("/etc/passwd", passwd)
            .file("/etc/group", "web:x:34:\nextra:x:99:web\n");
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        bed.user = Some(UserSpec {
            user: user.into(),
            groups,
        });
        bed
    };
    let text = bed("web", &["7"]).run();
    for expected in [
        "Uid:\t33\t33\t33\t33",
        "Gid:\t34\t34",
        "Groups:\t7 34 99",
        "HOME=/var/www",
        "TEST=yes",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(bed("", &[]).run().contains("HOME=/root"));
    let text = bed("nobody", &[]).refusal();
    assert_eq!(
        text,
        "unable to find user nobody: no matching entries in passwd file"
    );
}

fn pause_and_resume() {
    let bed = Bed::new("sleep").start();
    bed.runtime.pause(&bed.id).unwrap();
    assert_eq!(bed.runtime.state(&bed.id).unwrap().status, Status::Paused);
    assert!(matches!(
        bed.exec("echo", &[]),
        Err(Error::WrongState { .. })
    ));
    bed.runtime.resume(&bed.id).unwrap();
    assert_eq!(bed.runtime.state(&bed.id).unwrap().status, Status::Running);
    bed.runtime.pause(&bed.id).unwrap();
    // A paused one can be deleted by force.
    bed.runtime.delete(&bed.id, true).unwrap();
    assert_eq!(bed.wait(), 137);
}

fn kill_all_reaches_everything() {
    // In the host's pid namespace nobody ends with the init.
    let mut bed = Bed::new("fork ; fork ; echo ready ; sleep").set(
        "/linux/namespaces",
        json!([{"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]),
    );
    bed.create().unwrap();
    bed.runtime.start(&bed.id).unwrap();
    let cgroup = bed.runtime.cgroup(&bed.id).unwrap();
    crate::bed::until(|| cgroup.pids().unwrap().len() == 3);
    assert_eq!(bed.runtime.pids(&bed.id).unwrap().len(), 3);
    bed.runtime.kill(&bed.id, 9, true).unwrap();
    assert_eq!(bed.wait(), 137);
    // The other two are orphans of ours or of init; the pipe closes when they are gone.
    bed.output();
}

fn a_second_container_is_refused() {
    let mut bed = Bed::new("sleep").start();
    let before = bed.created.take();
    assert!(matches!(bed.create(), Err(Error::Exists(_))));
    bed.created = before;
    assert_eq!(bed.runtime.state(&bed.id).unwrap().status, Status::Running);
    bed.id = "../x".into();
    assert!(matches!(bed.create(), Err(Error::InvalidId(_))));
}

fn hooks_run_at_their_points() {
    let bed = Bed::new("cat /made-by-hook ; exit 3");
    let folder = bed.folder.path().to_owned();
    let script = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
        path
    };
    let log = folder.join("log");
    let note = |word: &str| {
        script(
            word,
            &format!("cat > {0}.{word}; echo {word} >> {0}", log.display()),
        )
    };
    let root = folder.join("rootfs");
    let inside = script(
        "inside",
        &format!("echo created > {}/made-by-hook", root.display()),
    );
    let mut bed = bed.set(
        "/hooks",
        json!({
            "createRuntime": [{"path": note("createRuntime")}],
            "createContainer": [{"path": inside, "args": ["inside", "x"], "env": ["PATH=/bin:/usr/bin"]}],
            "poststart": [{"path": note("poststart")}],
            "poststop": [{"path": note("poststop")}],
        }),
    );
    bed = bed.start();
    assert_eq!(bed.output(), "created\n");
    assert_eq!(bed.wait(), 3);
    bed.runtime.delete(&bed.id, false).unwrap();
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        "createRuntime\npoststart\npoststop\n"
    );
    let state = std::fs::read_to_string(folder.join("log.createRuntime")).unwrap();
    assert!(state.contains(&format!("\"id\":\"{}\"", bed.id)), "{state}");
    let failing = script("failing", "echo because; exit 9");
    let text = Bed::new("echo")
        .set("/hooks", json!({"createRuntime": [{"path": failing}]}))
        .refusal();
    assert_eq!(
        text,
        "error running createRuntime hook #0: exit status 9, output: because"
    );
}

fn a_wrong_format_is_told() {
    let bed = Bed::new("")
        .set("/process/args", json!(["/odd"]))
        .file("/odd", "\0\u{1}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bed.root().join("odd"), mode).unwrap();
    let mut bed = bed.start();
    assert_eq!(bed.output(), "exec /odd: exec format error\n");
    assert_eq!(bed.wait(), 255);
    assert!(Path::new("/proc/self").exists());
}
