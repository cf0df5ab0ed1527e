//! Plain builds: steps, cache, errors, secrets, agents, being given up.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use dhow_testkit::{Cli, Output};

use super::world::{build, cached, docker, engine, folder, run};

const DOCKERFILE: &str = "FROM busybox\nCOPY a /a\nRUN cat /a && echo from the step\n";

#[test]
fn a_build_is_told_and_its_image_runs() {
    let Some(engine) = engine("a build with buildx") else {
        return;
    };
    let folder = folder(&[("Dockerfile", DOCKERFILE), ("a", "hello\n")]);
    let metadata = folder.path().join("metadata.json");
    let iid = folder.path().join("iid");
    let first = build(
        &engine,
        folder.path(),
        &[
            "-t",
            "one:1",
            "--label",
            "l=v",
            "--metadata-file",
            metadata.to_str().unwrap(),
            "--iidfile",
            iid.to_str().unwrap(),
            ".",
        ],
    );
    let _ = first.ok();
    for expected in [
        "[internal] load build definition from Dockerfile",
        "[internal] load metadata for docker.io/library/busybox:latest",
        "[internal] load .dockerignore",
        "[internal] load build context",
        "[2/3] COPY a /a",
        "[3/3] RUN cat /a && echo from the step",
        "exporting to image",
        "naming to docker.io/library/one:1",
        " from the step",
        "transferring context: ",
    ] {
        assert!(
            first.stderr.contains(expected),
            "{expected}: {}",
            first.stderr
        );
    }
    let ran = run(
        &engine,
        folder.path(),
        &["run", "--rm", "one:1", "cat", "/a"],
    );
    assert_eq!(ran.ok(), "hello");
    let id = std::fs::read_to_string(iid).unwrap();
    let inspected = [
        "image",
        "inspect",
        "-f",
        "{{.RepoTags}} {{.Config.Labels.l}}",
        &id,
    ];
    assert_eq!(run(&engine, folder.path(), &inspected).ok(), "[one:1] v");
    let metadata = std::fs::read_to_string(metadata).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["image.name"], "docker.io/library/one:1");
    assert_eq!(metadata["containerimage.digest"], id.as_str());

    let second = build(&engine, folder.path(), &["-t", "one:2", "."]);
    let _ = second.ok();
    assert_eq!(cached(&second.stderr).len(), 2, "{}", second.stderr);
    std::fs::write(folder.path().join("a"), "changed\n").unwrap();
    let third = build(&engine, folder.path(), &["-t", "one:3", "."]);
    let _ = third.ok();
    assert!(cached(&third.stderr).is_empty(), "{}", third.stderr);
}

#[test]
fn a_failing_step_is_shown_where_it_stands() {
    let Some(engine) = engine("a failing build with buildx") else {
        return;
    };
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo first\nRUN exit 3\n")]);
    let failed = build(&engine, folder.path(), &["."]);
    assert_eq!(failed.code, 1);
    let lines = "Dockerfile:3\n--------------------\n   1 |     FROM busybox\n   2 |     RUN echo first\n   \
                 3 | >>> RUN exit 3\n   4 |     \n--------------------\nERROR: failed to build: failed to solve: \
                 process \"/bin/sh -c exit 3\" did not complete successfully: exit code: 3\n";
    assert!(failed.stderr.ends_with(lines), "{}", failed.stderr);
    std::fs::write(folder.path().join("Dockerfile"), "FROM busybox\nRUNN x\n").unwrap();
    let failed = build(&engine, folder.path(), &["."]);
    assert_eq!(failed.code, 1);
    let text = "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)";
    assert!(failed.stderr.contains(text), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("   2 | >>> RUNN x"),
        "{}",
        failed.stderr
    );
}

