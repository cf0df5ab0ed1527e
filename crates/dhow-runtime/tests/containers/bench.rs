//! Figures: how long each step takes, here and with runc. Run with `cargo test --release --test containers -- bench`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dhow_runtime::Runtime;
use dhow_runtime::spec::Capability;

use crate::bed::Bed;

const ROUNDS: usize = 100;

/// Prints the medians.
pub(crate) fn main() {
    let profile = dhow_runtime::seccomp::default_profile(&[Capability::Chown]);
    let profile = serde_json::to_value(profile).unwrap();
    let mut steps: [Vec<Duration>; 6] = Default::default();
    for _ in 0..ROUNDS {
        let mut bed = Bed::new("exit 0").set("/linux/seccomp", profile.clone());
        let whole = Instant::now();
        let mut last = whole;
        let mut lap = |index: usize| {
            let now = Instant::now();
            steps[index].push(now - last);
            last = now;
        };
        bed.create().unwrap();
        lap(0);
        bed.runtime.start(&bed.id).unwrap();
        lap(1);
        bed.wait();
        lap(2);
        bed.runtime.delete(&bed.id, false).unwrap();
        lap(3);
        steps[4].push(whole.elapsed());
    }
    let bed = Bed::new("sleep").set("/linux/seccomp", profile).start();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        bed.exec("exit 0", &[]).unwrap();
        steps[5].push(started.elapsed());
    }
    for (name, times) in ["create", "start", "wait", "delete", "all", "exec+wait"]
        .iter()
        .zip(&mut steps)
    {
        println!("{name:>10} {:>9.2?}", median(times));
    }
    let spec = bed.parsed();
    drop(bed);
    runc(&serde_json::to_string(&spec).unwrap());
}

fn runc(spec: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rootfs")).unwrap();
    let spec = spec.replace("\"sleep\"", "\"exit\",\"0\"");
    std::fs::write(folder.path().join("config.json"), spec).unwrap();
    let mut times = Vec::new();
    for round in 0..20 {
        let started = Instant::now();
        let status = Command::new("runc")
            .args(["run", "--bundle"])
            .arg(folder.path())
            .arg(format!("bench-{round}"))
            .stdin(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            println!("runc can't be compared");
            return;
        }
        times.push(started.elapsed());
    }
    println!("{:>10} {:>9.2?}", "runc run", median(&mut times));
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
