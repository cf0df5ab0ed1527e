//! Builds: over the API as `docker build` without BuildKit asks for them, and by the official buildx, whose own start is
//! part of the time for every engine.

use super::{Measurement, Subject, milliseconds, report::median};
use dhow_testkit::http::Body;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) const ALL: &[Measurement] = &[
    Measurement {
        name: "build: 12 steps, 300 files, nothing cached, API",
        unit: "ms",
        measure: |subject| steps(subject, Way::Api, Change::All),
    },
    Measurement {
        name: "build: the same, all cached, API",
        unit: "ms",
        measure: |subject| steps(subject, Way::Api, Change::Nothing),
    },
    Measurement {
        name: "build: the same, one file changed, API",
        unit: "ms",
        measure: |subject| steps(subject, Way::Api, Change::OneFile),
    },
    Measurement {
        name: "build: 12 steps, 300 files, nothing cached, buildx",
        unit: "ms",
        measure: |subject| steps(subject, Way::Buildx, Change::All),
    },
    Measurement {
        name: "build: the same, all cached, buildx",
        unit: "ms",
        measure: |subject| steps(subject, Way::Buildx, Change::Nothing),
    },
    Measurement {
        name: "build: the same, one file changed, buildx",
        unit: "ms",
        measure: |subject| steps(subject, Way::Buildx, Change::OneFile),
    },
    Measurement {
        name: "build: RUN true, each step",
        unit: "ms",
        measure: each_run,
    },
    Measurement {
        name: "build: 50 000 files, 600 MB, one changed, buildx",
        unit: "ms",
        measure: large_context,
    },
    Measurement {
        name: "build: 20 stages, faster than one after the other",
        unit: "times",
        measure: fan_out,
    },
];

