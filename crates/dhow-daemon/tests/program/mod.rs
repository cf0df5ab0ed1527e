//! This crate's own program: the daemon without the command line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program, built if it is not fresh: `cargo test --test …` does not build examples by itself.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let folder = test
            .parent()
            .and_then(Path::parent)
            .expect("a test is in deps")
            .to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "dhow-daemon",
            "--example",
            "dhowd",
        ]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo
            .status()
            .expect("cargo runs tests, so that it is there");
        assert!(built.success(), "the program does not build");
        folder.join("examples/dhowd")
    })
}
