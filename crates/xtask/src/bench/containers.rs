//! Containers: their cycle, one by one and many at once, execs, lists and logs.

use super::{Measurement, Subject, milliseconds, report::median};
use dhow_testkit::http::{Body, Client};
use serde_json::{Value, json};
use std::io::Read;

/// How many stopped containers the measurements of many are about.
pub(super) const MANY: usize = 500;

pub(super) const ALL: &[Measurement] = &[
    Measurement {
        name: "create+start+wait+remove true, bridge network",
        unit: "ms",
        measure: |s| cycle(s, "bridge"),
    },
    Measurement {
        name: "create+start+wait+remove true, network none",
        unit: "ms",
        measure: |s| cycle(s, "none"),
    },
    Measurement {
        name: "start alone",
        unit: "ms",
        measure: start,
    },
    Measurement {
        name: "kill + wait",
        unit: "ms",
        measure: kill,
    },
    Measurement {
        name: "exec true, attached",
        unit: "ms",
        measure: exec,
    },
    Measurement {
        name: "48 full runs, 16 at a time, wall",
        unit: "ms",
        measure: many,
    },
    Measurement {
        name: "list 50 running containers",
        unit: "ms",
        measure: list,
    },
    Measurement {
        name: "force-remove 50 running, 8 at a time",
        unit: "ms",
        measure: remove_many,
    },
    Measurement {
        name: "container output into the json-file log",
        unit: "MB/s",
        measure: log_write,
    },
    Measurement {
        name: "reading that log back",
        unit: "MB/s",
        measure: log_read,
    },
    Measurement {
        name: "create 500 containers, 8 at a time",
        unit: "ms",
        measure: create_many,
    },
    Measurement {
        name: "list all, 500 stopped",
        unit: "ms",
        measure: list_stopped,
    },
    Measurement {
        name: "container prune of 500",
        unit: "ms",
        measure: prune,
    },
];

/// The version prefix that every engine of interest speaks.
pub(super) const API: &str = "/v1.44";

/// How much a container prints in the log measurements, in megabytes.
const LOG_MEGABYTES: f64 = 100.0;

/// A container made for a measurement.
pub(super) struct Container<'a> {
    subject: &'a Subject,
    id: String,
}

impl<'a> Container<'a> {
    fn created(
        subject: &'a Subject,
        client: &mut Client,
        command: &[&str],
        network: &str,
    ) -> Result<Self, String> {
        Self::created_with(subject, client, command, &json!({"NetworkMode": network}))
    }

