//! Terminals and signals of a container that runs in the foreground.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use dhow_sys::signal::{SignalFd, SignalSet, block};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::Failed;
use crate::Stdio;

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;

/// A terminal of a container that goes on without us needs somebody to take its master, and only then.
pub(super) fn check(terminal: bool, socket: Option<&Path>, detached: bool) -> Result<(), Failed> {
    match (terminal && detached, socket) {
        (true, None) => {
            Err("cannot allocate tty if runc will detach without setting console socket".into())
        }
        (false, Some(_)) => {
            Err("cannot use console socket if runc will not detach or allocate tty".into())
        }
        _ => Ok(()),
    }
}

/// A terminal of the size asked for, or of ours.
pub(super) fn terminal(size: Option<crate::spec::Box>) -> Stdio<'static> {
    let cells = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
    match size {
        Some(size) => Stdio::Terminal {
            width: cells(size.width()),
            height: cells(size.height()),
        },
        None => {
            let own = tcgetwinsize(io::stdin());
            let (width, height) = own.map_or((0, 0), |own| (own.ws_col, own.ws_row));
            Stdio::Terminal { width, height }
        }
    }
}

/// Sends the master to the socket, as runc does: its name with the descriptor.
pub(super) fn send(socket: Option<&Path>, master: Option<OwnedFd>) -> Result<(), Failed> {
    let (Some(path), Some(master)) = (socket, master) else {
        return Ok(());
    };
    let sent = (|| -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        dhow_sys::fds::send_with_fds(&socket, b"/dev/ptmx", &[master.as_fd()])?;
        Ok(())
    })();
    Ok(sent.map_err(|error| format!("cannot send the terminal to {}: {error}", path.display()))?)
}

/// Blocks every signal that can be forwarded; call it before the container could end.
pub(super) fn catch_signals() -> Result<SignalFd, Failed> {
    let set = [4, 5, 7, 8, 11, 31]
        .iter()
        .fold(SignalSet::full(), |set, one| set.without(*one));
    block(&set)?;
    Ok(SignalFd::new(&set, true)?)
}

/// Forwards signals and, with a terminal, what is typed and shown, until the process ends; gives its exit code.
pub(super) fn relay(
    process: &OwnedFd,
    signals: &SignalFd,
    master: Option<&OwnedFd>,
) -> Result<ExitCode, Failed> {
    let _raw = master.map(|_| Raw::enter());
    let mut typing = master.is_some();
    let mut showing = master.is_some();
    loop {
        let stdin = io::stdin();
        let mut waiting = vec![
            PollFd::new(process, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        // One that has ended would be ready for ever.
        let shown = master.filter(|_| showing);
        waiting.extend(shown.map(|master| PollFd::new(master, PollFlags::IN)));
        waiting.extend(typing.then(|| PollFd::new(&stdin, PollFlags::IN)));
        match poll(&mut waiting, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = waiting
            .iter()
            .map(|one| !one.revents().is_empty())
            .collect();
        if ready[1] {
            forward(process, signals, master)?;
        }
        let more_shown = shown.is_some() && ready[2];
        if let Some(master) = shown.filter(|_| more_shown) {
            showing = copy(
                |buffer| Ok(rustix::io::read(master, buffer)?),
                &mut io::stdout(),
            );
        }
        if let Some(master) = master.filter(|_| typing && ready.last() == Some(&true)) {
            let mut to = std::fs::File::from(master.try_clone()?);
            typing = copy(|buffer| io::stdin().lock().read(buffer), &mut to);
        }
        // With all that was shown before the end.
        if ready[0] && !more_shown {
            return exit_code(process);
        }
    }
}

fn forward(process: &OwnedFd, signals: &SignalFd, master: Option<&OwnedFd>) -> Result<(), Failed> {
    while let Some(delivered) = signals.read()? {
        match (delivered.signal, master) {
            (SIGCHLD, _) => {}
            (SIGWINCH, Some(master)) => {
                if let Ok(size) = tcgetwinsize(io::stdin()) {
                    dhow_sys::pty::resize(master, size.ws_row, size.ws_col)?;
                }
            }
            // It may have ended just now.
            (signal, _) => drop(dhow_sys::signal::send(process, signal)),
        }
    }
    Ok(())
}

/// Copies what is there; false at the end.
fn copy(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>, to: &mut impl Write) -> bool {
    let mut buffer = [0; 8192];
    match read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => to
            .write_all(&buffer[..count])
            .and_then(|()| to.flush())
            .is_ok(),
        Err(error) => error.kind() == io::ErrorKind::Interrupted,
    }
}

fn exit_code(process: &OwnedFd) -> Result<ExitCode, Failed> {
    let ended = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED)?;
    let code = ended.and_then(|ended| {
        ended
            .exit_status()
            .or_else(|| ended.terminating_signal().map(|signal| 128 + signal))
    });
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255),
    ))
}

/// Our own terminal without any handling of its own, until it is dropped.
struct Raw(Option<Termios>);

impl Raw {
    fn enter() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
