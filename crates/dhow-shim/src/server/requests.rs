//! What clients ask for.

use std::os::fd::AsFd;

use dhow_errdefs::{Classify, chain};
use jiff::Timestamp;
use rustix::process::{Signal, pidfd_send_signal};

use super::container::user_spec;
use super::error::RequestError;
use super::peer::Role;
use super::process::{ChildEnds, INIT, OurEnds, Process, pipes};
use super::state::Server;
use crate::protocol::{
    self, ExecState, Request, Response, ShimEvent, ShimState, ShimStatus, kind_name,
};
use crate::{AttachRequest, ExecRequest, record};

/// The answer to a request that can't be fulfilled.
pub(super) fn refusal<E: Classify + 'static>(error: &E) -> Response {
    Response::Error {
        kind: kind_name(error.kind()).into(),
        message: chain(error).to_string(),
    }
}

type Answer = Result<Response, RequestError>;

impl Server {
    /// Answers one request of a client.
    pub(super) fn answer(&mut self, peer: u32, message: &[u8]) {
        let request = parse(message);
        let agreed = matches!(
            self.peer(peer).map(|peer| peer.role),
            Some(Role::Control(true))
        );
        match request {
            Ok(Request::Hello { min, max }) if !agreed => self.greet(peer, (min, max)),
            Ok(request) if agreed => self.fulfil(peer, request),
            Err(error) if agreed => self.respond(peer, &refusal(&error)),
            _ => {
                self.respond(peer, &refusal(&RequestError::OutOfPlace));
                self.close_when_sent(peer);
            }
        }
    }

    fn greet(&mut self, number: u32, theirs: (u32, u32)) {
        let version = protocol::negotiate((protocol::OLDEST, protocol::NEWEST), theirs);
        self.respond(
            number,
            &Response::Hello {
                min: protocol::OLDEST,
                max: protocol::NEWEST,
                version,
            },
        );
        match (self.peer(number), version) {
            (Some(peer), Some(_)) => peer.role = Role::Control(true),
            _ => self.close_when_sent(number),
        }
    }

    fn close_when_sent(&mut self, number: u32) {
        if let Some(peer) = self.peer(number) {
            peer.closing = true;
        }
    }

    fn fulfil(&mut self, peer: u32, request: Request) {
        let answer = match request {
            Request::Subscribe => return self.subscribe(peer),
            Request::Attach(wants) => return self.attach(peer, wants),
            Request::Exec(request) => return self.start_exec(peer, &request),
            Request::Hold { sent, keep } => self.hold(peer, sent, keep.as_deref()),
            request => self.simple(request),
        };
        self.respond(peer, &answer.unwrap_or_else(|error| refusal(&error)));
        if self.life.exit.is_some() {
            self.close_when_sent(peer);
        }
    }

    /// Requests with one answer that leave the connection as it is.
    fn simple(&mut self, request: Request) -> Answer {
        match request {
            Request::State => Ok(Response::State(Box::new(self.state()))),
            Request::ExecState { id } => self.exec_state(&id).map(Response::Exec),
            Request::Hello { .. } | Request::Create(_) => Err(RequestError::OutOfPlace),
            _ if self.life.exit.is_some() => Err(RequestError::Ended),
            Request::Start => self.start(),
            Request::Kill {
                signal,
                exec: Some(id),
                ..
            } => self.kill_exec(&id, signal),
            Request::Kill {
                signal,
                all,
                exec: None,
            } => {
                self.container
                    .runtime()
                    .kill(self.container.id(), signal, all)?;
                Ok(Response::Done)
            }
            Request::Resize { exec, rows, cols } => self.resize(exec.as_deref(), rows, cols),
            Request::Pause => self.freeze(true),
            Request::Resume => self.freeze(false),
            Request::Update(resources) => {
                self.container
                    .runtime()
                    .update(self.container.id(), &resources)?;
                Ok(Response::Done)
            }
            Request::Pids => {
                let pids = self.container.runtime().pids(self.container.id())?;
                Ok(Response::Pids(
                    pids.into_iter()
                        .filter_map(|pid| u32::try_from(pid).ok())
                        .collect(),
                ))
            }
            // These concern the connection and are handled before.
            Request::Subscribe | Request::Attach(_) | Request::Exec(_) | Request::Hold { .. } => {
                Err(RequestError::OutOfPlace)
            }
        }
    }

    fn start(&mut self) -> Answer {
        self.container.runtime().start(self.container.id())?;
        self.life.status = ShimStatus::Running;
        self.life.started_at = Some(Timestamp::now());
        self.tell(ShimEvent::Started);
        self.untidy = true;
        Ok(Response::Done)
    }

    fn freeze(&mut self, frozen: bool) -> Answer {
        let runtime = self.container.runtime();
        if frozen {
            runtime.pause(self.container.id())?;
            self.life.status = ShimStatus::Paused;
        } else {
            runtime.resume(self.container.id())?;
            self.life.status = ShimStatus::Running;
        }
        Ok(Response::Done)
    }

    fn kill_exec(&mut self, id: &str, signal: i32) -> Answer {
        let process = self.exec(id).filter(|process| process.exit.is_none());
        let process = process.ok_or_else(|| RequestError::NoExec(id.into()))?;
        let failed = |source: std::io::Error| RequestError::Signal {
            id: id.into(),
            source,
        };
        let signal = Signal::from_named_raw(signal)
            .ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
        pidfd_send_signal(&process.pidfd, signal).map_err(|error| failed(error.into()))?;
        Ok(Response::Done)
    }

