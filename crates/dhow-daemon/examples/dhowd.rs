//! The daemon without the command line, as this crate's own tests run it; the real program is `dhow`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().skip(1).collect();
    let role = args
        .first()
        .and_then(|role| role.to_str())
        .map(ToOwned::to_owned);
    match role.as_deref() {
        Some("shim") => dhow_shim::main(args.split_off(1)),
        Some("runtime") => dhow_runtime::main(args.split_off(1)),
        Some("init") => dhow_runtime::init::main(args.split_off(1)),
        Some("daemon") => dhow_daemon::main(args.split_off(1)),
        _ => dhow_daemon::main(args),
    }
}
