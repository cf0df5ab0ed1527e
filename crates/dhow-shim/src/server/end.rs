//! How processes end, and with the init everything.

use std::time::{Duration, Instant};

use dhow_logging::Stream;
use jiff::Timestamp;
use rustix::process::{Signal, WaitOptions, WaitStatus, pidfd_send_signal, wait};

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
        while let Ok(Some(delivered)) = self.doors.signals.read() {
            wants_end |= delivered.signal == libc_signal::TERM;
        }
        self.reap();
        if wants_end && self.life.status == ShimStatus::Created {
            // Nobody waits for the container: whoever had it made has given up. Its end follows as any other.
            let _ = self
                .container
                .runtime()
                .kill(self.container.id(), Signal::KILL.as_raw(), true);
        }
    }

    /// Takes in every child that has ended; orphans of the container may be among them. The init comes last.
    fn reap(&mut self) {
        let mut init_ended = false;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_pid();
            let ended = self
                .processes
                .iter_mut()
                .find(|process| process.pid == pid && process.exit.is_none());
            let Some(process) = ended else { continue };
            process.exit = Some(exit_of(status));
            match process.number {
                INIT => init_ended = true,
                number => self.exec_ended(number),
            }
        }
        if init_ended {
            self.init_ended();
        }
    }

    fn exec_ended(&mut self, number: u32) {
        self.drain(number);
        let Some(process) = self.process(number) else {
            return;
        };
        if process.is_spent() {
            return self.finish_exec(number);
        }
        process.deadline = Some(Instant::now() + PATIENCE);
        self.refresh_sources(number);
    }

    /// Gives up on streams that something an exec left behind holds open.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let late = |process: &&super::process::Process| {
            process.deadline.is_some_and(|deadline| deadline <= now)
        };
        let late: Vec<u32> = self
            .processes
            .iter()
            .filter(late)
            .map(|process| process.number)
            .collect();
        for number in late {
            self.drain(number);
            self.finish_exec(number);
        }
    }

    /// Records an exec's end, tells it, and lets its clients go when they have everything.
    pub(super) fn finish_exec(&mut self, number: u32) {
        let Some(place) = self
            .processes
            .iter()
            .position(|process| process.number == number)
        else {
            return;
        };
        let mut process = self.processes.remove(place);
        process.close_stdin(&self.poller);
        for stream in [Stream::Stdout, Stream::Stderr] {
            process.close_source(&self.poller, stream);
        }
        let code = process.exit.map_or(0, |exit| exit.code);
        let record = ExecRecord {
            id: process.id,
            code,
            finished_at: Timestamp::now(),
        };
        if let Err(error) = record::add_exec(&self.config.state_dir, &record) {
            self.note(&format!(
                "exit {code} of exec {} could not be recorded: {error}",
                record.id
            ));
        }
        let pid = u32::try_from(process.pid).unwrap_or(0);
        if self.life.finished.len() == REMEMBERED {
            self.life.finished.pop_front();
        }
        self.life.finished.push_back(ExecState {
            id: record.id.clone(),
            pid,
            exit_code: Some(code),
        });
        self.tell(ShimEvent::ExecExited {
            id: record.id,
            code,
        });
        self.let_go(number);
    }

    /// The clients of a process that has ended.
    fn let_go(&mut self, process: u32) {
        for peer in self.peers.iter_mut().filter(|peer| peer.is_of(process)) {
            peer.closing = true;
        }
    }

    /// The container has ended. First everything it printed goes into the log, then its exit is recorded, then
    /// everyone is told, and then what is left of it is taken away.
    fn init_ended(&mut self) {
        self.drain(INIT);
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.close_source(INIT, stream);
        }
        self.abandon_execs();
        self.count_oom_kills();
        let record = self.exit_record();
        if let Err(error) = record::write_exit(&self.config.state_dir, &record) {
            self.note(&format!(
                "exit {} could not be recorded: {error}",
                record.code
            ));
        }
        // Only now, for it may take a while.
        self.close_log();
        self.life.status = ShimStatus::Stopped;
        self.life.exit = Some(record.clone());
        self.stop_listening();
        // Whoever hears of the end may publish the same ports at once.
        self.kept.descriptors.clear();
        // ... and may remove the bundle.
        self.container.detach_root();
        self.tell(ShimEvent::Exited(record));
        self.let_go(INIT);
        self.tidy_peers();
        self.processes.retain(|process| process.number != INIT);
        if let Err(error) = self.container.delete() {
            self.note(&format!(
                "container could not be deleted: {}",
                dhow_errdefs::chain(&error)
            ));
        }
        // The next shim of this container may go on; this one may have slow clients still.
        self.kept.lock.release();
    }

    fn exit_record(&mut self) -> ExitRecord {
        let exit = self
            .process(INIT)
            .and_then(|process| process.exit)
            .unwrap_or(Exit {
                code: 255,
                signal: None,
            });
        ExitRecord {
            code: exit.code,
            signal: exit.signal,
            oom_killed: self.life.oom_kills > 0,
            finished_at: Timestamp::now(),
        }
    }

    /// Execs that still run (the container has no pid namespace of its own) end with it, and are not waited for.
    fn abandon_execs(&mut self) {
        let execs = self
            .processes
            .iter()
            .map(|process| process.number)
            .filter(|number| *number != INIT);
        for number in execs.collect::<Vec<_>>() {
            if let Some(process) = self
                .process(number)
                .filter(|process| process.exit.is_none())
            {
                // It may end at this very moment.
                let _ = pidfd_send_signal(&process.pidfd, Signal::KILL);
                let signal = Signal::KILL.as_raw();
                process.exit = Some(Exit {
                    code: 128 + signal,
                    signal: Some(signal),
                });
            }
            self.drain(number);
            self.finish_exec(number);
        }
    }

    /// The kernel has killed something for want of memory.
    pub(super) fn out_of_memory(&mut self) {
        if let Some(oom) = &self.doors.oom {
            // Not being able to drain it would only repeat the event.
            let _ = oom.drain();
        }
        self.count_oom_kills();
    }

    fn count_oom_kills(&mut self) {
        let kills = self
            .container
            .cgroup
            .as_ref()
            .map_or(0, |cgroup| cgroup.oom_kills());
        if kills > self.life.oom_kills {
            self.life.oom_kills = kills;
            self.tell(ShimEvent::OomKilled);
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit { code, signal: None },
        (None, Some(signal)) => Exit {
            code: 128 + signal,
            signal: Some(signal),
        },
        (None, None) => Exit {
            code: 255,
            signal: None,
        },
    }
}
