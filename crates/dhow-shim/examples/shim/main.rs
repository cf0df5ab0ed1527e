//! A program for the tests: `shim` and `logger` as in the real one, and as `payload` what runs in the tests' containers.

mod simulated;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Command, ExitCode, Stdio};

use dhow_runtime::Runtime;
use dhow_shim::{RuntimeChoice, ShimConfig};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|verb| verb == "shim") {
        return dhow_shim::main_with(&args[2..], Some(runtime));
    }
    if args.get(1).is_some_and(|verb| verb == "logger") {
        return dhow_shim::logger::main(&args[2..]);
    }
    match &args[..] {
        [_, verb, config] if verb == "daemon" => {
            return daemon(std::path::Path::new(config)).unwrap_or(ExitCode::from(94));
        }
        _ => {}
    }
    let words: Vec<String> = args
        .iter()
        .skip(1)
        .filter_map(|word| word.to_str().map(String::from))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    payload(&words).unwrap_or(ExitCode::from(99))
}

/// The runtime `simulated` is ours, others are real.
fn runtime(config: &ShimConfig) -> Option<Box<dyn Runtime>> {
    match &config.runtime {
        RuntimeChoice::External { program } if program.as_os_str() == "simulated" => {
            Some(Box::new(simulated::Plain::default()))
        }
        _ => None,
    }
}

/// Starts a container, says its shim's pid, and reads a little of its output until it is killed.
fn daemon(config: &std::path::Path) -> io::Result<ExitCode> {
    let config: ShimConfig = serde_json::from_slice(&std::fs::read(config)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let spawned = dhow_shim::Shim::spawn(&std::env::current_exe()?, &config, Vec::new()).await;
        let (shim, created) = spawned.map_err(io::Error::other)?;
        let all = dhow_shim::AttachRequest {
            stdin: false,
            stdout: true,
            stderr: true,
        };
        let mut stream = shim.attach(all).await.map_err(io::Error::other)?;
        shim.start().await.map_err(io::Error::other)?;
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut vec![0; 100_000]).await?;
        writeln!(io::stdout(), "{}", created.shim_pid)?;
        std::future::pending().await
    })
}

fn payload(words: &[&str]) -> io::Result<ExitCode> {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    match words {
        ["exit", code] => return Ok(ExitCode::from(code.parse::<u8>().unwrap_or(98))),
        ["print", text] => writeln!(out, "{text}")?,
        ["both"] => {
            writeln!(out, "to stdout")?;
            writeln!(err, "to stderr")?;
        }
        // Numbered lines, then the exit code.
        ["count", lines, code] => {
            let mut out = io::BufWriter::with_capacity(64 * 1024, out.lock());
            for line in 0..lines.parse::<u64>().unwrap_or(0) {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
            return Ok(ExitCode::from(code.parse::<u8>().unwrap_or(98)));
        }
        // A number of bytes in lines of 100, as fast as it goes.
        ["flood", bytes] => {
            let block = format!("{}\n", "x".repeat(99)).repeat(640);
            for _ in 0..bytes.parse::<usize>().unwrap_or(0) / block.len() {
                out.lock().write_all(block.as_bytes())?;
            }
        }
        ["cat"] => {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = io::stdin().lock().read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                out.lock().write_all(&buffer[..read])?;
                out.flush()?;
            }
        }
        ["sleep"] => loop {
            std::thread::park();
        },
        // Stays for as long as somebody could read what it prints.
        ["linger"] => {
            let out = io::stdout();
            let mut hangup = [rustix::event::PollFd::new(
                &out,
                rustix::event::PollFlags::empty(),
            )];
            rustix::event::poll(&mut hangup, None)?;
        }
        // Ends, and leaves behind a child that holds the streams.
        ["leave", program] => {
            Command::new(program)
                .args(["x", "linger"])
                .stdin(Stdio::null())
                .spawn()?;
            writeln!(out, "left")?;
        }
        ["size"] => {
            let size = rustix::termios::tcgetwinsize(io::stdout())?;
            writeln!(out, "{}x{}", size.ws_row, size.ws_col)?;
        }
        // Touches so many megabytes.
        ["eat", megabytes] => {
            let size = megabytes.parse::<usize>().unwrap_or(0) << 20;
            let eaten = vec![1_u8; size];
            writeln!(out, "{}", eaten.iter().filter(|byte| **byte == 1).count())?;
        }
        ["fds"] => writeln!(out, "{}", std::fs::read_dir("/proc/self/fd")?.count())?,
        // Starts with a word of its own, for children told apart by their first argument.
        ["x", rest @ ..] => return payload(rest),
        _ => return Ok(ExitCode::from(97)),
    }
    Ok(ExitCode::SUCCESS)
}
