//! `POST /build` as the classic builder answers it: what it prints, what it makes, how it fails.
//!
//! Each case was looked at on Docker Engine 28.5; the tests pass there too.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::{BufRead, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use dhow_e2e::Bench;
use dhow_testkit::{Cli, Engine, Output, http::Body};
use regex::Regex;
use serde_json::{Value, json};

/// An engine with busybox, or nothing where the test can't be run.
fn engine(what: &str) -> Option<Engine> {
    if !dhow_testkit::root_or_skip(what) {
        return None;
    }
    Some(Bench::new(Cli::Docker).engine)
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// The official `docker build` without BuildKit.
fn classic(engine: &Engine, folder: &Path, words: &[&str]) -> Output {
    let mut command = Cli::Docker.command(engine.socket(), engine.home());
    command.env("DOCKER_BUILDKIT", "0").arg("build").args(words);
    Output::of(command.arg(folder), b"")
}

/// An archive of these files.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap()
}

/// Posts a build; gives the status and the messages.
fn post(engine: &Engine, query: &str, archive: &[u8]) -> (u16, Vec<Value>) {
    let path = format!("/v1.47/build?{query}");
    let body = Body::Bytes("application/x-tar", archive);
    let answer = engine.client().request("POST", &path, body).unwrap();
    let text = answer.text();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let messages = lines.map(|line| serde_json::from_str(line).unwrap());
    (answer.status, messages.collect())
}

/// What the messages print.
fn printed(messages: &[Value]) -> String {
    let texts = messages
        .iter()
        .filter_map(|message| message["stream"].as_str());
    texts.collect()
}

/// Ids as `ID`.
fn normal(text: &str) -> String {
    let id = Regex::new("[0-9a-f]{64}|[0-9a-f]{12}").unwrap();
    id.replace_all(text, "ID").into_owned()
}