/// Three stages, twelve steps.
const STEPS: &str = "\
FROM busybox AS base
WORKDIR /app
RUN mkdir -p out && echo base > out/base
FROM base AS one
COPY src/ src/
RUN cat src/* | sha256sum > out/sum
RUN ls src | wc -l > out/count
FROM base AS two
RUN seq 1000 > out/numbers
RUN sort -r out/numbers > out/sorted
FROM busybox
WORKDIR /app
COPY --from=one /app/out/sum /app/out/count ./
COPY --from=two /app/out/sorted ./
RUN cat sum count > all
CMD [\"cat\", \"all\"]
";

/// How an engine is asked.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Api,
    Buildx,
}

/// What is another than in the build before.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    OneFile,
    All,
}

/// A context in a folder.
struct Context(tempfile::TempDir);

impl Context {
    fn new(dockerfile: &str) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").expect("/var/tmp is writable");
        std::fs::write(folder.path().join("Dockerfile"), dockerfile).expect("it is writable");
        Self(folder)
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.0.path().join(path);
        let folder = path.parent().expect("it is in the context");
        std::fs::create_dir_all(folder).expect("it is writable");
        std::fs::write(path, content).expect("it is writable");
    }

    fn archive(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        archive
            .append_dir_all(".", self.0.path())
            .and_then(|()| archive.into_inner())
            .expect("it is readable")
    }

    /// Builds it; how many milliseconds that takes.
    fn build(&self, subject: &Subject, way: Way, cached: bool) -> Result<f64, String> {
        let mut result = Ok(());
        let archive = (way == Way::Api).then(|| self.archive());
        let time = milliseconds(|| {
            result = match &archive {
                Some(archive) => post(subject, archive, cached),
                None => buildx(subject, self.0.path(), cached),
            };
        });
        result.map(|()| time)
    }
}

fn post(subject: &Subject, archive: &[u8], cached: bool) -> Result<(), String> {
    let cache = if cached { "" } else { "&nocache=1" };
    let path = format!("/v1.44/build?t=bench-build{cache}");
    let body = Body::Bytes("application/x-tar", archive);
    let answer = subject.client().request("POST", &path, body);
    let text = answer.map_err(|e| e.to_string())?.text();
    match text.contains("Successfully tagged") {
        true => Ok(()),
        false => Err(text.lines().last().unwrap_or_default().to_owned()),
    }
}

fn buildx(subject: &Subject, folder: &Path, cached: bool) -> Result<(), String> {
    let settings = plugins()?;
    let mut docker = Command::new("docker");
    docker
        .arg("--config")
        .arg(settings.path())
        .arg("--host")
        .arg(format!("unix://{}", subject.socket.display()))
        .args(["buildx", "build", "--progress=plain", "-t", "bench-build"])
        .args((!cached).then_some("--no-cache"))
        .arg(folder)
        .stdout(Stdio::null());
    let output = docker.output().map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr)
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned()),
    }
}

/// Settings of the docker command line with the buildx plugin in them.
fn plugins() -> Result<tempfile::TempDir, String> {
    const PLACES: [&str; 4] = [
        "/var/cache/reference-docker/root/usr/libexec/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/local/lib/docker/cli-plugins",
    ];
    let place = PLACES
        .iter()
        .find(|place| PathBuf::from(place).join("docker-buildx").exists())
        .ok_or("there is no buildx")?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let settings = format!("{{\"cliPluginsExtraDirs\":[\"{place}\"]}}");
    std::fs::write(folder.path().join("config.json"), settings).map_err(|e| e.to_string())?;
    Ok(folder)
}

fn steps(subject: &Subject, way: Way, change: Change) -> Result<f64, String> {
    let context = Context::new(STEPS);
    for n in 0..300_u32 {
        context.write(
            &format!("src/f{n}"),
            format!("{n}\n").repeat(500).as_bytes(),
        );
    }
    context.build(subject, way, true)?;
    let mut times = Vec::new();
    for round in 0..subject.rounds {
        if change == Change::OneFile {
            context.write(
                "src/f7",
                format!("{round} of {}\n", subject.name).as_bytes(),
            );
        }
        times.push(context.build(subject, way, change != Change::All)?);
    }
    Ok(median(times))
}

/// What one more `RUN true` costs.
fn each_run(subject: &Subject) -> Result<f64, String> {
    let many = Context::new(&format!("FROM busybox\n{}", "RUN true\n".repeat(11)));
    let one = Context::new("FROM busybox\nRUN true\n");
    let time = |context: &Context| {
        let times: Result<Vec<f64>, String> = (0..subject.rounds.min(7))
            .map(|_| context.build(subject, Way::Api, false))
            .collect();
        times.map(median)
    };
    Ok((time(&many)? - time(&one)?) / 10.0)
}

fn large_context(subject: &Subject) -> Result<f64, String> {
    let context = Context::new("FROM busybox\nCOPY one /one\nCOPY tree/d7 /d7\n");
    let content = vec![b'x'; 12_000];
    for n in 0..50_000_u32 {
        context.write(&format!("tree/d{}/f{n}", n % 100), &content);
    }
    context.write("one", b"0");
    context.build(subject, Way::Buildx, true)?;
    let mut times = Vec::new();
    for round in 0..5_u32 {
        context.write(
            "tree/d7/f7",
            format!("{round} of {}", subject.name).as_bytes(),
        );
        times.push(context.build(subject, Way::Buildx, true)?);
    }
    Ok(median(times))
}

/// How many times faster twenty stages are than twenty steps that stand on one another.
fn fan_out(subject: &Subject) -> Result<f64, String> {
    let work = "head -c 60000000 /dev/zero | sha256sum > /sum";
    let stages: String = (0..20)
        .map(|n| format!("FROM busybox AS s{n}\nRUN {work}{n}\n"))
        .collect();
    let copies: String = (0..20)
        .map(|n| format!("COPY --from=s{n} /sum{n} /\n"))
        .collect();
    let wide = Context::new(&format!("{stages}FROM busybox\n{copies}"));
    let lines: String = (0..20).map(|n| format!("RUN {work}{n}\n")).collect();
    let long = Context::new(&format!("FROM busybox\n{lines}"));
    let time = |context: &Context| {
        let times: Result<Vec<f64>, String> = (0..3)
            .map(|_| context.build(subject, Way::Buildx, false))
            .collect();
        times.map(median)
    };
    Ok(time(&long)? / time(&wide)?)
}