    fn resize(&mut self, exec: Option<&str>, rows: u16, cols: u16) -> Answer {
        let process = match exec {
            Some(id) => self
                .exec(id)
                .ok_or_else(|| RequestError::NoExec(id.into()))?,
            None => self.process(INIT).ok_or(RequestError::Ended)?,
        };
        let terminal = process.terminal.as_ref().ok_or(RequestError::NoTerminal)?;
        dhow_sys::pty::resize(terminal.as_fd(), rows, cols).map_err(RequestError::Resize)?;
        Ok(Response::Done)
    }

    fn state(&self) -> ShimState {
        let number = |pid| u32::try_from(pid).unwrap_or(0);
        let exec = |process: &Process| ExecState {
            id: process.id.clone(),
            pid: number(process.pid),
            exit_code: process.exit.map(|exit| exit.code),
        };
        let init = self.processes.iter().find(|process| process.number == INIT);
        ShimState {
            id: self.config.id.clone(),
            status: self.life.status,
            pid: init.map_or(0, |init| number(init.pid)),
            shim_pid: std::process::id(),
            started_at: self.life.started_at,
            exit: self.life.exit.clone(),
            execs: self
                .processes
                .iter()
                .filter(|process| process.number != INIT)
                .map(exec)
                .collect(),
            log_failures: self.log.failures(),
        }
    }

    fn exec_state(&mut self, id: &str) -> Result<ExecState, RequestError> {
        if let Some(process) = self.exec(id) {
            let pid = u32::try_from(process.pid).unwrap_or(0);
            return Ok(ExecState {
                id: id.into(),
                pid,
                exit_code: process.exit.map(|exit| exit.code),
            });
        }
        if let Some(state) = self.life.finished.iter().rev().find(|state| state.id == id) {
            return Ok(state.clone());
        }
        let records = record::exec_records(&self.config.state_dir).unwrap_or_default();
        let record = records.into_iter().rev().find(|record| record.id == id);
        let record = record.ok_or_else(|| RequestError::NoExec(id.into()))?;
        Ok(ExecState {
            id: record.id,
            pid: 0,
            exit_code: Some(record.code),
        })
    }

    fn subscribe(&mut self, number: u32) {
        self.respond(number, &Response::Done);
        let Some(peer) = self.peer(number) else {
            return;
        };
        peer.role = Role::Subscriber;
        if self.life.started_at.is_some() {
            self.respond(number, &Response::Event(ShimEvent::Started));
        }
        if let Some(exit) = self.life.exit.clone() {
            self.respond(number, &Response::Event(ShimEvent::Exited(exit)));
            self.close_when_sent(number);
        }
    }

    fn attach(&mut self, number: u32, wants: AttachRequest) {
        if self.life.exit.is_some() {
            self.respond(number, &refusal(&RequestError::Ended));
            return self.close_when_sent(number);
        }
        self.respond(number, &Response::Done);
        self.set_attached(number, INIT, wants);
    }

    fn set_attached(&mut self, number: u32, process: u32, wants: AttachRequest) {
        if let Some(peer) = self.peer(number) {
            peer.role = Role::Attached(process, wants);
        }
        self.refresh_peer(number);
    }

    fn start_exec(&mut self, number: u32, request: &ExecRequest) {
        match self.run_exec(request) {
            Ok((process, response)) => {
                self.respond(number, &response);
                let wants = AttachRequest {
                    stdin: request.stdin,
                    stdout: request.stdout,
                    stderr: request.stderr,
                };
                self.set_attached(number, process, wants);
                self.untidy = true;
            }
            Err(error) => self.respond(number, &refusal(&error)),
        }
    }

    fn run_exec(&mut self, request: &ExecRequest) -> Result<(u32, Response), RequestError> {
        if self.life.exit.is_some() {
            return Err(RequestError::Ended);
        }
        if self.exec(&request.id).is_some() {
            return Err(RequestError::ExecExists(request.id.clone()));
        }
        let (theirs, ours) = exec_streams(request).map_err(RequestError::Streams)?;
        let mut spec = request.process.clone();
        spec.set_terminal(Some(request.terminal));
        let user = user_spec(&request.user, &request.additional_groups);
        let executed = self.container.runtime().exec(
            self.container.id(),
            &dhow_runtime::ExecRequest {
                process: &spec,
                stdio: theirs.stdio(),
                user: user.as_ref(),
                cgroup: None,
            },
        )?;
        drop(theirs);
        let mut process = Process::new(
            self.take_number(),
            &request.id,
            executed.pid,
            executed.pidfd,
        );
        process.stdin_once = true;
        process.take_pipes(ours);
        if let Some(master) = executed.master {
            process
                .take_terminal(master)
                .map_err(RequestError::Streams)?;
        }
        process.set_reading(&self.poller, true);
        let number = process.number;
        self.processes.push(process);
        let pid = u32::try_from(executed.pid).unwrap_or(0);
        Ok((
            number,
            Response::Process {
                pid,
                warnings: executed.warnings,
            },
        ))
    }
}

fn exec_streams(request: &ExecRequest) -> std::io::Result<(ChildEnds, OurEnds)> {
    if request.terminal {
        return Ok((
            ChildEnds::Terminal(request.console_size),
            OurEnds::default(),
        ));
    }
    pipes(request.stdin, request.stdout, request.stderr)
}

/// A request that is not known is of a newer client; one that is known and wrong is of a broken one.
fn parse(message: &[u8]) -> Result<Request, RequestError> {
    serde_json::from_slice(message).map_err(|error| {
        let text = error.to_string();
        if text.starts_with("unknown variant") {
            RequestError::Unknown(text)
        } else {
            RequestError::Invalid(text)
        }
    })
}