    pub(super) fn created_with(
        subject: &'a Subject,
        client: &mut Client,
        command: &[&str],
        host: &Value,
    ) -> Result<Self, String> {
        let body = json!({"Image": "busybox:latest", "Cmd": command, "HostConfig": host});
        let answer = call(client, "POST", "/containers/create", Some(&body))?;
        Ok(Self {
            subject,
            id: answer["Id"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// Creates and starts a container on the bridge.
    pub(super) fn started(subject: &'a Subject, command: &[&str]) -> Result<Self, String> {
        let mut client = subject.client();
        let container = Self::created(subject, &mut client, command, "bridge")?;
        container.call(&mut client, "POST", "/start")?;
        Ok(container)
    }

    /// The full id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Removes it by force.
    pub(super) fn remove(self) -> Result<(), String> {
        call(
            &mut self.subject.client(),
            "DELETE",
            &format!("/containers/{}?force=1", self.id),
            None,
        )
        .map(drop)
    }

    pub(super) fn call(
        &self,
        client: &mut Client,
        method: &str,
        what: &str,
    ) -> Result<Value, String> {
        call(
            client,
            method,
            &format!("/containers/{}{what}", self.id),
            None,
        )
    }
}

fn call(
    client: &mut Client,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, String> {
    let answer = client.request(
        method,
        &format!("{API}{path}"),
        body.map_or(Body::Empty, Body::Json),
    );
    let answer = answer.map_err(|error| format!("{method} {path}: {error}"))?;
    if answer.status >= 400 {
        return Err(format!(
            "{method} {path}: {} {}",
            answer.status,
            answer.text().trim()
        ));
    }
    Ok(answer.json())
}

/// Imports the busybox fixture as `busybox:latest`.
pub(super) fn bring_busybox(subject: &Subject) {
    let tar = std::fs::read(dhow_testkit::images::busybox_tar()).unwrap_or_default();
    let path = format!(
        "{API}/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D"
    );
    let answer = subject
        .client()
        .request("POST", &path, Body::Bytes("application/x-tar", &tar));
    if let Err(error) = answer {
        println!("{}: importing busybox: {error}", subject.name);
    }
}

/// The median over the subject's rounds; the first round warms up and does not count.
fn over_rounds(
    subject: &Subject,
    mut round: impl FnMut() -> Result<f64, String>,
) -> Result<f64, String> {
    round()?;
    let values: Result<Vec<f64>, String> = (0..subject.rounds).map(|_| round()).collect();
    values.map(median)
}

/// Times `f`, keeping its error.
pub(super) fn timed(f: impl FnOnce() -> Result<(), String>) -> Result<f64, String> {
    let mut result = Ok(());
    let time = milliseconds(|| result = f());
    result.map(|()| time)
}

fn full_run(subject: &Subject, client: &mut Client, network: &str) -> Result<(), String> {
    let container = Container::created(subject, client, &["true"], network)?;
    container.call(client, "POST", "/start")?;
    let answer = container.call(client, "POST", "/wait")?;
    if answer["StatusCode"] != 0 {
        return Err(format!("true ended with {answer}"));
    }
    container.call(client, "DELETE", "").map(drop)
}

fn cycle(subject: &Subject, network: &str) -> Result<f64, String> {
    let mut client = subject.client();
    over_rounds(subject, || {
        timed(|| full_run(subject, &mut client, network))
    })
}

fn start(subject: &Subject) -> Result<f64, String> {
    let mut client = subject.client();
    over_rounds(subject, || {
        let container = Container::created(subject, &mut client, &["sleep", "1000"], "bridge")?;
        let time = timed(|| container.call(&mut client, "POST", "/start").map(drop));
        container.remove()?;
        time
    })
}

fn kill(subject: &Subject) -> Result<f64, String> {
    let mut client = subject.client();
    over_rounds(subject, || {
        let container = Container::started(subject, &["sleep", "1000"])?;
        let time = timed(|| {
            container.call(&mut client, "POST", "/kill")?;
            container.call(&mut client, "POST", "/wait").map(drop)
        });
        container.remove()?;
        time
    })
}

fn exec(subject: &Subject) -> Result<f64, String> {
    let container = Container::started(subject, &["sleep", "1000"])?;
    let mut client = subject.client();
    let result = over_rounds(subject, || timed(|| exec_true(&container, &mut client)));
    container.remove()?;
    result
}

fn exec_true(container: &Container<'_>, client: &mut Client) -> Result<(), String> {
    let body = json!({"Cmd": ["true"], "AttachStdout": true, "AttachStderr": true});
    let answer = call(
        client,
        "POST",
        &format!("/containers/{}/exec", container.id),
        Some(&body),
    )?;
    let id = answer["Id"].as_str().unwrap_or_default();
    let stream = client.hijack(
        &format!("{API}/exec/{id}/start"),
        &json!({"Detach": false, "Tty": false}),
    );
    let mut stream = stream.map_err(|error| format!("exec start: {error}"))?;
    stream
        .read_to_end(&mut Vec::new())
        .map_err(|error| format!("exec output: {error}"))?;
    let answer = call(client, "GET", &format!("/exec/{id}/json"), None)?;
    if answer["ExitCode"] == 0 {
        Ok(())
    } else {
        Err(format!("exec ended with {}", answer["ExitCode"]))
    }
}

/// Does `work` `count` times on `workers` threads; the first error wins.
fn side_by_side(
    count: usize,
    workers: usize,
    work: impl Fn(usize) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || {
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if index >= count {
                return Ok(());
            }
            work(index)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a worker panicked".into()))
        })
    })
}

fn many(subject: &Subject) -> Result<f64, String> {
    let round = || {
        timed(|| {
            side_by_side(48, 16, |_| {
                full_run(subject, &mut subject.client(), "bridge")
            })
        })
    };
    let values: Result<Vec<f64>, String> = (0..3).map(|_| round()).collect();
    values.map(median)
}

pub(super) fn fifty(subject: &Subject) -> Result<Vec<Container<'_>>, String> {
    let containers = std::sync::Mutex::new(Vec::new());
    side_by_side(50, 8, |_| {
        let container = Container::started(subject, &["sleep", "1000"])?;
        containers
            .lock()
            .map(|mut all| all.push(container))
            .map_err(|_| "a worker panicked".to_owned())
    })?;
    containers
        .into_inner()
        .map_err(|_| "a worker panicked".to_owned())
}

fn list(subject: &Subject) -> Result<f64, String> {
    let containers = fifty(subject)?;
    let mut client = subject.client();
    let result = over_rounds(subject, || {
        timed(|| listed(&mut client, "/containers/json").map(drop))
    });
    remove_all(subject, &containers)?;
    result
}

fn remove_many(subject: &Subject) -> Result<f64, String> {
    let containers = fifty(subject)?;
    timed(|| remove_all(subject, &containers))
}

pub(super) fn remove_all(subject: &Subject, containers: &[Container<'_>]) -> Result<(), String> {
    side_by_side(containers.len(), 8, |index| {
        let path = format!("/containers/{}?force=1", containers[index].id);
        call(&mut subject.client(), "DELETE", &path, None).map(drop)
    })
}

/// A container that has printed [`LOG_MEGABYTES`] in lines of 100 bytes, and how long it took in milliseconds.
///
/// `log`: the options of its log; none are the engine's default, which may not keep everything.
fn printed<'a>(subject: &'a Subject, log: &Value) -> Result<(Container<'a>, f64), String> {
    let line = "x".repeat(99);
    // Not `head`, which copies byte by byte and would be what is measured.
    let script = format!(
        "yes {line} | dd bs=100000 count={} iflag=fullblock 2>/dev/null",
        LOG_MEGABYTES * 10.0
    );
    let mut client = subject.client();
    let log = json!({"Type": "json-file", "Config": log});
    let host = json!({"NetworkMode": "none", "LogConfig": log});
    let container = Container::created_with(subject, &mut client, &["sh", "-c", &script], &host)?;
    let time = timed(|| {
        container.call(&mut client, "POST", "/start")?;
        container.call(&mut client, "POST", "/wait").map(drop)
    })?;
    Ok((container, time))
}

fn log_write(subject: &Subject) -> Result<f64, String> {
    let (container, time) = printed(subject, &json!({}))?;
    container.remove()?;
    Ok(LOG_MEGABYTES / (time / 1000.0))
}

fn log_read(subject: &Subject) -> Result<f64, String> {
    let (container, _) = printed(subject, &json!({"max-size": "1g"}))?;
    let path = format!("{API}/containers/{}/logs?stdout=1&stderr=1", container.id);
    let mut bytes = 0;
    let time = timed(|| {
        bytes = streamed(subject, &path)?;
        Ok(())
    })?;
    container.remove()?;
    if bytes < 100_000_000 {
        return Err(format!("only {bytes} bytes came back"));
    }
    Ok(LOG_MEGABYTES / (time / 1000.0))
}

/// How many bytes a streamed answer has; they are read and forgotten.
pub(super) fn streamed(subject: &Subject, path: &str) -> Result<usize, String> {
    let (_, mut stream) = subject
        .client()
        .stream("GET", path)
        .map_err(|error| error.to_string())?;
    let mut buffer = vec![0; 1 << 20];
    let mut tail = Vec::new();
    let mut bytes = 0;
    // The stream stays open for the next request: its end is the empty chunk.
    while !tail.ends_with(b"\r\n0\r\n\r\n") {
        let read = stream
            .read(&mut buffer)
            .map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        bytes += read;
        tail.extend_from_slice(&buffer[read.saturating_sub(8)..read]);
        tail.drain(..tail.len().saturating_sub(8));
    }
    Ok(bytes)
}

/// A list's text; reading it as JSON is no part of what is measured.
fn listed(client: &mut Client, path: &str) -> Result<Vec<u8>, String> {
    let answer = client.request("GET", &format!("{API}{path}"), Body::Empty);
    match answer {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(format!("GET {path}: {}", answer.status)),
        Err(error) => Err(format!("GET {path}: {error}")),
    }
}

/// Makes `count` containers that never run.
pub(super) fn create_stopped(subject: &Subject, count: usize) -> Result<(), String> {
    side_by_side(count, 8, |_| {
        Container::created(subject, &mut subject.client(), &["true"], "bridge").map(drop)
    })
}

/// How long listing all containers takes.
pub(super) fn list_all(subject: &Subject) -> Result<f64, String> {
    let mut client = subject.client();
    over_rounds(subject, || {
        timed(|| listed(&mut client, "/containers/json?all=1").map(drop))
    })
}

/// Brings the stopped containers to [`MANY`]. They stay for the next measurement: file systems are slow for a while
/// after many deletions, so there is only one of those, at the end.
fn top_up(subject: &Subject) -> Result<(), String> {
    let list = call(&mut subject.client(), "GET", "/containers/json?all=1", None)?;
    let there = list.as_array().map_or(0, Vec::len);
    create_stopped(subject, MANY.saturating_sub(there))
}

fn prune_all(subject: &Subject) -> Result<(), String> {
    call(&mut subject.client(), "POST", "/containers/prune", None).map(drop)
}

fn create_many(subject: &Subject) -> Result<f64, String> {
    prune_all(subject)?;
    timed(|| create_stopped(subject, MANY))
}

fn list_stopped(subject: &Subject) -> Result<f64, String> {
    top_up(subject)?;
    list_all(subject)
}

fn prune(subject: &Subject) -> Result<f64, String> {
    top_up(subject)?;
    timed(|| prune_all(subject))
}
