//! Interactive containers on a real terminal, which util-linux's `script` provides.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_e2e::{Bench, with_both};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A command line running on a terminal of its own.
struct Session {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    seen: String,
}

impl Session {
    fn start(b: &Bench, words: &[&str]) -> Self {
        let command = b.cli.command(b.engine.socket(), b.engine.home());
        let mut line = format!("stty rows 30 cols 90; exec {}", quoted(&command));
        for word in words {
            line.push_str(&format!(" '{word}'"));
        }
        let mut script = Command::new("script");
        script
            .env_clear()
            .env("HOME", b.engine.home())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TERM", "xterm");
        script
            .args(["-qefc", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = script.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
            seen: String::new(),
        }
    }

    fn type_in(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// Reads until `text` has come, and forgets everything up to it.
    fn expect(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let mut buffer = [0; 4096];
            let read = self.output.read(&mut buffer).unwrap();
            assert!(
                read > 0,
                "the session ended before {text:?}: {:?}",
                self.seen
            );
            self.seen
                .push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let end = self.seen.find(text).map_or(0, |at| at + text.len());
        self.seen.drain(..end);
    }

    fn end(mut self) -> i32 {
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

fn quoted(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_shell_has_a_terminal_with_a_size_and_an_exit_code() {
    with_both(|b| {
        let mut session = Session::start(b, &["run", "-it", "--rm", "busybox", "sh"]);
        session.expect("# ");
        session.type_in("stty size\r");
        session.expect("30 90");
        session.type_in("tty; exit 5\r");
        session.expect("/dev/pts/0");
        assert_eq!(session.end(), 5);
    });
}

#[test]
fn ctrl_c_reaches_the_foreground_job_only() {
    with_both(|b| {
        let mut session = Session::start(b, &["run", "-it", "--rm", "busybox", "sh"]);
        session.expect("# ");
        // The job itself says so, when it is in the foreground already.
        session.type_in("sh -c 'echo g''o; exec sleep 1000'\r");
        session.expect("go\r\n");
        session.type_in("\u{3}");
        session.expect("# ");
        session.type_in("echo al''ive; exit\r");
        session.expect("alive");
        session.end();
    });
}

#[test]
fn detaching_leaves_the_container_running_and_attach_comes_back() {
    with_both(|b| {
        let mut session = Session::start(b, &["run", "-it", "--name", "dd", "busybox", "sh"]);
        session.expect("# ");
        session.type_in("echo fir''st\r");
        session.expect("first");
        session.type_in("\u{10}\u{11}");
        session.end();
        assert_eq!(
            b.words_ok(&["inspect", "-f", "{{.State.Running}}", "dd"]),
            "true"
        );
        let mut session = Session::start(b, &["attach", "dd"]);
        session.type_in("echo sec''ond; exit 3\r");
        session.expect("second");
        assert_eq!(session.end(), 3);
    });
}

#[test]
fn an_exec_has_its_own_terminal() {
    with_both(|b| {
        let _ = b.ok("run -d --name xx busybox sleep 1000");
        let mut session = Session::start(b, &["exec", "-it", "xx", "sh"]);
        session.expect("# ");
        session.type_in("stty size; exit 6\r");
        session.expect("30 90");
        assert_eq!(session.end(), 6);
    });
}

#[test]
fn an_interruption_ends_what_follows_and_leaves_the_container() {
    with_both(|b| {
        let _ = b.words_ok(&[
            "run",
            "-d",
            "--name",
            "ff",
            "busybox",
            "sh",
            "-c",
            "echo ready; exec sleep 1000",
        ]);
        let mut session = Session::start(b, &["logs", "-f", "ff"]);
        session.expect("ready");
        session.type_in("\u{3}");
        assert_eq!(session.end(), 130);
        let state = ["inspect", "-f", "{{.State.Status}}", "ff"];
        assert_eq!(b.words_ok(&state), "running");
    });
}

#[test]
fn an_interruption_of_what_is_attached_is_the_containers() {
    with_both(|b| {
        let trap = "trap 'exit 6' INT; echo ready; while :; do sleep 0.1; done";
        let mut session = Session::start(
            b,
            &[
                "run",
                "--name",
                "tt",
                "busybox",
                "sh",
                "-c",
                &trap.replace('\'', "\""),
            ],
        );
        session.expect("ready");
        session.type_in("\u{3}");
        assert_eq!(session.end(), 6);
        let state = ["inspect", "-f", "{{.State.ExitCode}}", "tt"];
        assert_eq!(b.words_ok(&state), "6");
    });
}
