//! The shim's process: one thread around `epoll`.
//!
//! - [`container`]: the container and its runtime: made, deleted, its root file system and control group.
//! - [`process`]: the init and the execs with their streams. *Sources* are what they print, *stdin* what they read.
//! - [`peer`]: the clients. A peer's *role* says what its connection is: requests, events, or a stream of a process.
//! - [`state`]: the [`state::Server`] which holds all of these, and its loop.
//!   `output`, `input`, `log`, `requests`, `peers`, `held` and `end` are its parts by what they move.
//!
//! Nothing blocks but the runtime's operations and writing the log's file. Memory: one read buffer for everything, given
//! back when a burst is over; queues exist only while a peer or a process does not take what it is sent.

mod args;
mod container;
mod end;
mod error;
mod held;
mod input;
mod log;
mod output;
mod peer;
mod peers;
mod poll;
mod process;
mod requests;
mod state;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use dhow_errdefs::chain;
use dhow_sys::signal::{SignalFd, SignalSet};

use self::args::Args;
pub use self::container::Simulated;
use self::error::CreateError;
use self::peer::Peer;
use self::state::Server;
use crate::ShimConfig;
use crate::protocol::{self, LONGEST_MESSAGE, Request, Response, push_message};

/// Runs `dhow shim` (arguments without the program and the verb): `--config PATH`, or `--control FD --held COUNT`.
#[must_use]
#[inline(never)] // Its caller's frame stays in memory for as long as the shim runs, and should be small.
pub fn main(args: Vec<OsString>) -> ExitCode {
    main_with(&args, None)
}

/// As [`main`], with another runtime in place of the real ones: for tests.
#[must_use]
pub fn main_with(args: &[OsString], simulated: Option<Simulated>) -> ExitCode {
    match run(args, simulated) {
        Ok(code) => code,
        Err(error) => {
            // Nowhere else to say it; standard error is /dev/null when a daemon is the parent.
            let _ = writeln!(io::stderr(), "dhow shim: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[OsString], simulated: Option<Simulated>) -> Result<ExitCode, error::MainError> {
    let args = Args::parse(args)?;
    // Relative to the folder of the one who calls, which is left afterwards.
    let config = args.config().map(read_config).transpose()?;
    // Before anything can be lost: held descriptors must not reach the container, signals must not end the shim.
    let held = args.take_held()?;
    let signals = prepare().map_err(error::MainError::Prepare)?;
    if let Some(config) = config {
        let (mut server, _) = Server::create(config, signals, simulated)?;
        server.kept.descriptors = held;
        return Ok(server.run());
    }
    let control = args.take_control()?;
    Ok(serve_control(control, held, signals, simulated).unwrap_or(ExitCode::FAILURE))
}

/// Makes this process what a shim is: nobody's terminal's, deaf to signals, the parent of orphans.
fn prepare() -> io::Result<SignalFd> {
    let handled = SignalSet::of(&[libc_signal::CHLD, libc_signal::TERM]);
    let mut blocked = handled;
    for signal in [
        libc_signal::HUP,
        libc_signal::INT,
        libc_signal::QUIT,
        libc_signal::USR1,
        libc_signal::USR2,
    ] {
        blocked = blocked.with(signal);
    }
    dhow_sys::signal::block(&blocked)?;
    dhow_sys::signal::ignore(libc_signal::PIPE)?;
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
    rustix::thread::set_name(c"dhow-shim")?;
    rustix::process::chdir("/")?;
    SignalFd::new(&handled, true)
}

mod libc_signal {
    //! Signal numbers, the same on all of Linux's usual architectures.
    use rustix::process::Signal;

    pub(super) const CHLD: i32 = Signal::CHILD.as_raw();
    pub(super) const TERM: i32 = Signal::TERM.as_raw();
    pub(super) const HUP: i32 = Signal::HUP.as_raw();
    pub(super) const INT: i32 = Signal::INT.as_raw();
    pub(super) const QUIT: i32 = Signal::QUIT.as_raw();
    pub(super) const USR1: i32 = Signal::USR1.as_raw();
    pub(super) const USR2: i32 = Signal::USR2.as_raw();
    pub(super) const PIPE: i32 = Signal::PIPE.as_raw();
}

fn read_config(path: &Path) -> Result<ShimConfig, error::MainError> {
    let read = || serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::from);
    read().map_err(|source| error::MainError::Config {
        path: path.into(),
        source,
    })
}

/// Makes the container which the client on `control` asks for, and serves.
///
/// An error means that the client is gone; there is nobody to be told.
fn serve_control(
    mut control: UnixStream,
    held: Vec<OwnedFd>,
    signals: SignalFd,
    simulated: Option<Simulated>,
) -> io::Result<ExitCode> {
    let Request::Hello { min, max } = receive(&mut control)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (ours, theirs) = ((protocol::OLDEST, protocol::NEWEST), (min, max));
    let version = protocol::negotiate(ours, theirs);
    send(
        &mut control,
        &Response::Hello {
            min: ours.0,
            max: ours.1,
            version,
        },
    )?;
    let (Some(_), Request::Create(config)) = (version, receive(&mut control)?) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    match Server::create(*config, signals, simulated) {
        Ok((mut server, created)) => {
            server.kept.descriptors = held;
            if let Err(gone) = send(&mut control, &created) {
                // The next daemon may have looked for the container before it could be found.
                server.take_back();
                return Err(gone);
            }
            control.set_nonblocking(true)?;
            server.add_peer(Peer::control(control, true));
            Ok(server.run())
        }
        Err(error) => {
            send(&mut control, &refusal(&error))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn refusal(error: &CreateError) -> Response {
    requests::refusal(error)
}

#[inline(never)] // The frames of parsing are large; they must not become part of one that stays.
fn receive(control: &mut UnixStream) -> io::Result<Request> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    control.read_exact(&mut message)?;
    Ok(serde_json::from_slice(&message)?)
}

fn send(control: &mut UnixStream, response: &Response) -> io::Result<()> {
    let mut bytes = Vec::new();
    push_message(&mut bytes, response);
    control.write_all(&bytes)
}
