//! scratch
use std::ffi::OsString;
fn main() -> std::process::ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let rest = args.get(2..).unwrap_or_default().to_vec();
    if args[0].to_string_lossy().ends_with("docker-init") {
        return dhow_runtime::init::main(args[1..].to_vec());
    }
    match args.get(1).and_then(|a| a.to_str()) {
        Some("daemon") => dhow_daemon::main(rest),
        Some("shim") => dhow_shim::main(rest),
        Some("runtime") => dhow_runtime::main(rest),
        Some("init") => dhow_runtime::init::main(rest),
        _ => std::process::ExitCode::FAILURE,
    }
}
