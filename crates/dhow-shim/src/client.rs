//! The client: a handle on a shim, asynchronous.

mod connection;
mod spawn;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dhow_oci::runtime;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use self::connection::Connection;
use crate::protocol::{HeldPort, MOST_DESCRIPTORS, Request, Response};
use crate::{AttachRequest, Error, ExecRequest, ExecState, ShimConfig, ShimEvent, ShimState};

/// How many events wait for a slow subscriber.
const EVENTS: usize = 64;

/// A handle on a shim; cheap to clone. Dropping it changes nothing for the container.
#[derive(Debug, Clone)]
pub struct Shim {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: PathBuf,
    /// A connection that is open and not in use.
    idle: Mutex<Option<Connection>>,
}

/// A container that was made and waits for [`Shim::start`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The process id of its init.
    pub pid: u32,
    /// The shim's process id.
    pub shim_pid: u32,
    /// What the runtime could not do and passed over: a limit that can't be raised, a controller that is not there.
    pub warnings: Vec<String>,
}

/// An exec that runs.
#[derive(Debug)]
pub struct ExecStarted {
    /// Its process id.
    pub pid: u32,
    /// Its input and output: framed output from the shim (raw with a terminal), raw input to it. The end of the
    /// stream comes after the exec's exit was recorded and told.
    pub stream: UnixStream,
}

impl Shim {
    /// Starts a shim from `program` (`/proc/self/exe`) and makes the container; its init waits for [`Shim::start`].
    ///
    /// `held` descriptors stay open as long as the shim runs. The process is reaped in the background. When the
    /// future is dropped before it is done, the shim takes the container away again.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's whole chain of errors; then nothing is left of the container or the shim.
    pub async fn spawn(
        program: &Path,
        config: &ShimConfig,
        held: Vec<OwnedFd>,
    ) -> Result<(Self, Created), Error> {
        let (connection, created) = spawn::spawn(program, config, held).await?;
        Ok((Self::new(&config.socket, connection), created))
    }

    /// Connects to a running shim.
    ///
    /// # Errors
    /// [`Error::Connect`] when none serves there, [`Error::Version`] when it speaks another protocol.
    pub async fn connect(socket: &Path) -> Result<Self, Error> {
        let connection = Connection::open(socket).await?;
        Ok(Self::new(socket, connection))
    }

    fn new(socket: &Path, connection: Connection) -> Self {
        let idle = Mutex::new(Some(connection));
        Self {
            inner: Arc::new(Inner {
                socket: socket.into(),
                idle,
            }),
        }
    }

    /// Lets a created container's init go on.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain, e.g. when the command can't be executed; then the shim records
    /// an exit as for any other end.
    pub async fn start(&self) -> Result<(), Error> {
        self.done(&Request::Start).await
    }

    /// Sends a signal to the init, or to all processes of the container.
    ///
    /// # Errors
    /// [`Error::Refused`] when the container has ended (kind `NotFound`).
    pub async fn kill(&self, signal: i32, all: bool) -> Result<(), Error> {
        self.done(&Request::Kill {
            signal,
            all,
            exec: None,
        })
        .await
    }

    /// Sends a signal to an exec.
    ///
    /// # Errors
    /// [`Error::Refused`] when the exec has ended (kind `NotFound`).
    pub async fn kill_exec(&self, id: &str, signal: i32) -> Result<(), Error> {
        self.done(&Request::Kill {
            signal,
            all: false,
            exec: Some(id.into()),
        })
        .await
    }

