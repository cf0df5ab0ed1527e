//! A container to test with: its folder, its specification, its streams, and its end whatever happens.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use dhow_runtime::spec::Spec;
use dhow_runtime::{
    Builtin, CreateRequest, Created, Error, ExecRequest, Executed, Runtime, Stdio, UserSpec,
};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A container and all that belongs to it.
pub(crate) struct Bed {
    pub(crate) folder: TempDir,
    pub(crate) id: String,
    pub(crate) runtime: Builtin,
    pub(crate) spec: Value,
    pub(crate) user: Option<UserSpec>,
    pub(crate) created: Option<Created>,
    output: Option<File>,
}

/// How a process ended: its exit code, or 128 and the signal.
pub(crate) fn wait(pidfd: &OwnedFd) -> i32 {
    let ended =
        rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
    let ended = ended.unwrap().unwrap();
    ended
        .exit_status()
        .unwrap_or_else(|| 128 + ended.terminating_signal().unwrap())
}

/// The folder of this run's cgroups.
pub(crate) fn cgroup_parent() -> String {
    format!("/dhow-test-{}", std::process::id())
}

/// Removes it. Other runtimes make theirs in the v2 tree beside v1, too, and leave the parent.
pub(crate) fn remove_cgroups() {
    dhow_runtime::cgroup::Cgroup::named(Path::new(&cgroup_parent()))
        .remove()
        .unwrap();
    let _ = std::fs::remove_dir(format!("/sys/fs/cgroup/unified{}", cgroup_parent()));
}

impl Bed {
    /// A container that runs the payload's commands, separated by `;`.
    pub(crate) fn new(commands: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("rootfs")).unwrap();
        let id = format!("c{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let spec = specification(&id, commands);
        let runtime = Builtin::new(&folder.path().join("state"));
        Self {
            folder,
            id,
            runtime,
            spec,
            user: None,
            created: None,
            output: None,
        }
    }

    /// Changes a part of the specification, by its JSON pointer; missing objects are made.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let mut at = &mut self.spec;
        for key in pointer.split('/').skip(1) {
            if at.is_null() {
                *at = json!({});
            }
            at = match at {
                Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
                other => &mut other[key],
            };
        }
        *at = value;
        self
    }

    /// Adds a mount.
    pub(crate) fn mount(mut self, mount: Value) -> Self {
        self.spec["mounts"].as_array_mut().unwrap().push(mount);
        self
    }

    /// Takes the payload from `program` instead of the running test.
    pub(crate) fn payload(mut self, program: &Path) -> Self {
        let mounts = self.spec["mounts"].as_array_mut().unwrap();
        let mount = mounts
            .iter_mut()
            .find(|mount| mount["destination"] == "/payload");
        mount.unwrap()["source"] = json!(program);
        self
    }

    /// Puts a file into the root.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.root().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("rootfs")
    }

    pub(crate) fn parsed(&self) -> Spec {
        serde_json::from_value(self.spec.clone()).unwrap()
    }

    /// Creates it, with its output kept for [`Bed::output`].
    pub(crate) fn create(&mut self) -> Result<(), Error> {
        let (reader, writer) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let (stdin, out) = (null.as_fd(), writer.as_fd());
        let stdio = Stdio::Pipes {
            stdin,
            stdout: out,
            stderr: out,
        };
        self.create_with(stdio)?;
        self.output = Some(File::from(OwnedFd::from(reader)));
        Ok(())
    }

    pub(crate) fn create_with(&mut self, stdio: Stdio<'_>) -> Result<(), Error> {
        let spec = self.parsed();
        let request = CreateRequest {
            id: &self.id,
            bundle: self.folder.path(),
            spec: &spec,
            rootfs: None,
            stdio,
            user: self.user.as_ref(),
        };
        self.created = Some(self.runtime.create(&request)?);
        Ok(())
    }

    /// Creates and starts it.
    pub(crate) fn start(mut self) -> Self {
        self.create()
            .unwrap_or_else(|error| panic!("create: {}", dhow_errdefs::chain(&error)));
        self.runtime.start(&self.id).unwrap();
        self
    }

    /// The text of the error with which creating it fails.
    pub(crate) fn refusal(mut self) -> String {
        let error = self.create().expect_err("created all the same");
        assert!(
            !self.folder.path().join("state").join(&self.id).exists(),
            "state is left"
        );
        dhow_errdefs::chain(&error).to_string()
    }

    /// Waits for its end.
    pub(crate) fn wait(&self) -> i32 {
        wait(&self.created.as_ref().unwrap().pidfd)
    }

    /// Everything it has written, when it has ended.
    pub(crate) fn output(&mut self) -> String {
        let mut text = String::new();
        self.output
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    /// Runs it to its end and gives its output.
    pub(crate) fn run(self) -> String {
        let mut bed = self.start();
        let text = bed.output();
        bed.wait();
        text
    }

    pub(crate) fn warnings(&self) -> &[String] {
        &self.created.as_ref().unwrap().warnings
    }

    /// Runs commands in it and gives their output and exit code.
    pub(crate) fn exec(
        &self,
        commands: &str,
        changes: &[(&str, Value)],
    ) -> Result<(String, i32), Error> {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let (stdin, out) = (null.as_fd(), writer.as_fd());
        let stdio = Stdio::Pipes {
            stdin,
            stdout: out,
            stderr: out,
        };
        let executed = self.exec_with(commands, changes, stdio)?;
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        Ok((text, wait(&executed.pidfd)))
    }

    pub(crate) fn exec_with(
        &self,
        commands: &str,
        changes: &[(&str, Value)],
        stdio: Stdio<'_>,
    ) -> Result<Executed, Error> {
        let mut process = specification(&self.id, commands)["process"].clone();
        for (key, value) in changes {
            process[*key] = value.clone();
        }
        let process = serde_json::from_value(process).unwrap();
        let request = ExecRequest {
            process: &process,
            stdio,
            user: self.user.as_ref(),
            cgroup: None,
        };
        self.runtime.exec(&self.id, &request)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.runtime.delete(&self.id, true);
        if let Some(created) = &self.created {
            let _ = waitid(
                WaitId::PidFd(created.pidfd.as_fd()),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
        }
    }
}

/// A specification like the ones of an engine.
pub(crate) fn specification(id: &str, commands: &str) -> Value {
    let own = std::env::current_exe().unwrap();
    let args: Vec<&str> = ["/payload", "payload"]
        .into_iter()
        .chain(commands.split(' '))
        .collect();
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_MKNOD",
        "CAP_SYS_CHROOT",
    ];
    json!({
        "ociVersion": "1.2.0",
        "hostname": "tested",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/bin:/", "TEST=yes"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/payload", "type": "bind", "source": own, "options": ["bind", "ro"]},
        ],
        "linux": {
            "cgroupsPath": format!("{}/{id}", cgroup_parent()),
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "mount"}, {"type": "network"}, {"type": "uts"}, {"type": "pid"}, {"type": "ipc"},
            ],
            "maskedPaths": ["/proc/kcore", "/proc/scsi", "/sys/firmware", "/proc/not-there"],
            "readonlyPaths": ["/proc/bus", "/proc/sys"],
        },
    })
}

/// Waits for something that nothing tells of; gives up after seconds.
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited in vain");
}
