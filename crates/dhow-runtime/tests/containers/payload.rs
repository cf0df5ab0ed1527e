//! What runs inside the containers: small commands, so that no other program is needed there.

use std::io::{Read, Write};
use std::process::ExitCode;

/// Runs the commands in `args`, separated by `;`.
pub(crate) fn main(args: &[String]) -> ExitCode {
    for command in args.split(|word| word == ";") {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        if let Err(error) = run(&words) {
            println!("error: {error}");
        }
    }
    ExitCode::SUCCESS
}

#[allow(clippy::too_many_lines, reason = "one line a command")]
fn run(words: &[&str]) -> std::io::Result<()> {
    match words {
        ["exit", code] => std::process::exit(code.parse().unwrap()),
        ["echo", rest @ ..] => println!("{}", rest.join(" ")),
        ["warn", rest @ ..] => eprintln!("{}", rest.join(" ")),
        ["cat", path] => print!("{}", std::fs::read_to_string(path)?),
        ["copy"] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            print!("{text}");
        }
        ["line"] => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            print!("got {line}");
        }
        ["env"] => std::env::vars().for_each(|(key, value)| println!("{key}={value}")),
        ["ls", path] => {
            let mut names: Vec<_> = std::fs::read_dir(path)?
                .map(|entry| entry.map(|entry| entry.file_name().into_string().unwrap()))
                .collect::<Result<_, _>>()?;
            names.sort();
            println!("{}", names.join(" "));
        }
        ["write", path, text] => std::fs::write(path, text)?,
        ["stat", path] => {
            use std::os::unix::fs::MetadataExt;
            let stat = std::fs::metadata(path)?;
            println!(
                "{:o} {} {} {:x}",
                stat.mode(),
                stat.uid(),
                stat.gid(),
                stat.rdev()
            );
        }
        ["link", path] => println!("{}", std::fs::read_link(path)?.display()),
        ["status", key] => {
            let status = std::fs::read_to_string("/proc/self/status")?;
            let line = status
                .lines()
                .find(|line| line.starts_with(&format!("{key}:")));
            println!("{}", line.unwrap_or("none"));
        }
        ["pwd"] => println!("{}", std::env::current_dir()?.display()),
        ["fds"] => {
            let open = (0..64)
                .filter(|fd| std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok());
            println!("{:?}", open.collect::<Vec<i32>>());
        }
        ["mkdir", path] => std::fs::create_dir(path)?,
        ["open", path] => drop(std::fs::File::open(path)?),
        ["allocate", megabytes] => {
            let megabytes: usize = megabytes.parse().unwrap();
            let mut memory = vec![0u8; megabytes << 20];
            memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            println!("allocated {}", memory.len());
            std::mem::forget(memory);
        }
        ["unshare"] => dhow_sys::namespace::unshare(dhow_sys::namespace::kind::UTS)?,
        ["keyctl"] => {
            println!("{}", dhow_sys::identity::join_session_keyring(c"x")?);
        }
        ["size"] => {
            let size = rustix::termios::tcgetwinsize(std::io::stdin())?;
            println!("{} {}", size.ws_row, size.ws_col);
        }
        ["tty"] => println!("{}", std::fs::read_link("/proc/self/fd/0")?.display()),
        ["limit", number] => {
            let (soft, hard) = dhow_sys::exec::resource_limit(number.parse().unwrap())?;
            println!("{soft} {hard}");
        }
        ["sleep"] => loop {
            std::thread::park();
        },
        ["fork"] => {
            // A grandchild that stays: for killing all, and for reaping.
            if let dhow_sys::clone::Cloned::Child = dhow_sys::clone::clone3(&Default::default())? {
                loop {
                    std::thread::park();
                }
            }
        }
        ["orphan"] => {
            use dhow_sys::clone::{Cloned, clone3};
            if let Cloned::Child = clone3(&Default::default())? {
                let _ = clone3(&Default::default());
                dhow_sys::exec::exit(0);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        other => println!("unknown command {other:?}"),
    }
    std::io::stdout().flush()
}
