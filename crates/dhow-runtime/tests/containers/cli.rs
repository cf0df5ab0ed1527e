//! The command line `dhow runtime`, `dhow init`, and another runtime through the same trait.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use dhow_runtime::{CreateRequest, ExecRequest, External, Runtime, Status};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Test;
use crate::bed::{specification, until, wait};

pub(crate) const TESTS: &[Test] = &[
    (
        "cli::a_container_from_create_to_delete",
        from_create_to_delete,
    ),
    ("cli::run_gives_the_exit_code", run_gives_the_exit_code),
    (
        "cli::what_is_not_supported_is_refused",
        what_is_not_supported_is_refused,
    ),
    ("cli::features_are_told", features_are_told),
    ("cli::errors_go_to_the_log", errors_go_to_the_log),
    (
        "cli::a_console_socket_gets_the_terminal",
        a_console_socket_gets_the_terminal,
    ),
    (
        "cli::the_program_cannot_be_overwritten_from_inside",
        the_program_cannot_be_overwritten,
    ),
    ("cli::init_forwards_and_reaps", init_forwards_and_reaps),
    (
        "cli::runc_through_the_same_trait",
        runc_through_the_same_trait,
    ),
];

/// A bundle and a state root for the command line; its containers are deleted at the end.
struct Line {
    folder: TempDir,
    id: String,
}

