//! `dhow build`: what it prints, beside the official buildx; what it serves to the engine; where the results go.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use dhow_testkit::{Cli, Engine, Output, install_plugins};
use regex::Regex;
use serde_json::Value;

/// An engine with busybox, or nothing where the test can't be run.
fn engine(what: &str) -> Option<Engine> {
    if !dhow_testkit::root_or_skip(what) {
        return None;
    }
    let engine = Engine::start();
    engine.import_busybox();
    Some(engine)
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

fn dhow(engine: &Engine, folder: &Path) -> Command {
    let mut command = Cli::Dhow.command(engine.socket(), engine.home());
    command.current_dir(folder);
    command
}

fn run(engine: &Engine, folder: &Path, words: &[&str]) -> Output {
    Output::of(dhow(engine, folder).args(words), b"")
}

fn build(engine: &Engine, folder: &Path, words: &[&str]) -> Output {
    run(engine, folder, &[&["build"], words].concat())
}

/// What a file of an image has in it.
fn shown(engine: &Engine, image: &str, path: &str) -> String {
    let words = ["run", "--rm", image, "cat", path];
    run(engine, Path::new("/"), &words).ok().to_owned()
}

/// Progress without what is different each time.
fn normal(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, put) in [
        ("sha256:[0-9a-f]{64}", "ID"),
        (r"[0-9.]+k?B( [0-9.]+s)? done", "SIZE done"),
        (r" [0-9]+\.[0-9]s", " TIME"),
        (r"(?m)^(#[0-9]+ )?[0-9]+\.[0-9]{3} ", "$1AT "),
    ] {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, put).into_owned();
    }
    text.replace(" TIME done", " done")
}

#[test]
fn progress_and_failures_are_those_of_buildx() {
    let Some(engine) = engine("our build beside buildx") else {
        return;
    };
    install_plugins(engine.home());
    for (name, dockerfile) in [
        (
            "fails",
            "FROM busybox\nCOPY a /a\nRUN cat /a; echo err >&2; exit 3\nCMD x\n",
        ),
        (
            "works",
            "FROM busybox AS b\nCOPY a /a\nRUN cat /a\nFROM scratch\nCOPY --from=b /a /\n",
        ),
        ("is none", "FROM busybox\nRUNN x\n"),
        ("is empty", ""),
    ] {
        let folder = folder(&[("Dockerfile", dockerfile), ("a", "hello\n")]);
        let words = ["build", "--progress=plain", "--no-cache", "-t", "x:1", "."];
        let ours = run(&engine, folder.path(), &words);
        let mut command = Cli::Docker.command(engine.socket(), engine.home());
        command.current_dir(folder.path()).arg("buildx").args(words);
        command.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
        command.env("NO_COLOR", "1");
        let theirs = Output::of(&mut command, b"");
        assert_eq!(ours.code, theirs.code, "{name}");
        // buildx colours even where there is no terminal.
        let theirs = theirs.stderr.replace("\x1b[33m", "").replace("\x1b[0m", "");
        let (ours, theirs) = (steps(&ours.stderr), steps(&theirs));
        assert_eq!(ours, theirs, "{name}");
    }
}

/// The steps in the order of their names, as what goes on at once may be told in any order, and what follows them.
fn steps(progress: &str) -> Vec<String> {
    let text = normal(progress);
    let mut steps: Vec<String> = text
        .split("\n\n")
        .map(|step| {
            let numbers = Regex::new("(?m)^#[0-9]+ ").unwrap();
            numbers.replace_all(step, "").trim().to_owned()
        })
        .collect();
    steps.sort();
    steps
}