#[test]
fn the_terminal_and_json_are_served_as_well() {
    let Some(engine) = engine("progress of buildx") else {
        return;
    };
    let folder = folder(&[("Dockerfile", DOCKERFILE), ("a", "hello\n")]);
    let raw = run(
        &engine,
        folder.path(),
        &["buildx", "build", "--progress=rawjson", "."],
    );
    let _ = raw.ok();
    let messages = raw
        .stderr
        .lines()
        .map(serde_json::from_str::<serde_json::Value>);
    let messages: Vec<_> = messages.map(Result::unwrap).collect();
    let logged = messages.iter().any(|message| message.get("logs").is_some());
    assert!(logged, "{}", raw.stderr);
    // buildx draws on a terminal only.
    let command = docker(&engine, folder.path());
    let words = command.get_args().map(|word| word.to_str().unwrap());
    let words: Vec<_> = words.collect();
    let program = command.get_program().to_str().unwrap();
    let line = format!(
        "{program} {} buildx build --progress=tty .",
        words.join(" ")
    );
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_clear();
    script.current_dir(folder.path()).env("TERM", "xterm");
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap());
    }
    let tty = Output::of(&mut script, b"");
    assert!(tty.ok().contains("FINISHED"), "{}", tty.stdout);
}

#[test]
fn secrets_and_agents_come_from_the_client() {
    let Some(engine) = engine("secrets with buildx") else {
        return;
    };
    let folder = folder(&[
        ("secret", "from a file"),
        (
            "Dockerfile",
            "FROM busybox\n\
             RUN --mount=type=secret,id=f cat /run/secrets/f > /f\n\
             RUN --mount=type=secret,id=e,env=E echo \"$E\" > /e\n\
             RUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && echo agent > /s\n\
             RUN --mount=type=secret,id=none sh -c 'test ! -e /run/secrets/none'\n",
        ),
    ]);
    let agent = folder.path().join("agent.sock");
    let _listening = UnixListener::bind(&agent).unwrap();
    let mut command = docker(&engine, folder.path());
    command.env("SECRET", "from the environment").args([
        "buildx",
        "build",
        "--progress=plain",
        "--secret=id=f,src=secret",
        "--secret=id=e,env=SECRET",
        &format!("--ssh=default={}", agent.display()),
        "-t",
        "s",
        ".",
    ]);
    let built = Output::of(&mut command, b"");
    let _ = built.ok();
    assert!(!built.stderr.contains("from a file"));
    let shown = run(
        &engine,
        folder.path(),
        &["run", "--rm", "s", "cat", "/f", "/e", "/s"],
    );
    assert_eq!(shown.ok(), "from a filefrom the environment\nagent");
    let missing = "FROM busybox\nRUN --mount=type=secret,id=x,required true\n";
    std::fs::write(folder.path().join("Dockerfile"), missing).unwrap();
    let failed = build(&engine, folder.path(), &["."]);
    assert!(
        failed.stderr.contains("secret x: not found"),
        "{}",
        failed.stderr
    );
}

#[test]
fn an_interrupted_client_ends_the_build() {
    let Some(engine) = engine("an interrupted build with buildx") else {
        return;
    };
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo begun && sleep 1000\n")]);
    let mut command = docker(&engine, folder.path());
    command.args(["buildx", "build", "--progress=plain", "."]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut lines = stderr.lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with(" begun")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<_> = lines.collect();
    assert!(!child.wait().unwrap().success());
    assert!(
        rest.iter().any(|line| line.contains("canceled")),
        "{rest:?}"
    );
    // The engine goes on, and nothing of the step is left: the engine's end checks it.
    let next = folder_of_next(&engine);
    assert_eq!(next, "done");
}

fn folder_of_next(engine: &dhow_testkit::Engine) -> String {
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo done > /d\n")]);
    let _ = build(engine, folder.path(), &["-t", "next", "."]).ok();
    let ran = Cli::Docker.run(engine, &["run", "--rm", "next", "cat", "/d"]);
    ran.ok().to_owned()
}