impl Line {
    fn new(name: &str, commands: &str, change: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("rootfs")).unwrap();
        let id = format!("cli-{name}");
        let mut spec = specification(&id, commands);
        change(&mut spec);
        std::fs::write(folder.path().join("config.json"), spec.to_string()).unwrap();
        Self { folder, id }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg("runtime")
            .arg("--root")
            .arg(self.folder.path().join("state"));
        command.args(args).current_dir(self.folder.path());
        command
    }

    fn call(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.call(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn status(&self) -> String {
        let state: Value = serde_json::from_str(&self.ok(&["state", &self.id])).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.call(&["delete", "--force", &self.id]);
    }
}

fn from_create_to_delete() {
    let line = Line::new("life", "echo begun ; sleep", |_| {});
    let output = std::fs::File::create(line.folder.path().join("output")).unwrap();
    let create = ["create", "--pid-file", "pid", &line.id];
    let status = line
        .command(&create)
        .stdin(Stdio::null())
        .stdout(output)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(line.status(), "created");
    let pid = std::fs::read_to_string(line.folder.path().join("pid")).unwrap();
    assert!(Path::new("/proc").join(&pid).exists());
    line.ok(&["start", &line.id]);
    assert_eq!(line.status(), "running");
    assert!(!line.call(&["start", &line.id]).status.success());
    until(|| std::fs::read_to_string(line.folder.path().join("output")).unwrap() == "begun\n");
    let text = line.ok(&[
        "exec", "--user", "3:4", "--env", "X=y", &line.id, "/payload", "payload", "status", "Gid",
        ";", "env",
    ]);
    assert!(text.starts_with("Gid:\t4\t4\t4\t4\nX=y\n"), "{text}");
    assert_eq!(
        line.call(&["exec", &line.id, "/payload", "payload", "exit", "6"])
            .status
            .code(),
        Some(6)
    );
    line.ok(&["pause", &line.id]);
    assert_eq!(line.status(), "paused");
    line.ok(&["resume", &line.id]);
    line.ok(&["update", "--pids-limit", "77", &line.id]);
    assert_eq!(line.ok(&["list", "-q"]), format!("{}\n", line.id));
    assert!(line.ok(&["list"]).contains("running"));
    assert!(line.ok(&["ps", &line.id]).contains("payload"));
    assert_eq!(
        line.ok(&["ps", "--format", "json", &line.id]),
        format!("[{pid}]\n")
    );
    line.ok(&["kill", &line.id, "KILL"]);
    until(|| line.status() == "stopped");
    line.ok(&["delete", &line.id]);
    assert!(!line.call(&["state", &line.id]).status.success());
    assert!(line.ok(&["features"]).contains("SCMP_ACT_ERRNO"));
}

fn run_gives_the_exit_code() {
    let line = Line::new("run", "echo out ; exit 42", |_| {});
    let output = line.call(&["run", &line.id]);
    assert_eq!(
        (output.stdout.as_slice(), output.status.code()),
        (&b"out\n"[..], Some(42))
    );
    assert!(
        !line.call(&["state", &line.id]).status.success(),
        "it is deleted"
    );
    let line = Line::new("signal", "echo up ; sleep", |_| {});
    let mut child = line
        .command(&["run", &line.id])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    // The first process of a pid namespace has no default handling: only this one gets through.
    line.ok(&["kill", &line.id, "9"]);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(
        !line.call(&["spec"]).status.success(),
        "there is one already"
    );
}

fn errors_go_to_the_log() {
    let line = Line::new("log", "", |spec| spec["process"]["args"] = json!(["nope"]));
    let log = line.folder.path().join("log.json");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg("runtime")
        .arg("--root")
        .arg(line.folder.path().join("state"));
    command
        .arg("--log")
        .arg(&log)
        .args(["--log-format", "json", "create", &line.id]);
    let output = command.current_dir(line.folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let entry: Value = serde_json::from_str(&std::fs::read_to_string(log).unwrap()).unwrap();
    assert_eq!(entry["level"], "error");
    let text = "container create failed: unable to start container process: error during container init: \
        exec: \"nope\": executable file not found in $PATH";
    assert_eq!(entry["msg"], text);
    assert!(!line.call(&["state", &line.id]).status.success());
}

fn a_console_socket_gets_the_terminal() {
    let line = Line::new("console", "size ; line", |spec| {
        spec["process"]["terminal"] = json!(true);
        spec["process"]["consoleSize"] = json!({"height": 11, "width": 22});
    });
    assert!(
        !line.call(&["create", &line.id]).status.success(),
        "nobody would have the terminal"
    );
    let path = line.folder.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    line.ok(&[
        "run",
        "--detach",
        "--console-socket",
        path.to_str().unwrap(),
        &line.id,
    ]);
    let (connection, _) = listener.accept().unwrap();
    let mut name = [0; 64];
    let (_, mut fds) = dhow_sys::fds::receive_with_fds(&connection, &mut name).unwrap();
    let mut master = std::fs::File::from(fds.pop().unwrap());
    master.write_all(b"typed\n").unwrap();
    let mut text = String::new();
    let _ = std::io::Read::read_to_string(&mut master, &mut text);
    assert!(
        text.contains("11 22") && text.contains("got typed"),
        "{text:?}"
    );
    until(|| line.status() == "stopped");
}

fn the_program_cannot_be_overwritten() {
    // The kernel starts the script's interpreter, which is our own program, inside the container.
    let line = Line::new("own", "", |spec| {
        spec["process"]["args"] = json!(["/script"])
    });
    let script = line.folder.path().join("rootfs/script");
    std::fs::write(&script, "#!/proc/self/exe init\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    std::fs::write(line.folder.path().join("rootfs/payload"), "").unwrap();
    let status = line
        .command(&["create", &line.id])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let state: Value = serde_json::from_str(&line.ok(&["state", &line.id])).unwrap();
    // As long as somebody runs it, it can't be written to anyway; what counts is the mount.
    let exe = rustix::fs::statvfs(format!("/proc/{}/exe", state["pid"])).unwrap();
    assert!(exe.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
}

fn init_forwards_and_reaps() {
    let own = std::env::current_exe().unwrap();
    let run = |args: &[&str]| Command::new(&own).arg("init").args(args).output().unwrap();
    let own_text = own.to_str().unwrap();
    assert_eq!(
        run(&["--", own_text, "payload", "exit", "9"]).status.code(),
        Some(9)
    );
    let missing = run(&["/no/such"]);
    assert_eq!(missing.status.code(), Some(127));
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(
        text,
        "dhow init: exec /no/such failed: no such file or directory\n"
    );
    assert_eq!(run(&["/etc/passwd"]).status.code(), Some(126));
    // Orphans come to it, and go; then the signal reaches the child.
    let mut command = Command::new(&own);
    command.args([
        "init", "-s", "--", own_text, "payload", "orphan", ";", "echo", "up", ";", "sleep",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    let pid: i32 = child.id().try_into().unwrap();
    let children = || {
        let path = format!("/proc/{pid}/task/{pid}/children");
        std::fs::read_to_string(path)
            .unwrap()
            .split_whitespace()
            .count()
    };
    until(|| children() <= 2);
    dhow_sys::signal::kill(pid, 15).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

fn runc_through_the_same_trait() {
    let Some(runc) = ["/usr/sbin/runc", "/usr/bin/runc"]
        .iter()
        .find(|path| Path::new(path).exists())
    else {
        eprintln!(
            "\n*** SKIPPED: runc is not installed, so it can't be tried through the trait ***\n"
        );
        return;
    };
    let line = Line::new("runc", "status Uid ; line ; sleep", |_| {});
    let folder = line.folder.path();
    std::fs::create_dir_all(folder.join("rootfs/etc")).unwrap();
    std::fs::write(folder.join("rootfs/etc/passwd"), "web:x:33:33::/:\n").unwrap();
    let runtime =
        External::new(Path::new(runc), &folder.join("runc"), &folder.join("log")).unwrap();
    let spec =
        serde_json::from_value(specification(&line.id, "status Uid ; line ; sleep")).unwrap();
    let user = dhow_runtime::UserSpec {
        user: "web".into(),
        groups: vec![],
    };
    let (stdin, mut keyboard) = std::io::pipe().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stdio = dhow_runtime::Stdio::Pipes {
        stdin: stdin.as_fd(),
        stdout: writer.as_fd(),
        stderr: writer.as_fd(),
    };
    let request = CreateRequest {
        id: &line.id,
        bundle: folder,
        spec: &spec,
        rootfs: None,
        stdio,
        user: Some(&user),
    };
    let created = runtime
        .create(&request)
        .unwrap_or_else(|error| panic!("{}", dhow_errdefs::chain(&error)));
    drop(writer);
    assert_eq!(runtime.state(&line.id).unwrap().status, Status::Created);
    runtime.start(&line.id).unwrap();
    keyboard.write_all(b"typed\n").unwrap();
    let mut text = [0; 27];
    std::io::Read::read_exact(&mut reader, &mut text).unwrap();
    assert_eq!(
        std::str::from_utf8(&text).unwrap(),
        "Uid:\t33\t33\t33\t33\ngot typed\n"
    );
    let process =
        serde_json::from_value(specification(&line.id, "exit 8")["process"].clone()).unwrap();
    let terminal = dhow_runtime::Stdio::Terminal {
        width: 10,
        height: 20,
    };
    let request = ExecRequest {
        process: &process,
        stdio: terminal,
        user: None,
        cgroup: None,
    };
    let executed = runtime.exec(&line.id, &request).unwrap();
    assert!(executed.master.is_some());
    assert_eq!(wait(&executed.pidfd), 8);
    assert!(!runtime.pids(&line.id).unwrap().is_empty());
    runtime.kill(&line.id, 9, false).unwrap();
    assert_eq!(wait(&created.pidfd), 137);
    runtime.delete(&line.id, true).unwrap();
    let error = runtime.start(&line.id).unwrap_err();
    assert!(
        error.to_string().starts_with("runc start failed: "),
        "{error}"
    );
}

/// Each field that is not done is refused before anything is made, with its name.
fn what_is_not_supported_is_refused() {
    for (field, value, why) in [
        (
            "/ociVersion",
            json!("2.0.0"),
            "ociVersion 2.0.0 is not supported",
        ),
        (
            "/ociVersion",
            json!("new"),
            "ociVersion \"new\" is no version",
        ),
        (
            "/windows",
            json!({"layerFolders": ["c"]}),
            "windows is not supported",
        ),
        (
            "/vm",
            json!({"kernel": {"path": "/kernel"}}),
            "vm is not supported",
        ),
        (
            "/process/execCPUAffinity",
            json!({"initial": "0", "final": "0"}),
            "process.execCPUAffinity is not supported",
        ),
        (
            "/linux/intelRdt",
            json!({"closID": "x"}),
            "linux.intelRdt is not supported",
        ),
        (
            "/linux/netDevices",
            json!({"eth0": {"name": "eth1"}}),
            "linux.netDevices is not supported",
        ),
        (
            "/linux/personality",
            json!({"domain": "LINUX", "flags": ["X"]}),
            "personality flags are not supported",
        ),
        (
            "/linux/rootfsPropagation",
            json!("odd"),
            "rootfsPropagation=odd is not supported",
        ),
        (
            "/linux/resources",
            json!({"memory": {"useHierarchy": false}}),
            "linux.resources.memory.useHierarchy=false is not supported",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
            "SCMP_ACT_NOTIFY is not supported",
        ),
    ] {
        let line = Line::new("refused", "true", |spec| {
            let (parent, name) = field.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[name] = value;
        });
        let output = line.call(&["run", &line.id]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && text.contains(why),
            "{field}: {text}"
        );
        let state = line.call(&["state", &line.id]);
        assert!(!state.status.success(), "{field}: something was left");
    }
    // What a later release adds is passed over.
    let line = Line::new("later", "true", |spec| {
        spec["ociVersion"] = json!("1.9.0");
        spec["later"] = json!({"x": 1});
        spec["linux"]["later"] = json!(["y"]);
    });
    line.ok(&["run", &line.id]);
}

/// The features are of the form that the specification gives, and what is told is so.
fn features_are_told() {
    let line = Line::new("features", "true", |_| {});
    let features: Value = serde_json::from_str(&line.ok(&["features"])).unwrap();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert_eq!(features["ociVersionMax"], "1.2.1");
    let list = |value: &Value| -> Vec<String> {
        let entries = value.as_array().unwrap().iter();
        entries
            .map(|entry| entry.as_str().unwrap().to_owned())
            .collect()
    };
    let namespaces = list(&features["linux"]["namespaces"]);
    for kind in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
        assert!(namespaces.iter().any(|known| known == kind), "{kind}");
    }
    assert_eq!(
        features["linux"]["mountExtensions"]["idmap"]["enabled"],
        false
    );
    assert_eq!(features["linux"]["intelRdt"]["enabled"], false);
    assert!(
        !list(&features["linux"]["seccomp"]["actions"]).contains(&"SCMP_ACT_NOTIFY".to_owned())
    );
    // Every option that is told is taken, all of one kind at a time.
    let options = list(&features["mountOptions"]);
    for option in [
        "ro",
        "nosuid",
        "nodev",
        "noexec",
        "rro",
        "tmpcopyup",
        "nosymfollow",
    ] {
        assert!(options.iter().any(|known| known == option), "{option}");
        let line = Line::new("option", "true", |spec| {
            let mount = json!({
                "destination": "/optional", "type": "tmpfs", "source": "tmpfs", "options": [option],
            });
            spec["mounts"].as_array_mut().unwrap().push(mount);
        });
        line.ok(&["run", &line.id]);
    }
}