#[test]
fn a_build_gives_an_image_its_id_and_metadata() {
    let Some(engine) = engine("our build") else {
        return;
    };
    let folder = folder(&[
        (
            "Dockerfile",
            "FROM busybox\nARG A=no\nARG FROM_HERE\nCOPY a /a\nRUN echo $A $FROM_HERE > /b\n",
        ),
        ("a", "hello\n"),
        ("ignored", "x"),
        (".dockerignore", "ignored\n"),
    ]);
    let here = folder.path();
    let mut command = dhow(&engine, here);
    command.env("FROM_HERE", "there").args([
        "build",
        "-t",
        "one:1",
        "-t",
        "one:2",
        "--build-arg=A=yes",
        "--build-arg=FROM_HERE",
        "--label=l=v",
        "--iidfile=iid",
        "--metadata-file=meta.json",
        ".",
    ]);
    let _ = Output::of(&mut command, b"").ok();
    assert_eq!(shown(&engine, "one:2", "/b"), "yes there");
    let id = std::fs::read_to_string(here.join("iid")).unwrap();
    let words = [
        "image",
        "inspect",
        "-f",
        "{{.Id}} {{.Config.Labels.l}}",
        "one:1",
    ];
    assert_eq!(run(&engine, here, &words).ok(), format!("{id} v"));
    let metadata = std::fs::read_to_string(here.join("meta.json")).unwrap();
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["containerimage.digest"], id.as_str());
    assert_eq!(
        metadata["image.name"],
        "docker.io/library/one:1,docker.io/library/one:2"
    );
    // The same again is there already, and has the same id.
    let words = [
        "build",
        "-q",
        "--build-arg=A=yes",
        "--build-arg=FROM_HERE=there",
        "--label=l=v",
        ".",
    ];
    let quiet = run(&engine, here, &words);
    assert_eq!((quiet.ok(), quiet.stderr.as_str()), (id.as_str(), ""));
    // Other names for the same command.
    for name in [
        &["image", "build"][..],
        &["builder", "build"],
        &["buildx", "build"],
    ] {
        let words = [name, &["-q", "--label=l=w", "."]].concat();
        assert!(
            run(&engine, here, &words).ok().starts_with("sha256:"),
            "{name:?}"
        );
    }
}

#[test]
fn secrets_and_agents_are_served() {
    let Some(engine) = engine("secrets of our build") else {
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
    let mut command = dhow(&engine, folder.path());
    command.env("SECRET", "from the environment");
    command.env("SSH_AUTH_SOCK", &agent);
    command.args([
        "build",
        "--secret=id=f,src=secret",
        "--secret=id=e,env=SECRET",
    ]);
    command.args(["--ssh=default", "-t", "s", "."]);
    let built = Output::of(&mut command, b"");
    let _ = built.ok();
    assert!(!built.stderr.contains("from a file"));
    assert_eq!(shown(&engine, "s", "/f"), "from a file");
    assert_eq!(shown(&engine, "s", "/e"), "from the environment");
    assert_eq!(shown(&engine, "s", "/s"), "agent");
    let required = "FROM busybox\nRUN --mount=type=secret,id=x,required true\n";
    std::fs::write(folder.path().join("Dockerfile"), required).unwrap();
    let failed = build(&engine, folder.path(), &["."]);
    assert_eq!(failed.code, 1);
    assert!(
        failed.stderr.contains("secret x: not found"),
        "{}",
        failed.stderr
    );
}

#[test]
fn results_go_where_they_are_wanted() {
    let Some(engine) = engine("outputs of our build") else {
        return;
    };
    let dockerfile = "FROM scratch\nCOPY d /d\n";
    let folder = folder(&[("Dockerfile", dockerfile), ("d/f", "x\n")]);
    let here = folder.path();
    std::os::unix::fs::symlink("f", here.join("d/l")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o750);
    std::fs::set_permissions(here.join("d/f"), mode).unwrap();
    std::fs::create_dir_all(here.join("out/d")).unwrap();
    std::fs::write(here.join("out/d/stays"), "").unwrap();
    let _ = build(&engine, here, &["-o", "out", "."]).ok();
    assert_eq!(
        std::fs::read_to_string(here.join("out/d/f")).unwrap(),
        "x\n"
    );
    let link = std::fs::read_link(here.join("out/d/l")).unwrap();
    assert_eq!(link.to_str(), Some("f"));
    let mode = here.join("out/d/f").metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o750);
    assert!(here.join("out/d/stays").is_file());
    assert_eq!(std::fs::read_dir(here.join("out")).unwrap().count(), 1);

    let _ = build(&engine, here, &["-o", "type=tar,dest=out.tar", "."]).ok();
    let all = std::fs::read(here.join("out.tar")).unwrap();
    assert_eq!(names(&all), ["d/", "d/f", "d/l"]);
    let mut command = dhow(&engine, here);
    let stdout = command
        .args(["build", "-o", "-", "."])
        .output()
        .unwrap()
        .stdout;
    assert_eq!(names(&stdout), ["d/", "d/f", "d/l"]);
    let _ = build(&engine, here, &["-o", "type=oci,dest=oci.tar", "."]).ok();
    let all = std::fs::read(here.join("oci.tar")).unwrap();
    assert!(names(&all).contains(&"index.json".to_owned()));
    let _ = build(
        &engine,
        here,
        &["-t", "l:1", "-o", "type=docker,dest=d.tar", "."],
    )
    .ok();
    let loaded = run(&engine, here, &["load", "-i", "d.tar"]);
    assert!(loaded.ok().contains("l:1"), "{}", loaded.stdout);
    let failed = build(&engine, here, &["-o", "type=tar,dest=none/out.tar", "."]);
    assert_eq!(failed.code, 1);
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap();
    let names = entries.map(|entry| entry.unwrap().path().unwrap().display().to_string());
    names.collect()
}