#[test]
fn the_text_is_the_classic_builders() {
    let Some(engine) = engine("a classic build") else {
        return;
    };
    let folder = folder(&[
        ("a.txt", "hello\n"),
        ("d/y", "x\n"),
        (
            "Dockerfile",
            "FROM busybox AS base\n\
             ARG WHO=world\n\
             ENV GREETING=hello\n\
             WORKDIR /app\n\
             COPY a.txt d /app/\n\
             RUN echo \"$GREETING $WHO\" > out && \\\n    cat out\n\
             LABEL x=y\n\
             CMD [\"cat\", \"out\"]\n\
             FROM scratch\n\
             COPY --from=base /app/out /\n",
        ),
    ]);
    let step = |number: usize, text: &str| {
        let name = text.split(' ').next().unwrap();
        let container = " ---> Running in ID\n ---> Removed intermediate container ID\n";
        let container = if name == "COPY" || name == "FROM" {
            ""
        } else {
            container
        };
        format!("Step {number}/10 : {text}\n{container} ---> ID\n")
    };
    let steps = [
        "FROM busybox AS base",
        "ARG WHO=world",
        "ENV GREETING=hello",
        "WORKDIR /app",
        "COPY a.txt d /app/",
        "RUN echo \"$GREETING $WHO\" > out &&     cat out",
        "LABEL x=y",
        "CMD [\"cat\", \"out\"]",
        "FROM scratch",
        "COPY --from=base /app/out /",
    ];
    let mut expected = String::new();
    for (index, text) in steps.iter().enumerate() {
        expected += &step(index + 1, text);
    }
    let expected = expected
        .replace(
            "cat out\n ---> Running in ID\n",
            "cat out\n ---> Running in ID\nhello world\n",
        )
        .replace("FROM scratch\n ---> ID\n", "FROM scratch\n ---> \n");
    let end = "Successfully built ID\nSuccessfully tagged one:1\n";

    let built = classic(&engine, folder.path(), &["-t", "one:1"]);
    let (head, rest) = built.ok().split_once('\n').unwrap();
    assert!(
        head.starts_with("Sending build context to Docker daemon"),
        "{head}"
    );
    assert_eq!(normal(rest) + "\n", expected.clone() + end);

    // Once more: nothing is carried out.
    let again = classic(&engine, folder.path(), &["-t", "one:1"]);
    let text = again.ok();
    assert_eq!(text.matches(" ---> Using cache\n").count(), 8, "{text}");
    assert!(!text.contains("Running in"), "{text}");
    let id = |text: &str| {
        text.rsplit_once("Successfully built ")
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!(id(text), id(built.ok()));

    // Only the id, which is the image's.
    let quiet = classic(&engine, folder.path(), &["-q"]);
    let inspected = Cli::Docker.run(&engine, &["image", "inspect", "-f", "{{.Id}}", "one:1"]);
    assert_eq!(quiet.ok(), inspected.ok());

    let out = Cli::Docker.run(&engine, &["create", "one:1", "x"]);
    let copied = Cli::Docker.run(&engine, &["cp", &format!("{}:/out", out.ok()), "-"]);
    assert!(copied.ok().contains("hello world\n"));
}

#[test]
fn failures_are_the_classic_builders() {
    let Some(engine) = engine("failing classic builds") else {
        return;
    };
    for (dockerfile, code, text) in [
        (
            "FROM busybox\nRUN false\n",
            1,
            "The command '/bin/sh -c false' returned a non-zero code: 1",
        ),
        (
            "FROM busybox\nRUN exit 7\n",
            7,
            "The command '/bin/sh -c exit 7' returned a non-zero code: 7",
        ),
        (
            "FROM busybox\nRUN [\"nosuch\"]\n",
            1,
            "exec: \"nosuch\": executable file not found in $PATH",
        ),
        (
            "FROM busybox\nCOPY nosuch /\n",
            1,
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nosuch: file does not exist",
        ),
        (
            "FROM busybox\nFOO x\n",
            1,
            "Error response from daemon: dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)",
        ),
        (
            "",
            1,
            "Error response from daemon: the Dockerfile (Dockerfile) cannot be empty",
        ),
    ] {
        let folder = folder(&[("Dockerfile", dockerfile)]);
        let built = classic(&engine, folder.path(), &[]);
        assert_eq!(built.code, code, "{dockerfile}: {}", built.stderr);
        let last = built.stderr.trim().lines().last().unwrap();
        assert!(last.ends_with(text), "{dockerfile}: {last}");
    }
    let folder = folder(&[("Dockerfile", "FROM busybox\n")]);
    let built = classic(&engine, folder.path(), &["--target", "nosuch"]);
    let text = "target stage \"nosuch\" could not be found";
    assert!(built.stderr.contains(text), "{}", built.stderr);
}

#[test]
fn parameters_that_can_not_be_are_refused_in_dockers_words() {
    let Some(engine) = engine("a build's parameters") else {
        return;
    };
    let archive = tar(&[("Dockerfile", "FROM busybox\n")]);
    let json = "invalid character 'x' looking for beginning of value";
    for (query, status, text) in [
        (
            "t=BAD",
            500,
            "invalid reference format: repository name (library/BAD) must be lowercase".to_owned(),
        ),
        (
            "buildargs=x",
            400,
            format!("error reading build args: {json}"),
        ),
        ("labels=x", 400, format!("error reading labels: {json}")),
        (
            "ulimits=x",
            400,
            format!("error reading ulimit settings: {json}"),
        ),
        (
            "cachefrom=x",
            400,
            format!("error reading cache-from: {json}"),
        ),
        (
            "outputs=x",
            400,
            format!("invalid outputs specified: {json}"),
        ),
        ("version=3", 400, "invalid version \"3\"".to_owned()),
        (
            "shmsize=x",
            500,
            "strconv.ParseInt: parsing \"x\": invalid syntax".to_owned(),
        ),
        (
            "squash=1",
            400,
            "squash is only supported with experimental mode".to_owned(),
        ),
        (
            "securityopt=x",
            400,
            "security options are not supported on linux".to_owned(),
        ),
        (
            "isolation=x",
            400,
            "unsupported isolation: \"x\"".to_owned(),
        ),
        (
            "dockerfile=no",
            500,
            "Cannot locate specified Dockerfile: no".to_owned(),
        ),
        (
            "remote=/etc",
            500,
            "remoteURL (/etc) could not be recognized as URL".to_owned(),
        ),
    ] {
        let (answered, messages) = post(&engine, query, &archive);
        assert_eq!(answered, status, "{query}: {messages:?}");
        assert_eq!(messages[0]["message"], json!(text), "{query}");
    }
    let (status, _) = post(&engine, "", b"this is no archive");
    assert_eq!(status, 500);
}

#[test]
fn messages_have_the_classic_form() {
    let Some(engine) = engine("a classic build's messages") else {
        return;
    };
    let archive = tar(&[
        (
            "Dockerfile",
            "FROM busybox\nARG A\nCOPY f /\nRUN echo out; echo err >&2; test $A = 1\n",
        ),
        ("f", "x"),
    ]);
    let query = "t=x:1&t=x:2&buildargs=%7B%22A%22%3A%221%22%2C%22B%22%3A%222%22%7D";
    let (status, messages) = post(&engine, query, &archive);
    assert_eq!(status, 200);
    let text = printed(&messages);
    assert!(text.contains("\u{1b}[91merr\n\u{1b}[0m"), "{text}");
    assert!(text.contains("out\n"), "{text}");
    assert!(
        text.contains("[Warning] One or more build-args [B] were not consumed\n"),
        "{text}"
    );
    let aux = messages
        .iter()
        .find(|message| !message["aux"].is_null())
        .unwrap();
    let id = aux["aux"]["ID"].as_str().unwrap();
    assert!(id.starts_with("sha256:"), "{id}");
    let short = &id["sha256:".len()..][..12];
    let end =
        format!("Successfully built {short}\nSuccessfully tagged x:1\nSuccessfully tagged x:2\n");
    assert!(text.ends_with(&end), "{text}");

    let (status, messages) = post(&engine, "", &archive);
    assert_eq!(status, 200);
    let last = messages.last().unwrap();
    let message =
        "The command '/bin/sh -c echo out; echo err >&2; test $A = 1' returned a non-zero code: 2";
    assert_eq!(last["error"], json!(message));
    assert_eq!(last["errorDetail"], json!({"code": 2, "message": message}));
}

#[test]
fn a_build_leaves_nothing_but_its_image() {
    let Some(engine) = engine("what a build leaves") else {
        return;
    };
    if engine.is_foreign() {
        return;
    }
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo x > /y\nRUN false\n")]);
    assert_eq!(classic(&engine, folder.path(), &[]).code, 1);
    let names = |path: &str| {
        let entries = std::fs::read_dir(engine.data_root().join(path));
        entries.map_or(0, Iterator::count)
    };
    assert_eq!(names("builder/contexts"), 0);
    assert_eq!(names("steps"), 0);
    assert_eq!(Cli::Docker.run(&engine, &["ps", "-aq"]).ok(), "");
}

/// Begins a build over a connection of its own; gives what it answers, as far as it is read.
fn begin(engine: &Engine, query: &str, archive: &[u8]) -> std::io::BufReader<UnixStream> {
    let mut stream = UnixStream::connect(engine.socket()).unwrap();
    let length = archive.len();
    let head = format!(
        "POST /v1.47/build?{query} HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(archive).unwrap();
    std::io::BufReader::new(stream)
}

/// Reads until a line has `text`.
fn until(answer: &mut impl BufRead, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        assert!(answer.read_line(&mut seen).unwrap() > 0, "ended: {seen}");
    }
}

#[test]
fn a_build_is_cancelled_by_its_id_or_by_who_hangs_up() {
    let Some(mut engine) = engine("a cancelled build") else {
        return;
    };
    if engine.is_foreign() {
        // Only BuildKit's builds are cancelled by an id there.
        return;
    }
    let archive = tar(&[("Dockerfile", "FROM busybox\nRUN echo begun; sleep 1000\n")]);
    let mut answer = begin(&engine, "buildid=mine", &archive);
    until(&mut answer, "\"begun");
    let cancelled = engine.client().post("/v1.47/build/cancel?id=mine", None);
    assert_eq!(cancelled.unwrap().status, 200);
    until(&mut answer, "context canceled");
    let mut answer = begin(&engine, "", &archive);
    until(&mut answer, "\"begun");
    drop(answer);
    // The engine waits for the end of all commands before its own.
    assert!(engine.stop().success());
    let steps = std::fs::read_dir(engine.data_root().join("steps"));
    assert_eq!(steps.map_or(0, Iterator::count), 0);
}

#[test]
fn the_command_of_a_build_ends_with_the_next_start_of_a_killed_engine() {
    let Some(mut engine) = engine("a build whose engine is killed") else {
        return;
    };
    if engine.is_foreign() {
        return;
    }
    let dockerfile = "FROM busybox\nRUN --mount=type=tmpfs,target=/a/b echo begun; sleep 1000\n";
    let archive = tar(&[("Dockerfile", dockerfile)]);
    let mut answer = begin(&engine, "", &archive);
    until(&mut answer, "\"begun");
    let count = |path: PathBuf| std::fs::read_dir(path).map_or(0, Iterator::count);
    let (run, scratch) = (
        engine.root().join("run/steps"),
        engine.data_root().join("steps"),
    );
    assert_eq!((count(run.clone()), count(scratch.clone())), (1, 1));
    engine.kill9();
    engine.boot();
    assert_eq!((count(run), count(scratch)), (0, 0));
    assert_eq!(count(engine.data_root().join("builder/contexts")), 0);
    let cgroups = engine.cgroups();
    let left = cgroups
        .iter()
        .filter(|group| group.to_string_lossy().contains("build-"));
    assert_eq!(left.count(), 0, "{cgroups:?}");
    let (status, messages) = post(
        &engine,
        "",
        &tar(&[("Dockerfile", "FROM busybox\nRUN true\n")]),
    );
    assert_eq!(status, 200);
    assert!(printed(&messages).contains("Successfully built"));
}

#[test]
fn places_of_mounts_are_not_part_of_the_layer() {
    let Some(engine) = engine("places of mounts") else {
        return;
    };
    if engine.is_foreign() {
        // The classic builder has no mounts.
        return;
    }
    let dockerfile = "FROM busybox AS one\n\
        RUN mkdir -m 700 /kept && touch -d @1000000000 /kept\n\
        RUN --mount=type=tmpfs,target=/kept/new --mount=type=cache,target=/made/here \
        --mount=from=busybox,source=/bin/busybox,target=/kept/file echo x > /made/here/y\n\
        RUN ls -A /kept /made 2>&1; stat -c '%a %Y' /kept\n";
    let (status, messages) = post(&engine, "", &tar(&[("Dockerfile", dockerfile)]));
    assert_eq!(status, 200);
    let text = printed(&messages);
    assert!(text.contains("/made: No such file or directory"), "{text}");
    assert!(text.contains("/kept:\n"), "{text}");
    assert!(text.contains("700 1000000000\n"), "{text}");
}

#[test]
fn what_was_built_and_pruned_is_told() {
    let Some(engine) = engine("events of builds") else {
        return;
    };
    let archive = tar(&[("Dockerfile", "FROM busybox\nRUN echo told > /x\n")]);
    let (status, _) = post(&engine, "t=told:1", &archive);
    assert_eq!(status, 200);
    let pruned = engine.client().post("/v1.47/build/prune?all=1", None);
    assert_eq!(pruned.unwrap().status, 200);
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let path = format!("/v1.47/events?since=1&until={}", now + 1);
    let events = engine.client().get(&path).unwrap().text();
    let told: Vec<String> = events
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|event| {
            let name = event["Actor"]["Attributes"]["name"].as_str();
            let words = [&event["Type"], &event["Action"]].map(|word| word.as_str().unwrap());
            format!("{} {} {}", words[0], words[1], name.unwrap_or_default())
        })
        .collect();
    let has = |text: &str| told.iter().any(|event| event.starts_with(text));
    assert!(has("image tag told:1"), "{told:?}");
    assert!(has("builder prune"), "{told:?}");
    // Its commands are no containers.
    assert_eq!(has("container"), engine.is_foreign(), "{told:?}");
}

#[test]
fn who_begins_with_http2_is_answered_in_it() {
    let Some(engine) = engine("gRPC on the API's socket") else {
        return;
    };
    if engine.is_foreign() {
        // Docker's engines do so since 29.
        return;
    }
    let mut stream = UnixStream::connect(engine.socket()).unwrap();
    // In pieces, the first of which does not say it all.
    for piece in [
        &b"PRI * HT"[..],
        b"TP/2.0\r\n\r\nSM\r\n\r\n",
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    ] {
        stream.write_all(piece).unwrap();
    }
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(
        (head[3], &head[5..]),
        (4, &[0; 4][..]),
        "settings come first"
    );
    assert_eq!(engine.client().get("/_ping").unwrap().text(), "OK");
}