    /// What the shim knows now.
    ///
    /// # Errors
    /// When the shim is gone.
    pub async fn state(&self) -> Result<ShimState, Error> {
        match self.call(&Request::State).await? {
            Response::State(state) => Ok(*state),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Everything that happens from now on, beginning with what has happened to the container itself already
    /// (started, ended). The channel ends when the shim does.
    ///
    /// # Errors
    /// When the shim is gone.
    pub async fn subscribe(&self) -> Result<mpsc::Receiver<ShimEvent>, Error> {
        let mut connection = self.converted(&Request::Subscribe).await?;
        let (sender, receiver) = mpsc::channel(EVENTS);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = sender.closed() => return,
                    event = connection.receive() => event,
                };
                // The end of the connection is the end of the shim.
                let Ok(Response::Event(event)) = event else {
                    return;
                };
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    /// Attaches to the init's streams: framed output from the shim (raw with a terminal), raw input to it; shutting
    /// down the writing half is the end of input. All output from here on is received, none is lost; a client that
    /// does not read slows the container down.
    ///
    /// As in Docker, the end of input closes the container's standard input if that is open once only and no
    /// terminal; otherwise it detaches the client.
    ///
    /// # Errors
    /// When the shim is gone.
    pub async fn attach(&self, request: AttachRequest) -> Result<UnixStream, Error> {
        Ok(self
            .converted(&Request::Attach(request))
            .await?
            .into_stream())
    }

    /// Runs a process in the container.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain.
    pub async fn exec(&self, request: &ExecRequest) -> Result<ExecStarted, Error> {
        match self
            .exchange(&Request::Exec(Box::new(request.clone())))
            .await?
        {
            (connection, Response::Process { pid, .. }) => Ok(ExecStarted {
                pid,
                stream: connection.into_stream(),
            }),
            (_, other) => Err(self.unexpected(&other)),
        }
    }

    /// What the shim knows of an exec; its exit code is known for as long as the shim runs (the newest few hundred).
    ///
    /// # Errors
    /// [`Error::Refused`] (kind `NotFound`) for an unknown exec.
    pub async fn exec_state(&self, id: &str) -> Result<ExecState, Error> {
        match self.call(&Request::ExecState { id: id.into() }).await? {
            Response::Exec(state) => Ok(state),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Resizes the terminal of the init, or of an exec.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no terminal.
    pub async fn resize(&self, exec: Option<&str>, rows: u16, cols: u16) -> Result<(), Error> {
        self.done(&Request::Resize {
            exec: exec.map(str::to_string),
            rows,
            cols,
        })
        .await
    }

    /// Freezes the container's processes.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain.
    pub async fn pause(&self) -> Result<(), Error> {
        self.done(&Request::Pause).await
    }

    /// Thaws them.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain.
    pub async fn resume(&self) -> Result<(), Error> {
        self.done(&Request::Resume).await
    }

    /// Changes the container's resource limits.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain.
    pub async fn update(&self, resources: &runtime::LinuxResources) -> Result<(), Error> {
        self.done(&Request::Update(Box::new(resources.clone())))
            .await
    }

    /// The process ids in the container, as the host sees them.
    ///
    /// # Errors
    /// [`Error::Refused`] when the container has ended.
    pub async fn pids(&self) -> Result<Vec<u32>, Error> {
        match self.call(&Request::Pids).await? {
            Response::Pids(pids) => Ok(pids),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Gives the shim sockets to hold as those it was spawned with, for as long as it runs, and then lets it close
    /// those it holds at other places than `keep`; without `keep`, it keeps all.
    ///
    /// # Errors
    /// [`Error::Refused`], of the kind `NotImplemented` by a shim of an older release; some of the sockets may be held
    /// then, which a `keep` without them makes good.
    pub async fn hold(
        &self,
        sockets: Vec<OwnedFd>,
        keep: Option<Vec<HeldPort>>,
    ) -> Result<(), Error> {
        for some in sockets.chunks(MOST_DESCRIPTORS) {
            let request = Request::Hold {
                sent: some.len(),
                keep: None,
            };
            let mut connection = self.connection().await?;
            connection.send_with(&request, some).await?;
            self.answered(connection).await?;
        }
        match keep {
            Some(_) => self.done(&Request::Hold { sent: 0, keep }).await,
            None => Ok(()),
        }
    }

    async fn done(&self, request: &Request) -> Result<(), Error> {
        match self.call(request).await? {
            Response::Done => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn call(&self, request: &Request) -> Result<Response, Error> {
        let (connection, answer) = self.exchange(request).await?;
        self.put_back(connection);
        Ok(answer)
    }

    /// A connection that `request` has turned into something else.
    async fn converted(&self, request: &Request) -> Result<Connection, Error> {
        match self.exchange(request).await? {
            (connection, Response::Done) => Ok(connection),
            (_, other) => Err(self.unexpected(&other)),
        }
    }

    /// Sends a request and gives its answer with the connection it came on.
    async fn exchange(&self, request: &Request) -> Result<(Connection, Response), Error> {
        let mut connection = self.connection().await?;
        match connection.call(request).await {
            Ok(answer) => Ok((connection, answer)),
            Err(refused @ Error::Refused { .. }) => {
                self.put_back(connection);
                Err(refused)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for "done" on a connection, and puts it back.
    async fn answered(&self, mut connection: Connection) -> Result<(), Error> {
        match connection.receive().await {
            Ok(Response::Done) => self.put_back(connection),
            Ok(other) => return Err(self.unexpected(&other)),
            Err(error) => {
                if matches!(error, Error::Refused { .. }) {
                    self.put_back(connection);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn connection(&self) -> Result<Connection, Error> {
        let idle = self
            .inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match idle {
            Some(connection) => Ok(connection),
            None => Connection::open(&self.inner.socket).await,
        }
    }

    fn put_back(&self, connection: Connection) {
        *self
            .inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    fn unexpected(&self, answer: &Response) -> Error {
        connection::unexpected(&self.inner.socket, answer)
    }
}