#[test]
fn contexts_come_from_anywhere() {
    let Some(engine) = engine("contexts of our build") else {
        return;
    };
    let folder = folder(&[
        ("a", "x\n"),
        ("main/Dockerfile", "FROM base\nCOPY --from=other a /b\n"),
        ("other/a", "other\n"),
        ("elsewhere/My.Dockerfile", "FROM busybox\nCOPY a /a\n"),
    ]);
    let here = folder.path();
    let from = |input: &[u8], words: &[&str]| {
        Output::of(dhow(&engine, here).arg("build").args(words), input)
    };
    let _ = from(b"FROM busybox\nRUN echo one > /o\n", &["-t", "d", "-"]).ok();
    assert_eq!(shown(&engine, "d", "/o"), "one");
    let _ = from(b"FROM busybox\nCOPY a /a\n", &["-t", "f", "-f", "-", "."]).ok();
    assert_eq!(shown(&engine, "f", "/a"), "x");
    let _ = from(b"", &["-t", "g", "-f", "elsewhere/My.Dockerfile", "."]).ok();
    assert_eq!(shown(&engine, "g", "/a"), "x");
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [
        ("sub/Dockerfile", "FROM busybox\nCOPY b /b\n"),
        ("b", "y\n"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    let archive = archive.into_inner().unwrap();
    let _ = from(&archive, &["-t", "t", "-f", "sub/Dockerfile", "-"]).ok();
    assert_eq!(shown(&engine, "t", "/b"), "y");
    let words = [
        "--build-context=base=docker-image://busybox",
        "--build-context=other=other",
        "-t",
        "n",
        "main",
    ];
    let _ = from(b"", &words).ok();
    assert_eq!(shown(&engine, "n", "/b"), "other");
    for (words, text) in [
        (
            &["nosuch"][..],
            "unable to prepare context: path \"nosuch\" not found",
        ),
        (
            &["-f", "none", "."],
            "failed to read dockerfile: open none: no such file or directory",
        ),
        (
            &["-f", "-", "-"],
            "can't use stdin for both build context and dockerfile",
        ),
        (&["--progress=x", "."], "invalid progress mode x"),
        (
            &["--secret=id=x,src=none", "."],
            "failed to stat none: stat none: no such file or directory",
        ),
        (
            &["-t", "BAD NAME", "."],
            "invalid tag \"BAD NAME\": invalid reference format",
        ),
        (
            &["--progress=tty", "."],
            "failed to get console: provided file is not a console",
        ),
        (&["--network=x", "."], "network mode \"x\" not supported"),
        (&["--memory=1g", "."], "not implemented"),
        (&["--builder=other", "."], "no builder \"other\" found"),
    ] {
        let failed = from(b"", words);
        assert!(failed.code != 0, "{words:?}");
        assert!(failed.stderr.contains(text), "{words:?}: {}", failed.stderr);
    }
}

#[test]
fn an_interrupted_build_leaves_nothing_running() {
    let Some(engine) = engine("an interrupted build of ours") else {
        return;
    };
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo begun && sleep 1000\n")]);
    let mut command = dhow(&engine, folder.path());
    command.args(["build", "--progress=plain", "."]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut lines = stderr.lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with(" begun")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<_> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.ends_with("CANCELED")),
        "{rest:?}"
    );
    // The engine goes on, and nothing of the step is left: the engine's end checks it.
    std::fs::write(
        folder.path().join("Dockerfile"),
        "FROM busybox\nRUN echo done > /d\n",
    )
    .unwrap();
    let _ = build(&engine, folder.path(), &["-t", "next", "."]).ok();
    assert_eq!(shown(&engine, "next", "/d"), "done");
}

#[test]
fn checks_and_warnings_are_told() {
    let Some(engine) = engine("checks of our build") else {
        return;
    };
    let folder = folder(&[(
        "Dockerfile",
        "FROM busybox AS one\nFROM busybox\nCMD echo\n",
    )]);
    let here = folder.path();
    let built = build(&engine, here, &["."]);
    let _ = built.ok();
    let title = "\n 1 warning found (use docker --debug to expand):\n - JSONArgsRecommended: ";
    assert!(built.stderr.contains(title), "{}", built.stderr);
    let checked = build(&engine, here, &["--check", "."]);
    assert_eq!(checked.code, 1);
    let begin =
        "Check complete, 1 warning has been found!\n\nWARNING: JSONArgsRecommended - https://";
    assert!(checked.stdout.starts_with(begin), "{}", checked.stdout);
    let targets = build(&engine, here, &["--call=targets", "."]);
    assert!(targets.ok().starts_with("TARGET"), "{}", targets.stdout);
    let raw = build(&engine, here, &["--progress=rawjson", "--no-cache", "."]);
    let _ = raw.ok();
    let messages = raw.stderr.lines().map(serde_json::from_str::<Value>);
    let messages: Vec<Value> = messages.map(Result::unwrap).collect();
    assert!(
        messages
            .iter()
            .any(|message| message["vertexes"][0]["name"].is_string())
    );
}

#[test]
fn the_cache_is_listed_and_pruned() {
    let Some(engine) = engine("our build's cache") else {
        return;
    };
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo kept > /k\n")]);
    let here = folder.path();
    let _ = build(&engine, here, &["-q", "."]).ok();
    let held = run(&engine, here, &["buildx", "du"]);
    let header = "ID                          RECLAIMABLE   SIZE      LAST ACCESSED\n";
    assert!(held.stdout.starts_with(header), "{}", held.stdout);
    let verbose = run(&engine, here, &["buildx", "du", "--verbose"]);
    let described = "Description:\t[2/2] RUN echo kept > /k\n";
    assert!(verbose.ok().contains(described), "{}", verbose.stdout);
    let none = run(
        &engine,
        here,
        &["buildx", "du", "--filter=type=exec.cachemount"],
    );
    assert!(none.ok().ends_with("Total:\t\t0B"), "{}", none.stdout);
    let warned = run(&engine, here, &["builder", "prune"]);
    assert!(warned.stdout.ends_with("[y/N] "), "{}", warned.stdout);
    let pruned = run(&engine, here, &["builder", "prune", "-af"]);
    assert!(pruned.ok().contains("Total:\t"), "{}", pruned.stdout);
    let after = run(&engine, here, &["buildx", "du"]);
    assert!(after.ok().ends_with("Total:\t\t0B"), "{}", after.stdout);
    let listed = run(&engine, here, &["buildx", "ls"]);
    assert!(
        listed.ok().contains("default*      docker"),
        "{}",
        listed.stdout
    );
    let inspected = run(&engine, here, &["buildx", "inspect"]);
    assert!(
        inspected.ok().contains("Driver: docker"),
        "{}",
        inspected.stdout
    );
    let missing = run(&engine, here, &["buildx", "bake"]);
    assert_eq!(
        missing.stderr,
        "dhow: 'dhow buildx bake' is not implemented\n"
    );
}

#[test]
fn a_cache_in_a_folder_is_used_again() {
    let Some(engine) = engine("our build's cache in a folder") else {
        return;
    };
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo kept > /k\n")]);
    let here = folder.path();
    let to = ["--cache-to=type=local,dest=cache,mode=max", "."];
    let _ = build(&engine, here, &to).ok();
    assert!(here.join("cache/index.json").is_file());
    let _ = run(&engine, here, &["builder", "prune", "-af"]).ok();
    let from = ["--cache-from=type=local,src=cache", "-t", "again", "."];
    let again = build(&engine, here, &from);
    let _ = again.ok();
    let cached = Regex::new(r"(?m)^#[0-9]+ \[2/2\] RUN .*\n#[0-9]+ CACHED$").unwrap();
    assert!(cached.is_match(&again.stderr), "{}", again.stderr);
    assert_eq!(shown(&engine, "again", "/k"), "kept");
    let none = build(&engine, here, &["--cache-from=type=local,src=none", "."]);
    let _ = none.ok();
    assert!(
        none.stderr
            .contains("WARNING: local cache import at none not found")
    );
}

#[test]
fn a_terminal_gets_a_tree() {
    let Some(engine) = engine("our build on a terminal") else {
        return;
    };
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo hi; sleep 0.3\n")]);
    let command = dhow(&engine, folder.path());
    let words = command.get_args().map(|word| word.to_str().unwrap());
    let words: Vec<_> = words.collect();
    let program = command.get_program().to_str().unwrap();
    let line = format!("{program} {} build .", words.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_clear();
    script.current_dir(folder.path()).env("TERM", "xterm");
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap());
    }
    let shown = Output::of(&mut script, b"");
    let text = shown.ok();
    for expected in [
        "[+] Building",
        "│ 0.",
        "hi",
        "✓ [2/2] RUN echo hi",
        "FINISHED",
        "Built in ",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
