//! Builds the bundled image's program: one static file, by the compiler that builds everything else.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env as build, ffi::OsString};

#[allow(
    clippy::print_stdout,
    reason = "that is how a build script talks to cargo"
)]
fn main() -> ExitCode {
    const SOURCE: &str = "program/hello.rs";
    let setting = |name: &str| build::var_os(name).unwrap_or_default();
    let out = PathBuf::from(setting("OUT_DIR")).join("hello");
    let mut rustc = Command::new(setting("RUSTC"));
    rustc
        .args([
            "--edition",
            "2024",
            "--crate-name",
            "hello",
            "--crate-type",
            "bin",
        ])
        .args([
            "-C",
            "opt-level=s",
            "-C",
            "lto=fat",
            "-C",
            "codegen-units=1",
        ])
        .args(["-C", "panic=abort", "-C", "strip=symbols"])
        .args([
            "-C",
            "target-feature=+crt-static",
            "-C",
            "relocation-model=static",
        ])
        .arg("--target")
        .arg(setting("TARGET"))
        .arg("-o")
        .arg(&out)
        .arg(SOURCE);
    if let Some(linker) = build::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let status = rustc.status();
    // Cargo reads these lines from a build script's output.
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            println!("cargo::error=building {SOURCE}: rustc ended with {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("cargo::error=building {SOURCE}: {error}");
            ExitCode::FAILURE
        }
    }
}
