//! Looking into containers: copies out of them, and their statistics.

use super::containers::{API, Container, fifty, remove_all, streamed, timed};
use super::{Measurement, Subject, memory};
use serde_json::json;
use std::io::Read as _;
use std::time::{Duration, Instant};

pub(super) const ALL: &[Measurement] = &[
    Measurement {
        name: "copy out of a container",
        unit: "MB/s",
        measure: copy_out,
    },
    Measurement {
        name: "statistics of 50 containers, share of one core",
        unit: "%",
        measure: statistics,
    },
];

/// The size of the file that is copied, in megabytes.
const COPIED: usize = 400;

/// How long statistics are streamed.
const STREAMED: Duration = Duration::from_secs(10);

fn copy_out(subject: &Subject) -> Result<f64, String> {
    let line = "x".repeat(99);
    let script =
        format!("yes {line} | dd of=/file bs=1000000 count={COPIED} iflag=fullblock 2>/dev/null");
    let mut client = subject.client();
    let host = json!({"NetworkMode": "none"});
    let container = Container::created_with(subject, &mut client, &["sh", "-c", &script], &host)?;
    container.call(&mut client, "POST", "/start")?;
    container.call(&mut client, "POST", "/wait")?;
    let path = format!("{API}/containers/{}/archive?path=/file", container.id());
    let mut bytes = 0;
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(timed(|| {
            bytes = streamed(subject, &path)?;
            Ok(())
        })?);
    }
    container.remove()?;
    if bytes < COPIED * 1_000_000 {
        return Err(format!("only {bytes} bytes came out"));
    }
    Ok(COPIED as f64 / (super::report::median(times) / 1000.0))
}

/// The processor time that an engine takes while fifty clients stream statistics.
fn statistics(subject: &Subject) -> Result<f64, String> {
    let containers = fifty(subject)?;
    let mut streams = Vec::new();
    for container in &containers {
        let path = format!("{API}/containers/{}/stats?stream=1", container.id());
        let (_, stream) = subject
            .client()
            .stream("GET", &path)
            .map_err(|error| error.to_string())?;
        stream
            .get_ref()
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        streams.push(stream);
    }
    let (began, before) = (Instant::now(), processor_time(subject));
    let mut bytes = 0;
    let mut buffer = vec![0; 64 << 10];
    while began.elapsed() < STREAMED {
        for stream in &mut streams {
            // Nothing there yet is no error here: what counts is that something came in the end.
            bytes += stream.read(&mut buffer).unwrap_or_default();
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let share = (processor_time(subject) - before) / began.elapsed().as_secs_f64() * 100.0;
    drop(streams);
    remove_all(subject, &containers)?;
    if bytes < 50 * 1000 {
        return Err(format!("only {bytes} bytes of statistics came"));
    }
    Ok(share)
}

/// The seconds that all of an engine's processes have run for.
fn processor_time(subject: &Subject) -> f64 {
    let of = |pid: u32| -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        // The kernel tells hundredths of a second, whatever its own tick is.
        Some((user + system) / 100.0)
    };
    memory::family(subject).into_iter().filter_map(of).sum()
}
