//! What an engine left behind on the machine: processes, mounts and cgroups that name its root.

use std::fs;
use std::path::{Path, PathBuf};

/// Watches for what belongs to one engine.
#[derive(Debug)]
pub struct Leaks {
    root: PathBuf,
    cgroups: Vec<PathBuf>,
}

impl Leaks {
    /// Starts to watch; `root` is the folder that all of the engine's paths contain.
    #[must_use]
    pub fn watch(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            cgroups: cgroups(),
        }
    }

    /// Kills the processes that are left of the engine's `instance`, by pid, and waits until they are gone: the
    /// supervisors first, then what is in the control groups that the engine made.
    pub fn end_processes(&self, instance: Option<&str>) {
        let supervisors = self.processes().into_iter().map(|(pid, _)| pid);
        let groups = self.cgroups_of(instance).into_iter();
        let contained: Vec<i32> = groups.flat_map(|cgroup| members(&cgroup)).collect();
        for pid in supervisors.chain(contained) {
            let Some(pid) = rustix::process::Pid::from_raw(pid) else {
                continue;
            };
            let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            else {
                continue;
            };
            let _ = rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL);
            let mut poll = [rustix::event::PollFd::new(
                &handle,
                rustix::event::PollFlags::IN,
            )];
            let limit = rustix::time::Timespec {
                tv_sec: 10,
                tv_nsec: 0,
            };
            let _ = rustix::event::poll(&mut poll, Some(&limit));
        }
    }

    /// The control groups of the engine's `instance`.
    #[must_use]
    pub fn cgroups_of(&self, instance: Option<&str>) -> Vec<PathBuf> {
        let named = |cgroup: &PathBuf| instance.is_some_and(|name| cgroup.ends_with(name));
        cgroups().into_iter().filter(named).collect()
    }

    /// The processes whose command line names the root: pid and command line.
    #[must_use]
    pub fn processes(&self) -> Vec<(i32, String)> {
        let root = self.root.display().to_string();
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let pids = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<i32>().ok())
            });
        pids.filter(|pid| *pid != own)
            .filter_map(|pid| Some((pid, fs::read(format!("/proc/{pid}/cmdline")).ok()?)))
            .map(|(pid, line)| (pid, String::from_utf8_lossy(&line).replace('\0', " ")))
            .filter(|(_, line)| line.contains(&root))
            .collect()
    }

    /// The mounts in this mount namespace that name the root.
    #[must_use]
    pub fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let root = self.root.display().to_string();
        table
            .lines()
            .filter(|line| line.contains(&root))
            .map(str::to_owned)
            .collect()
    }

    /// All that is left of the engine's `instance`, each as a short text; empty is as it should be.
    #[must_use]
    pub fn left_behind(&self, instance: Option<&str>) -> Vec<String> {
        let mut left: Vec<String> = self
            .processes()
            .into_iter()
            .map(|(pid, line)| format!("process {pid} {line}"))
            .collect();
        left.extend(
            self.mounts()
                .into_iter()
                .map(|mount| format!("mount {mount}")),
        );
        let new = cgroups()
            .into_iter()
            .filter(|cgroup| !self.cgroups.contains(cgroup));
        let named = |cgroup: &PathBuf| instance.is_some_and(|name| cgroup.ends_with(name));
        let ours = new.filter(named);
        left.extend(ours.map(|cgroup| format!("cgroup {}", cgroup.display())));
        left
    }
}

/// Removes the groups in a group whose processes have ended.
pub(crate) fn remove_inner(cgroup: &Path) {
    for inner in folders(cgroup) {
        remove_inner(&inner);
        // One that some process is still leaving is found by whoever looks for what is left.
        let _ = fs::remove_dir(inner);
    }
}

/// The processes in a cgroup and those below it.
fn members(cgroup: &Path) -> Vec<i32> {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let own = own.lines().filter_map(|line| line.parse().ok());
    own.chain(folders(cgroup).iter().flat_map(|inner| members(inner)))
        .collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path())
        .collect()
}

/// The cgroups two levels deep, of every hierarchy.
fn cgroups() -> Vec<PathBuf> {
    folders(Path::new("/sys/fs/cgroup"))
        .iter()
        .flat_map(|hierarchy| folders(hierarchy))
        .collect()
}
