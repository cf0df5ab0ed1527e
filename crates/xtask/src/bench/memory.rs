//! Memory: proportional set sizes, as `/proc/PID/smaps_rollup` gives them.

use super::{Measurement, Subject, containers::Container};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

pub(super) const ALL: &[Measurement] = &[
    Measurement {
        name: "engine idle, all its processes, PSS",
        unit: "MiB",
        measure: idle,
    },
    Measurement {
        name: "each running container's helpers, PSS",
        unit: "MiB",
        measure: helpers,
    },
];

/// The process that listens on `socket`.
pub(super) fn listener(socket: &Path) -> u32 {
    let stream =
        UnixStream::connect(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
    let credentials = dhow_testkit::peer(&stream);
    u32::try_from(credentials).unwrap_or_default()
}

/// The sum over the engine's process and all its descendants, shims of containers left out.
fn idle(subject: &Subject) -> Result<f64, String> {
    Ok(family(subject).into_iter().map(pss).sum())
}

/// The engine's process and all its descendants, shims of containers and what is below them left out.
pub(super) fn family(subject: &Subject) -> Vec<u32> {
    let processes = processes();
    let mut family = vec![subject.pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        let children = processes.iter().filter(|(_, ppid)| *ppid == parent);
        let children = children.map(|(pid, _)| *pid);
        family.extend(children.filter(|pid| !command_line(*pid).contains("shim")));
        next += 1;
    }
    family
}

/// The mean over ten sleeping containers of all processes that are called by the container's id.
fn helpers(subject: &Subject) -> Result<f64, String> {
    let containers: Vec<Container> = (0..10)
        .map(|_| Container::started(subject, &["sleep", "1000"]))
        .collect::<Result<_, _>>()?;
    let pids: Vec<u32> = processes().into_iter().map(|(pid, _)| pid).collect();
    let mut total = 0.0;
    for container in &containers {
        let helpers = pids
            .iter()
            .filter(|pid| command_line(**pid).contains(container.id()));
        total += helpers.map(|pid| pss(*pid)).sum::<f64>();
    }
    let mean = total / 10.0;
    for container in containers {
        container.remove()?;
    }
    if mean > 0.0 {
        Ok(mean)
    } else {
        Err("no process is called by a container's id".into())
    }
}

/// All processes: pid and parent.
fn processes() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat
            .rsplit(')')
            .next()?
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()?;
        Some((pid, parent))
    })
    .collect()
}

/// The processor time that the engine's processes, and those that they have waited for, took so far, in seconds.
pub(super) fn processor_time(subject: &Subject) -> f64 {
    let ticks = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        // Of its own in user mode and in the kernel, and of its children (proc_pid_stat(5), fields 14 to 17).
        let times = fields.split_whitespace().skip(11).take(4);
        times
            .filter_map(|time| time.parse::<f64>().ok())
            .sum::<f64>()
    };
    let rate = rustix::param::clock_ticks_per_second();
    let rate = f64::from(u32::try_from(rate).unwrap_or(100));
    family(subject).into_iter().map(ticks).sum::<f64>() / rate
}

fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
        .into_owned()
}

/// The proportional set size of `pid` in MiB.
pub(super) fn pss(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or_default()
        / 1024.0
}
