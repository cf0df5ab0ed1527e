//! Supervisors that only pretend: a container "runs" until a test or a deadly signal ends it.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dhow_errdefs::ErrorKind;
use dhow_oci::runtime::LinuxResources;
use dhow_shim::{
    AttachRequest, Created, ExecRequest, ExecStarted, ExitRecord, HeldPort, ShimConfig, ShimEvent,
    ShimState, ShimStatus,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};

use crate::supervisor::{Answer, Error, Supervised, Supervisor, Task};

/// All simulated supervisors, the dead ones too; outlives engines.
#[derive(Default)]
pub(crate) struct SimSupervisor {
    sims: Mutex<HashMap<String, Arc<Sim>>>,
    /// The answer to the next spawn, when it is to fail.
    pub(crate) refuse: Mutex<Option<String>>,
    spawned: Mutex<u32>,
    /// Rung when a container is let go on.
    began: Arc<Notify>,
}

/// One simulated container.
pub(crate) struct Sim {
    pub(crate) config: ShimConfig,
    pub(crate) pid: u32,
    inner: Mutex<Inner>,
    began: Arc<Notify>,
}

struct Inner {
    status: ShimStatus,
    exit: Option<ExitRecord>,
    subscribers: Vec<mpsc::Sender<ShimEvent>>,
    /// Those of engines that died.
    dead: Vec<mpsc::Sender<ShimEvent>>,
    attached: Vec<UnixStream>,
    signals: Vec<i32>,
    /// Signals that end it.
    deadly: Vec<i32>,
    execs: Vec<ExecRequest>,
}

fn gone() -> Error {
    let source = std::io::ErrorKind::ConnectionRefused.into();
    Error::Connect {
        socket: "sim".into(),
        source,
    }
}

fn refused(message: &str) -> Error {
    Error::Refused {
        kind: ErrorKind::InvalidArgument,
        message: message.into(),
    }
}

impl SimSupervisor {
    /// What simulates that container now (or did last).
    pub(crate) fn sim(&self, id: &str) -> Arc<Sim> {
        self.sims.lock().unwrap()[id].clone()
    }

    /// The same, as soon as it runs.
    pub(crate) async fn running(&self, id: &str) -> Arc<Sim> {
        loop {
            let began = self.began.notified();
            tokio::pin!(began);
            began.as_mut().enable();
            let sim = self.sims.lock().unwrap().get(id).cloned();
            if let Some(sim) = sim
                && sim.inner.lock().unwrap().status != ShimStatus::Created
            {
                return sim;
            }
            began.await;
        }
    }

    /// How many supervisors were ever started.
    pub(crate) fn spawned(&self) -> u32 {
        *self.spawned.lock().unwrap()
    }

    /// The engine has died: nobody listens any more.
    pub(crate) fn disconnect_all(&self) {
        for sim in self.sims.lock().unwrap().values() {
            let mut inner = sim.inner.lock().unwrap();
            // The dead engine's tasks must not wake and take this for an end.
            let dead = std::mem::take(&mut inner.subscribers);
            inner.dead.extend(dead);
            inner.attached.clear();
        }
    }

    /// A supervisor whose container was never started, as a crash in the middle of a start leaves it.
    pub(crate) fn plant(&self, config: ShimConfig, status: ShimStatus) -> Arc<Sim> {
        let sim = Arc::new(Sim {
            pid: 4242,
            inner: Mutex::new(Inner {
                status,
                exit: None,
                subscribers: Vec::new(),
                dead: Vec::new(),
                attached: Vec::new(),
                signals: Vec::new(),
                deadly: vec![9, 15],
                execs: Vec::new(),
            }),
            config,
            began: self.began.clone(),
        });
        self.sims
            .lock()
            .unwrap()
            .insert(sim.config.id.clone(), sim.clone());
        sim
    }
}

impl Supervisor for SimSupervisor {
    fn spawn(&self, config: ShimConfig, _held: Vec<OwnedFd>) -> Answer<'_, (Task, Created)> {
        Box::pin(async move {
            if let Some(message) = self.refuse.lock().unwrap().take() {
                return Err(refused(&message));
            }
            assert!(
                config.bundle.join("config.json").exists(),
                "the bundle is written before the spawn"
            );
            *self.spawned.lock().unwrap() += 1;
            let _ = std::fs::remove_file(config.state_dir.join("sim-exit"));
            std::fs::write(&config.socket, "").unwrap();
            let sim = self.plant(config, ShimStatus::Created);
            let created = Created {
                pid: sim.pid,
                shim_pid: 1,
                warnings: Vec::new(),
            };
            Ok((Arc::new(Handle(sim)) as Task, created))
        })
    }

    fn connect<'a>(&'a self, socket: &'a Path) -> Answer<'a, Task> {
        Box::pin(async move {
            let sims = self.sims.lock().unwrap();
            let sim = sims
                .values()
                .find(|sim| sim.config.socket == socket)
                .ok_or_else(gone)?;
            if sim.inner.lock().unwrap().exit.is_some() {
                return Err(gone());
            }
            Ok(Arc::new(Handle(sim.clone())) as Task)
        })
    }

    fn exit_record(&self, state_dir: &Path) -> Result<Option<ExitRecord>, Error> {
        let text = std::fs::read(state_dir.join("sim-exit")).ok();
        Ok(text.map(|text| serde_json::from_slice(&text).unwrap()))
    }
}

