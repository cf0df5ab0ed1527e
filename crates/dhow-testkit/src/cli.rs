//! The two command lines: `dhow` and the official `docker`, in a hermetic environment.

use crate::{Engine, packages, program};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which command line drives a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cli {
    /// This tree's own.
    Dhow,
    /// The official `docker`: the machine's, or Debian's.
    Docker,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; 128 and the signal's number where one ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output without surrounding white space, of a command that must have succeeded.
    #[must_use]
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(
            self.code, 0,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self.stdout.trim()
    }
}

impl Cli {
    /// Both, for tests that run with each.
    pub const BOTH: [Self; 2] = [Self::Dhow, Self::Docker];

    /// A command of this command line against the engine at `socket`, with a home folder of its own.
    #[must_use]
    pub fn command(self, socket: &Path, home: &Path) -> Command {
        let mut command = match self {
            Self::Dhow => Command::new(program()),
            Self::Docker => packages::tool("docker", "docker.io").command(),
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let library = command
            .get_envs()
            .find(|(name, _)| *name == "LD_LIBRARY_PATH")
            .and_then(|(_, v)| v.map(OsStr::to_owned));
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", home)
            .env("LC_ALL", "C.UTF-8");
        if let Some(library) = library {
            command.env("LD_LIBRARY_PATH", library);
        }
        command
            .arg("-H")
            .arg(format!("unix://{}", socket.display()));
        command
    }

    /// Runs `arguments` against `engine` without standard input.
    pub fn run<S: AsRef<OsStr>>(self, engine: &Engine, arguments: &[S]) -> Output {
        self.run_with_input(engine, arguments, b"")
    }

    /// Runs `arguments` against `engine`, `input` being the standard input.
    pub fn run_with_input<S: AsRef<OsStr>>(
        self,
        engine: &Engine,
        arguments: &[S],
        input: &[u8],
    ) -> Output {
        let mut command = self.command(engine.socket(), engine.home());
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        finish(&mut command, input)
    }
}

/// Runs `command` to its end with `input` on its standard input.
fn finish(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .spawn()
        .unwrap_or_else(|e| panic!("running {command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // Written from a thread of its own: the command may print more than a pipe holds before it reads.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child
        .wait_with_output()
        .expect("the child is ours to wait for");
    // A command that does not read its input is none of our business.
    let _ = writer.join();
    Output {
        code: exit_code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

impl Output {
    /// Runs any command to its end, with `input` on its standard input.
    #[must_use]
    pub fn of(command: &mut Command, input: &[u8]) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        finish(command, input)
    }
}

/// The source tree's root folder.
pub(crate) fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map_or_else(PathBuf::new, Path::to_path_buf)
}
