//! What the tests share.

use std::path::Path;

use dhow_e2e::Bench;
use dhow_testkit::{Cli, Output};

/// Runs `test` on one engine: what a container can do does not depend on the command line.
pub(crate) fn on_an_engine(test: impl FnOnce(&Bench)) {
    if dhow_testkit::root_or_skip("a test of advisories") {
        test(&Bench::new(Cli::Dhow));
    }
}

/// Runs a script in a container with these options.
pub(crate) fn run(b: &Bench, options: &[&str], script: &str) -> Output {
    let mut words = vec!["run", "--rm"];
    words.extend(options);
    words.extend(["busybox", "sh", "-c", script]);
    b.words(&words)
}

/// As [`run`]; it must succeed, and gives what was printed.
pub(crate) fn ok(b: &Bench, options: &[&str], script: &str) -> String {
    let output = run(b, options, script);
    assert_eq!(output.code, 0, "{options:?} {script}: {}", output.stderr);
    output.stdout.trim().to_owned()
}

/// Makes an image of the busybox one and what `change` does to its folder; `changes` are instructions.
pub(crate) fn image(b: &Bench, name: &str, changes: &[&str], change: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let tar = std::fs::File::open(dhow_testkit::images::busybox_tar()).unwrap();
    tar::Archive::new(tar).unpack(root).unwrap();
    change(root);
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all(".", root).unwrap();
    let bytes = builder.into_inner().unwrap();
    let mut words = vec!["import"];
    for instruction in changes {
        words.extend(["-c", instruction]);
    }
    words.extend(["-", name]);
    let output = b.cli.run_with_input(&b.engine, &words, &bytes);
    assert_eq!(output.code, 0, "{}", output.stderr);
}