impl Sim {
    /// The container ends by itself.
    pub(crate) fn exit(&self, code: i32) {
        self.end(code, None);
    }

    /// The supervisor itself is killed: nothing is recorded, nobody is told.
    pub(crate) fn vanish(&self) {
        let mut inner = self.inner.lock().unwrap();
        let finished_at = Timestamp::now();
        inner.exit = Some(ExitRecord {
            code: 0,
            signal: None,
            oom_killed: false,
            finished_at,
        });
        inner.subscribers.clear();
        inner.attached.clear();
    }

    fn end(&self, code: i32, signal: Option<i32>) {
        let mut inner = self.inner.lock().unwrap();
        if inner.exit.is_some() {
            return;
        }
        let exit = ExitRecord {
            code,
            signal,
            oom_killed: false,
            finished_at: Timestamp::now(),
        };
        let path = self.config.state_dir.join("sim-exit");
        let _ = std::fs::write(path, serde_json::to_vec(&exit).unwrap());
        inner.status = ShimStatus::Stopped;
        inner.exit = Some(exit.clone());
        inner.attached.clear();
        for subscriber in std::mem::take(&mut inner.subscribers) {
            subscriber.try_send(ShimEvent::Exited(exit.clone())).ok();
        }
    }

    pub(crate) fn status(&self) -> ShimStatus {
        self.inner.lock().unwrap().status
    }

    pub(crate) fn signals(&self) -> Vec<i32> {
        self.inner.lock().unwrap().signals.clone()
    }

    pub(crate) fn execs(&self) -> Vec<ExecRequest> {
        self.inner.lock().unwrap().execs.clone()
    }

    /// An exec ends.
    pub(crate) fn exec_exit(&self, id: &str, code: i32) {
        for subscriber in &self.inner.lock().unwrap().subscribers {
            subscriber
                .try_send(ShimEvent::ExecExited {
                    id: id.to_owned(),
                    code,
                })
                .ok();
        }
    }

    /// The container prints something.
    pub(crate) async fn print(&self, text: &str) {
        let mut attached = std::mem::take(&mut self.inner.lock().unwrap().attached);
        for stream in &mut attached {
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        self.inner.lock().unwrap().attached = attached;
    }
}

struct Handle(Arc<Sim>);

fn ready<T: Send + 'static>(value: Result<T, Error>) -> BoxFuture<'static, Result<T, Error>> {
    Box::pin(std::future::ready(value))
}

impl Supervised for Handle {
    fn start(&self) -> Answer<'_, ()> {
        let mut inner = self.0.inner.lock().unwrap();
        inner.status = ShimStatus::Running;
        self.0.began.notify_waiters();
        ready(Ok(()))
    }

    fn kill(&self, signal: i32, _all: bool) -> Answer<'_, ()> {
        let deadly = {
            let mut inner = self.0.inner.lock().unwrap();
            inner.signals.push(signal);
            inner.deadly.contains(&signal)
        };
        if deadly {
            self.0.end(128 + signal, Some(signal));
        }
        ready(Ok(()))
    }

    fn state(&self) -> Answer<'_, ShimState> {
        let inner = self.0.inner.lock().unwrap();
        ready(Ok(ShimState {
            id: self.0.config.id.clone(),
            status: inner.status,
            pid: self.0.pid,
            shim_pid: 1,
            started_at: Some(Timestamp::now()),
            exit: inner.exit.clone(),
            execs: Vec::new(),
            log_failures: 0,
        }))
    }

    fn subscribe(&self) -> Answer<'_, mpsc::Receiver<ShimEvent>> {
        let (sender, receiver) = mpsc::channel(64);
        let mut inner = self.0.inner.lock().unwrap();
        match &inner.exit {
            Some(exit) => sender.try_send(ShimEvent::Exited(exit.clone())).unwrap(),
            None => inner.subscribers.push(sender),
        }
        ready(Ok(receiver))
    }

    fn attach(&self, _request: AttachRequest) -> Answer<'_, UnixStream> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.0.inner.lock().unwrap().attached.push(ours);
        ready(Ok(theirs))
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, ExecStarted> {
        let program = request
            .process
            .args()
            .as_ref()
            .and_then(|args| args.first().cloned());
        if program.is_some_and(|program| program == "/no/bin") {
            return ready(Err(refused(
                "exec: \"/no/bin\": stat /no/bin: no such file or directory",
            )));
        }
        self.0.inner.lock().unwrap().execs.push(request);
        let (_ours, stream) = UnixStream::pair().unwrap();
        ready(Ok(ExecStarted { pid: 77, stream }))
    }

    fn resize<'a>(&'a self, _exec: Option<&'a str>, _rows: u16, _columns: u16) -> Answer<'a, ()> {
        ready(Ok(()))
    }

    fn freeze(&self, frozen: bool) -> Answer<'_, ()> {
        let status = if frozen {
            ShimStatus::Paused
        } else {
            ShimStatus::Running
        };
        self.0.inner.lock().unwrap().status = status;
        ready(Ok(()))
    }

    fn update(&self, _resources: LinuxResources) -> Answer<'_, ()> {
        ready(Ok(()))
    }

    fn pids(&self) -> Answer<'_, Vec<u32>> {
        ready(Ok(vec![std::process::id()]))
    }

    fn hold(&self, _sockets: Vec<OwnedFd>, _keep: Option<Vec<HeldPort>>) -> Answer<'_, ()> {
        ready(Ok(()))
    }
}
