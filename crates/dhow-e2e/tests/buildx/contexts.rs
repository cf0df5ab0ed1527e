//! Where files come from: named contexts, standard input, other targets of a bake.

use dhow_testkit::Output;

use super::world::{build, cached, docker, engine, folder, run};

#[test]
fn contexts_have_names() {
    let Some(engine) = engine("named contexts with buildx") else {
        return;
    };
    let folder = folder(&[
        (
            "main/Dockerfile",
            "FROM base\nCOPY --from=other a /b\nCOPY a /a\n",
        ),
        ("main/a", "main\n"),
        ("main/.dockerignore", "ignored\n"),
        ("main/ignored", "x"),
        ("other/a", "other\n"),
    ]);
    let words = [
        "--build-context=base=docker-image://busybox",
        "--build-context=other=other",
        "-t",
        "n",
        "main",
    ];
    let _ = build(&engine, folder.path(), &words).ok();
    let ran = run(
        &engine,
        folder.path(),
        &["run", "--rm", "n", "cat", "/a", "/b"],
    );
    assert_eq!(ran.ok(), "main\nother");
}

#[test]
fn standard_input_is_a_dockerfile_or_an_archive() {
    let Some(engine) = engine("contexts from standard input with buildx") else {
        return;
    };
    let folder = folder(&[("a", "x\n")]);
    let from = |input: &[u8], words: &[&str]| {
        let mut command = docker(&engine, folder.path());
        command
            .args(["buildx", "build", "--progress=plain"])
            .args(words);
        Output::of(&mut command, input)
    };
    let _ = from(b"FROM busybox\nRUN echo one > /o\n", &["-t", "d", "-"]).ok();
    let ran = run(&engine, folder.path(), &["run", "--rm", "d", "cat", "/o"]);
    assert_eq!(ran.ok(), "one");
    let _ = from(b"FROM busybox\nCOPY a /a\n", &["-t", "f", "-f", "-", "."]).ok();
    let ran = run(&engine, folder.path(), &["run", "--rm", "f", "cat", "/a"]);
    assert_eq!(ran.ok(), "x");
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [
        ("sub/Dockerfile", "FROM busybox\nCOPY . /c\n"),
        ("b", "y\n"),
        (".dockerignore", "sub\n"),
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
    let ran = run(
        &engine,
        folder.path(),
        &["run", "--rm", "t", "ls", "-A", "/c"],
    );
    assert_eq!(ran.ok(), ".dockerignore\nb");
}

#[test]
fn targets_of_a_bake_build_on_each_other() {
    let Some(engine) = engine("bake") else {
        return;
    };
    let folder = folder(&[
        (
            "docker-bake.hcl",
            r#"group "default" { targets = ["app", "tool"] }
               target "base" { dockerfile = "base.Dockerfile" }
               target "app" {
                 dockerfile = "app.Dockerfile"
                 contexts = { base = "target:base" }
                 args = { WHO = "bake" }
                 tags = ["app"]
               }
               target "tool" {
                 dockerfile = "tool.Dockerfile"
                 tags = ["tool"]
               }"#,
        ),
        ("tool.Dockerfile", "FROM busybox\nRUN echo tool > /t\n"),
        ("base.Dockerfile", "FROM busybox\nRUN echo base > /base\n"),
        (
            "app.Dockerfile",
            "FROM base\nARG WHO\nRUN echo $WHO > /who\n",
        ),
    ]);
    let bake = run(
        &engine,
        folder.path(),
        &["buildx", "bake", "--progress=plain"],
    );
    let _ = bake.ok();
    let ran = run(
        &engine,
        folder.path(),
        &["run", "--rm", "app", "cat", "/base", "/who"],
    );
    assert_eq!(ran.ok(), "base\nbake");
    let ran = run(
        &engine,
        folder.path(),
        &["run", "--rm", "tool", "cat", "/t"],
    );
    assert_eq!(ran.ok(), "tool");
}

#[test]
fn a_context_of_many_files_is_taken_and_kept() {
    const FILES: usize = 12_000;
    let Some(engine) = engine("a large context with buildx") else {
        return;
    };
    let dockerfile = "FROM busybox\nARG N\nRUN --mount=type=bind,target=/s ls /s/d | wc -l > /n\n";
    let folder = folder(&[("Dockerfile", dockerfile), ("d/0", "x")]);
    for number in 1..FILES {
        std::fs::write(folder.path().join(format!("d/{number}")), "x").unwrap();
    }
    let _ = build(&engine, folder.path(), &["-t", "many", "."]).ok();
    let ran = run(
        &engine,
        folder.path(),
        &["run", "--rm", "many", "cat", "/n"],
    );
    assert_eq!(ran.ok(), FILES.to_string());
    std::fs::write(folder.path().join("d/7"), "changed").unwrap();
    let again = build(&engine, folder.path(), &["-t", "many", "."]);
    let _ = again.ok();
    assert!(cached(&again.stderr).is_empty(), "{}", again.stderr);
}
