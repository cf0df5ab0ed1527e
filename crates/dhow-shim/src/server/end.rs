//! How processes end, and with the init everything.

use std::time::{Duration, Instant};

use dhow_logging::Stream;
use jiff::Timestamp;
use rustix::process::{Signal, WaitOptions, WaitStatus, wait};

use super::libc_signal;
use super::process::{Exit, INIT};
use super::state::Server;
use crate::protocol::{ExecState, ShimEvent, ShimStatus};
use crate::record::{self, ExecRecord, ExitRecord};

/// How long an ended exec's output is waited for, when something it left behind holds its streams (as containerd).
const PATIENCE: Duration = Duration::from_secs(2);
/// How many ended execs are remembered.
const REMEMBERED: usize = 32;

impl Server {
    /// Signals have come: children have ended, or someone wants the shim to go.
    pub(super) fn signalled(&mut self) {
        let mut wants_end = false;
        while let Ok(Some(delivered)) = self.signals.read() {
            wants_end |= delivered.signal == libc_signal::TERM;
        }
        self.reap();
        if wants_end && self.life.status == ShimStatus::Created {
            // Nobody waits for the container: whoever had it made has given up. Its end follows as any other.
            let _ = self.container.runtime().kill(self.container.id(), Signal::KILL.as_raw(), true);
        }
    }

    /// Takes in every child that has ended; orphans of the container may be among them.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_pid();
            let ended = self.processes.iter_mut().find(|process| process.pid == pid && process.exit.is_none());
            let Some(process) = ended else { continue };
            process.exit = Some(exit_of(status));
            match process.number {
                INIT => self.init_ended(),
                number => self.exec_ended(number),
            }
        }
    }

    fn exec_ended(&mut self, number: u32) {
        self.drain(number);
        let over = self.life.exit.is_some();
        let Some(process) = self.process(number) else { return };
        if process.is_spent() || over {
            return self.finish_exec(number);
        }
        process.deadline = Some(Instant::now() + PATIENCE);
        self.refresh_sources(number);
    }

    /// Gives up on streams that something an exec left behind holds open.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let late = |process: &&super::process::Process| process.deadline.is_some_and(|deadline| deadline <= now);
        let late: Vec<u32> = self.processes.iter().filter(late).map(|process| process.number).collect();
        for number in late {
            self.drain(number);
            self.finish_exec(number);
        }
    }

    /// Records an exec's end, tells it, and lets its clients go when they have everything.
    pub(super) fn finish_exec(&mut self, number: u32) {
        let Some(place) = self.processes.iter().position(|process| process.number == number) else { return };
        let mut process = self.processes.remove(place);
        process.close_stdin(&self.poller);
        for stream in [Stream::Stdout, Stream::Stderr] {
            process.close_source(&self.poller, stream);
        }
        let code = process.exit.map_or(0, |exit| exit.code);
        let record = ExecRecord { id: process.id, code, finished_at: Timestamp::now() };
        if let Err(error) = record::add_exec(&self.config.state_dir, &record) {
            self.note(&format!("exit {code} of exec {} could not be recorded: {error}", record.id));
        }
        let pid = u32::try_from(process.pid).unwrap_or(0);
        if self.finished.len() == REMEMBERED {
            self.finished.pop_front();
        }
        self.finished.push_back(ExecState { id: record.id.clone(), pid, exit_code: Some(code) });
        self.tell(ShimEvent::ExecExited { id: record.id, code });
        self.let_go(number);
    }

    /// The clients of a process that has ended.
    fn let_go(&mut self, process: u32) {
        for peer in self.peers.iter_mut().filter(|peer| peer.is_of(process)) {
            peer.closing = true;
        }
    }

    /// The container has ended. First everything it printed goes into the log, then its exit is recorded, then what
    /// is left of it is taken away, then everyone is told.
    fn init_ended(&mut self) {
        self.drain(INIT);
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.close_source(INIT, stream);
        }
        let exit = self.process(INIT).and_then(|process| process.exit).unwrap_or(Exit { code: 255, signal: None });
        self.count_oom_kills();
        let record = ExitRecord {
            code: exit.code,
            signal: exit.signal,
            oom_killed: self.life.oom_kills > 0,
            finished_at: Timestamp::now(),
        };
        if let Err(error) = record::write_exit(&self.config.state_dir, &record) {
            self.note(&format!("exit {} could not be recorded: {error}", record.code));
        }
        self.life.status = ShimStatus::Stopped;
        self.life.exit = Some(record.clone());
        self.stop_listening();
        if let Err(error) = self.container.delete() {
            self.note(&format!("container could not be deleted: {}", dhow_errdefs::chain(&error)));
        }
        self.processes.retain(|process| process.number != INIT);
        self.reap();
        self.abandon_execs();
        self.tell(ShimEvent::Exited(record));
        self.let_go(INIT);
    }

    /// What still runs after the container was deleted is not waited for.
    fn abandon_execs(&mut self) {
        let left: Vec<u32> = self.processes.iter().map(|process| process.number).collect();
        for number in left {
            self.drain(number);
            if let Some(process) = self.process(number) {
                let killed = Exit { code: 128 + Signal::KILL.as_raw(), signal: Some(Signal::KILL.as_raw()) };
                process.exit.get_or_insert(killed);
            }
            self.finish_exec(number);
        }
    }

    /// The kernel has killed something for want of memory.
    pub(super) fn out_of_memory(&mut self) {
        if let Some(oom) = &self.oom {
            // Not being able to drain it would only repeat the event.
            let _ = oom.drain();
        }
        self.count_oom_kills();
    }

    fn count_oom_kills(&mut self) {
        let kills = self.container.cgroup.as_ref().map_or(0, |cgroup| cgroup.oom_kills());
        if kills > self.life.oom_kills {
            self.life.oom_kills = kills;
            self.tell(ShimEvent::OomKilled);
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit { code, signal: None },
        (None, Some(signal)) => Exit { code: 128 + signal, signal: Some(signal) },
        (None, None) => Exit { code: 255, signal: None },
    }
}
